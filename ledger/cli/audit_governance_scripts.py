"""Scripts of a replay run where scripts of a node run: in a process that they may take down.

The same keeper and script process, spoken to by waiting for answers: a replay has nothing else
to do meanwhile.
"""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from governance.scripting import (
    FailureKind,
    HostCall,
    HostError,
    ScriptCall,
    ScriptFailure,
    ScriptOutcome,
)
from ledger.base.errors import FormatError, UnavailableError
from ledger.launch.script_runner import Keeper, start_keeper
from ledger.launch.script_worker import CONTROL_SIZE_MAX, ENDED, START, STARTED, STOP
from ledger.launch.script_worker_wire import (
    Answer,
    Call,
    End,
    FrameBuffer,
    Run,
    ToNode,
    decode_to_node,
    encode,
)

READ_SIZE = 1 << 16
KEEPER_PATIENCE_S = 30.0
"""How long the keeper may take to start a process or to say how one ended."""


class ScriptProcess:
    """Runs scripts one after the other; see ``script_processes``."""

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
        message = Run(call.name, call.source, call.function, list(call.arguments), call.limits)
        try:
            frame = encode(message)
        except FormatError as error:
            return ScriptOutcome(failure=ScriptFailure(FailureKind.ERROR, str(error)))
        deadline = time.monotonic() + call.limits.wall_ms_max / 1000
        try:
            connection.sendall(frame)
            while True:
                received = self._receive(connection, deadline)
                if isinstance(received, End):
                    return _outcome_of(received)
                connection.sendall(_answer(host, received))
        except TimeoutError:
            self._replace(kill=True)
            return _ended(f"the script took more than {call.limits.wall_ms_max} ms")
        except (OSError, EOFError, FormatError):
            return _ended(f"the script took its process down ({self._replace(kill=True)})")

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

    def _replace(self, *, kill: bool) -> str:
        """Give a script process up; return how it ended."""
        assert self._socket is not None, "only a process that ran is replaced"
        if kill:
            self._command(STOP)
        self._socket.close()
        self._socket = None
        data, _, _, _ = self._control_message()
        if not data.startswith(ENDED):
            raise UnavailableError("the process that runs scripts went astray")
        status = int(data.removeprefix(ENDED))
        return f"status {status}" if status >= 0 else signal.Signals(-status).name

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


def _answer(host: HostCall, call: ToNode) -> bytes:
    if not isinstance(call, Call):
        raise FormatError("got another message, want a call")
    try:
        return encode(Answer(host(call.name, call.arguments)))
    except HostError as error:
        return encode(Answer(refusal=str(error)))
    except FormatError as error:
        return encode(Answer(refusal=str(error)))


def _ended(reason: str) -> ScriptOutcome:
    return ScriptOutcome(failure=ScriptFailure(FailureKind.RESOURCE, reason))


def _outcome_of(end: End) -> ScriptOutcome:
    if end.kind is None:
        return ScriptOutcome(value=end.value, steps=end.steps)
    return ScriptOutcome(failure=ScriptFailure(end.kind, end.reason, end.trace), steps=end.steps)
