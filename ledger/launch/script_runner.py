"""Runs scripts in another process without ever blocking the event loop.

One script runs at a time, in the order they come. While a script runs, its calls are answered from
the event loop against the transaction of the request that waits for it; other requests go on.

A script process that dies, or takes longer than the script may, makes that script a failed one,
and the next script gets a new process. When the keeper itself is gone, scripts are unavailable
and ``on_lost`` is told.
"""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from typing_extensions import override

from governance.scripting import (
    FailureKind,
    HostCall,
    ScriptCall,
    ScriptFailure,
    ScriptOutcome,
)
from ledger.base.errors import FormatError
from ledger.launch.last_word import LastWord
from ledger.launch.script_outcomes import (
    answer,
    outcome_of,
    overdue,
    reason_of,
    resources_ran_out,
    run_of,
)
from ledger.launch.script_worker_wire import (
    CONTROL_SIZE_MAX,
    ENDED,
    START,
    STARTED,
    STOP,
    Answer,
    End,
    FrameBuffer,
    ToNode,
    ToScript,
    decode_to_node,
    encode,
)

QUEUE_MAX = 256
"""Most scripts that wait; each holds a request and its transaction."""

_BOOTSTRAP = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from ledger.launch.script_worker import main; main(int(sys.argv[1]), sys.argv[2])"
)


@dataclass(frozen=True, slots=True)
class Keeper:
    """A started keeper.

    Attributes:
        process: The keeper's process; it ends when ``control`` is closed.
        control: Our end of its control socket.
        outlives_us: Whether it then waits for the host to end, having a last word.
    """

    process: "subprocess.Popen[bytes]"
    control: socket.socket
    outlives_us: bool


