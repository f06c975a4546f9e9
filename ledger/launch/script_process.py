"""Runs scripts in another process, for those who have nothing else to do meanwhile.

The keeper and the script process are those of a running node, spoken to by waiting for answers:
the check of a constitution before a node starts, ``quorate gov check`` and replays run scripts of
others under the limits, and at no more risk, than a node does::

    with script_process() as process:
        outcome = process.run(call, host)

A run ends after at most ``wall_ms_max`` of its limits, whatever the script does.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from governance.scripting import (
    FailureKind,
    HostCall,
    ScriptCall,
    ScriptFailure,
    ScriptOutcome,
)
from ledger.base.errors import FormatError, UnavailableError
from ledger.launch.script_outcomes import (
    answer,
    outcome_of,
    overdue,
    reason_of,
    resources_ran_out,
    run_of,
)
from ledger.launch.script_runner import Keeper, start_keeper
from ledger.launch.script_worker_wire import (
    CONTROL_SIZE_MAX,
    ENDED,
    START,
    STARTED,
    STOP,
    Answer,
    Call,
    End,
    FrameBuffer,
    ToNode,
    decode_to_node,
    encode,
)

READ_SIZE = 1 << 16
KEEPER_PATIENCE_S = 30.0
"""How long the keeper may take to start a process or to say how one ended."""


class ScriptProcess:
    """Runs scripts one after the other; see ``script_process``."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._control = keeper.control
        self._control.settimeout(KEEPER_PATIENCE_S)
        self._socket: socket.socket | None = None
        self._frames = FrameBuffer()
        self._waiting: list[bytes] = []

    def run(self, call: ScriptCall, host: HostCall) -> ScriptOutcome:
        """Run a script to its end.

        Args:
            call: What to run.
            host: Answers its calls.

        Raises:
            UnavailableError: the keeper is gone.
        """
        connection = self._connected()
        try:
            frame = encode(run_of(call))
        except FormatError as error:
            return ScriptOutcome(failure=ScriptFailure(FailureKind.ERROR, str(error)))
        deadline = time.monotonic() + call.limits.wall_ms_max / 1000
        connection.settimeout(call.limits.wall_ms_max / 1000)
        try:
            connection.sendall(frame)
            while True:
                received = self._receive(connection, deadline)
                if isinstance(received, End):
                    return outcome_of(received)
                connection.sendall(_answer(host, received))
        except TimeoutError:
            self._replace(kill=True)
            return resources_ran_out(overdue(call.limits))
        except FormatError as error:
            self._replace(kill=True)
            return resources_ran_out(f"the process that runs scripts went astray: {error}")
        except (OSError, EOFError):
            return resources_ran_out(reason_of(self._replace(kill=False), call.limits))

    def close(self) -> None:
        """End the processes."""
        if self._socket is not None:
            self._socket.close()
        self._control.close()
        self._keeper.process.wait()

    def _connected(self) -> socket.socket:
        """Return the socket of a script process, a new one when there is none."""
        if self._socket is None:
            self._command(START)
            data, fds, _, _ = self._control_message()
            if data != STARTED or len(fds) != 1:
                raise UnavailableError("the process that runs scripts does not start")
            self._socket = socket.socket(fileno=fds[0])
            self._frames = FrameBuffer()
            self._waiting = []
        return self._socket

    def _receive(self, connection: socket.socket, deadline: float) -> ToNode:
        while not self._waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            data = connection.recv(READ_SIZE)
            if not data:
                raise EOFError
            self._waiting += self._frames.feed(data)
        return decode_to_node(self._waiting.pop(0))

    def _replace(self, *, kill: bool) -> int:
        """Give a script process up; return how it ended, see ``reason_of``."""
        assert self._socket is not None, "only a process that ran is replaced"
        if kill:
            self._command(STOP)
        self._socket.close()
        self._socket = None
        data, _, _, _ = self._control_message()
        if not data.startswith(ENDED):
            raise UnavailableError("the process that runs scripts went astray")
        return int(data.removeprefix(ENDED))

    def _command(self, command: bytes) -> None:
        try:
            self._control.send(command)
        except OSError as error:
            raise UnavailableError("the process that runs scripts is gone") from error

    def _control_message(self) -> tuple[bytes, list[int], int, object]:
        try:
            data, fds, flags, address = socket.recv_fds(self._control, CONTROL_SIZE_MAX, 1)
        except OSError as error:
            raise UnavailableError("the process that runs scripts does not answer") from error
        if not data:
            raise UnavailableError("the process that runs scripts is gone")
        return data, fds, flags, address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


@contextmanager
def script_process() -> Iterator[ScriptProcess]:
    """Start a keeper for the length of a block."""
    with ScriptProcess(start_keeper()) as process:
        yield process


def _answer(host: HostCall, message: ToNode) -> bytes:
    if not isinstance(message, Call):
        raise FormatError("got another message, want a call")
    try:
        return encode(answer(host, message))
    except FormatError as error:
        return encode(Answer(refusal=str(error)))
