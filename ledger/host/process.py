"""The enclave process: started with nothing but descriptors, watched until it ends."""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from ledger.host.log import Level, Logger
from ledger.host.loop import Loop

_LINE_SIZE_MAX = 16_000
_READ_SIZE = 64 << 10


class EnclaveProcess:
    """A child process that inherits chosen descriptors and an empty environment.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches the host only, which
    then stops it in order. What it prints goes to the node's log: its standard output as
    ``info``, its standard error (a crash of the interpreter) as ``fail``.

    Args:
        loop: Calls back.
        command: Program (an absolute path) and arguments.
        descriptors: Inherited under the same numbers.
        log: Where printed lines go.
        on_exit: Called once with the exit code; negative for the signal that killed it.
    """

    def __init__(
        self,
        loop: Loop,
        command: Sequence[str],
        descriptors: Sequence[int],
        log: Logger,
        on_exit: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._on_exit = on_exit
        assert Path(command[0]).is_absolute(), "no search path exists in an empty environment"
        self._popen = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            list(command),
            env={},
            pass_fds=tuple(descriptors),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._popen.stdout is not None, "a pipe was asked for"
        assert self._popen.stderr is not None, "a pipe was asked for"
        self._printed = [
            _PrintedLines(loop, self._popen.stdout, log, Level.INFO),
            _PrintedLines(loop, self._popen.stderr, log, Level.FAIL),
        ]
        self._exit_fd = os.pidfd_open(self._popen.pid)
        loop.read_when_ready(self._exit_fd, self._exited)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet, or nobody noticed."""
        return self._popen.returncode is None

    def kill(self) -> None:
        """End it at once; ``on_exit`` follows."""
        if self.is_running:
            self._popen.kill()

    def kill_and_wait(self) -> None:
        """End it at once, outside the loop: for the way out after a failure."""
        self._on_exit = _ignore
        self.kill()
        if self.is_running:
            self._exited()

    def _exited(self) -> None:
        code = self._popen.wait()
        self._loop.forget(self._exit_fd)
        os.close(self._exit_fd)
        for printed in self._printed:
            printed.finish()
        self._on_exit(code)


class _PrintedLines:
    """Turns what a process prints into log lines."""

    def __init__(self, loop: Loop, pipe: IO[bytes], log: Logger, level: Level) -> None:
        self._loop = loop
        self._pipe = pipe
        self._log = log
        self._level = level
        self._rest = b""
        os.set_blocking(pipe.fileno(), False)
        loop.read_when_ready(pipe.fileno(), self._read)

    def _read(self) -> None:
        if self._take() == 0:
            self._loop.forget(self._pipe.fileno())

    def finish(self) -> None:
        """Log what is left and close the pipe."""
        while self._take() or 0:
            continue
        if self._rest:
            self._write(self._rest)
        self._loop.forget(self._pipe.fileno())
        self._pipe.close()

    def _take(self) -> int | None:
        """Read once and return how many bytes: 0 at the end, None when there are none yet."""
        try:
            data = os.read(self._pipe.fileno(), _READ_SIZE)
        except BlockingIOError:
            return None
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._write(line)
        if len(rest) > _LINE_SIZE_MAX:
            self._write(rest)
            rest = b""
        self._rest = rest
        return len(data)

    def _write(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace")
        self._log.write(self._level, text, tag="enclave", file="enclave")


def describe_exit(code: int) -> str:
    """Return how a process ended, in words, from its exit code (negative: the signal)."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _ignore(code: int) -> None:
    del code