def start_keeper(last_word: LastWord | None = None) -> Keeper:
    """Start the keeper: isolated Python, empty environment, one socket inherited.

    Args:
        last_word: What it has to say when the host was killed; its descriptors are inherited too.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fd = theirs.fileno()
    inherited = () if last_word is None else last_word.descriptors
    spoken = "" if last_word is None else last_word.argument()
    search = [path for path in sys.path if path]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and a constant program
        [sys.executable, "-I", "-c", _BOOTSTRAP, str(fd), spoken, *search],
        env={},
        cwd="/",
        pass_fds=(fd, *inherited),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    theirs.close()
    ours.setblocking(False)
    return Keeper(process, ours, last_word is not None)


@dataclass(frozen=True, slots=True)
class _Job:
    call: ScriptCall
    host: HostCall
    resume: Callable[[ScriptOutcome], None]


class _Connection(asyncio.Protocol):
    """The script socket; dropped with its process."""

    def __init__(self, runner: "ProcessScriptRunner") -> None:
        self._runner = runner
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._runner.connected(self)

    @override
    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._runner.received(self, decode_to_node(body))
        except FormatError as error:
            self._runner.abandon(f"the process that runs scripts went astray: {error}")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._runner.disconnected(self)

    def send(self, message: ToScript) -> None:
        """Send a message.

        Raises:
            FormatError: it has no form that fits a frame.
        """
        frame = encode(message)
        assert self._transport is not None, "nothing is sent before the connection is made"
        self._transport.write(frame)

    def close(self) -> None:
        """Drop the socket; the process at its other end then ends by itself."""
        if self._transport is not None:
            self._transport.abort()


class ProcessScriptRunner:
    """``ScriptRunner`` over a keeper's processes.

    Args:
        keeper: Started before; belongs to the runner from now on.
        loop: The event loop that everything here runs on.
        on_lost: Told, once, why scripts cannot run any more.
    """

    def __init__(
        self, keeper: Keeper, loop: asyncio.AbstractEventLoop, on_lost: Callable[[str], None]
    ) -> None:
        self._keeper = keeper
        self._loop = loop
        self._on_lost = on_lost
        self._jobs: deque[_Job] = deque()
        self._job: _Job | None = None
        self._connection: _Connection | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stop_reason: str | None = None
        self._lost: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        loop.add_reader(keeper.control.fileno(), self._on_control)
        self._command(START)

    def start(
        self, call: ScriptCall, host: HostCall, resume: Callable[[ScriptOutcome], None]
    ) -> None:
        """Queue a script; see ``ScriptRunner``."""
        problem = self._lost
        if problem is None and len(self._jobs) >= QUEUE_MAX:
            problem = f"{QUEUE_MAX} scripts are waiting"
        if problem is not None:
            failure = ScriptFailure(FailureKind.UNAVAILABLE, problem)
            self._loop.call_soon(resume, ScriptOutcome(failure=failure))
            return
        self._jobs.append(_Job(call, host, resume))
        self._loop.call_soon(self._next)

    def close(self) -> None:
        """End the processes; scripts that wait or run become unavailable."""
        self._lose("the node stops", tell=False)
        if not self._keeper.outlives_us:
            self._keeper.process.wait()

    def connected(self, connection: _Connection) -> None:
        """Take a new script process into use."""
        self._connection = connection
        self._next()

    def received(self, connection: _Connection, message: ToNode) -> None:
        """Take a message of a script process."""
        if connection is not self._connection or self._job is None:
            return
        if isinstance(message, End):
            self._finish(outcome_of(message))
            return
        try:
            connection.send(answer(self._job.host, message))
        except FormatError as error:
            connection.send(Answer(refusal=str(error)))

    def abandon(self, reason: str) -> None:
        """Give the running script up and have its process killed.

        The process gets nothing more and is not heard any more; ``_replace`` ends the script.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._stop_reason = reason
            self._command(STOP)

    def disconnected(self, connection: _Connection) -> None:
        """Give no more scripts to a process that has dropped its socket: it is about to be gone."""
        if connection is self._connection:
            self._connection = None

    def _next(self) -> None:
        """Run the next script if one waits and a process is idle."""
        if self._job is not None or self._connection is None or not self._jobs:
            return
        self._job = job = self._jobs.popleft()
        limits = job.call.limits
        self._deadline = self._loop.call_later(limits.wall_ms_max / 1000, self._overdue)
        try:
            self._connection.send(run_of(job.call))
        except FormatError as error:
            failure = ScriptFailure(FailureKind.ERROR, str(error))
            self._finish(ScriptOutcome(failure=failure))

    def _overdue(self) -> None:
        assert self._job is not None, "the deadline ends with the job"
        self.abandon(overdue(self._job.call.limits))

    def _finish(self, outcome: ScriptOutcome) -> None:
        job, self._job = self._job, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._loop.call_soon(self._next)
        if job is not None:
            job.resume(outcome)

    def _on_control(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._keeper.control, CONTROL_SIZE_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if data == STARTED and len(fds) == 1:
            task = self._loop.create_task(self._connect(socket.socket(fileno=fds[0])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif data.startswith(ENDED):
            self._replace(int(data.removeprefix(ENDED)))
        else:
            self._lose("the process that runs scripts is gone", tell=True)

    async def _connect(self, script_socket: socket.socket) -> None:
        script_socket.setblocking(False)
        await self._loop.create_unix_connection(lambda: _Connection(self), sock=script_socket)

    def _replace(self, status: int) -> None:
        """A script process has died: fail its script, get another process."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        reason, self._stop_reason = self._stop_reason, None
        self._command(START)
        if self._job is not None:
            reason = reason or reason_of(status, self._job.call.limits)
            self._finish(resources_ran_out(reason))

    def _command(self, command: bytes) -> None:
        if self._lost is None:
            try:
                self._keeper.control.send(command)
            except OSError:
                self._lose("the process that runs scripts is gone", tell=True)

    def _lose(self, reason: str, *, tell: bool) -> None:
        if self._lost is not None:
            return
        self._lost = reason
        self._loop.remove_reader(self._keeper.control.fileno())
        self._keeper.control.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        failure = ScriptFailure(FailureKind.UNAVAILABLE, reason)
        self._finish(ScriptOutcome(failure=failure))
        while self._jobs:
            self._loop.call_soon(self._jobs.popleft().resume, ScriptOutcome(failure=failure))
        if tell:
            self._on_lost(reason)
