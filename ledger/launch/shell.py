"""Adapters between the event loop's ``Link`` and what pure parts ask of their shell."""

import asyncio
from collections.abc import Callable

from governance.scripting import HostCall, ScriptCall, ScriptOutcome, ScriptRunner
from ledger.boundary.frames import encode
from ledger.boundary.to_host import Log, LogLevel, ToHost
from ledger.enclave.link import Link
from ledger.endpoints.turns import Defer
from ledger.replica.identity import RootSignatures

LOG_LEVELS: tuple[LogLevel, ...] = ("trace", "debug", "info", "fail", "fatal")


class LinkShell:
    """Implements ``enclave.runtime.Shell`` on a ``Link``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def send(self, message: ToHost, tail: bytes = b"") -> None:
        """Queue a frame for the host."""
        self._link.send_host(encode(message, (tail,) if tail else ()))

    def run_in_thread(
        self, function: Callable[[], RootSignatures], done: Callable[[RootSignatures], None]
    ) -> None:
        """Run a job in the worker thread."""
        self._link.run_in_thread(function, done)

    def wake_in(self, delay_ms: float) -> None:
        """Have a turn happen after this time at the latest."""
        self._link.wake_in(delay_ms)


class NodeLog:
    """Lines for the node's log, which the host writes."""

    def __init__(self, link: Link, level: LogLevel) -> None:
        self._link = link
        self._least = LOG_LEVELS.index(level)

    def write(self, level: LogLevel, text: str, *, tag: str = "", file: str = "") -> None:
        """Send a line when its level is high enough; it must hold no secret."""
        if LOG_LEVELS.index(level) >= self._least:
            self._link.send_host(encode(Log(level, text[:16_000], tag=tag, file=file)))

    def info(self, text: str) -> None:
        """Send a line for people who watch."""
        self.write("info", text, file="enclave")

    def fail(self, text: str) -> None:
        """Send a line about something that went wrong and that the node survives."""
        self.write("fail", text, file="enclave")


class WakingRunner:
    """A script runner whose answers count as something that happened in this loop turn."""

    def __init__(self, runner: ScriptRunner, want_turn: Callable[[], None]) -> None:
        self._runner = runner
        self._want_turn = want_turn

    def start(
        self, call: ScriptCall, host: HostCall, resume: Callable[[ScriptOutcome], None]
    ) -> None:
        """See ``ScriptRunner``."""

        def awake(outcome: ScriptOutcome) -> None:
            self._want_turn()
            resume(outcome)

        self._runner.start(call, host, awake)


def defer_with(loop: asyncio.AbstractEventLoop, want_turn: Callable[[], None]) -> Defer:
    """Return how a call is begun that has waited: soon, as something that happens in a turn."""

    def begin(resume: Callable[[], None]) -> None:
        want_turn()
        resume()

    return lambda resume: loop.call_soon(begin, resume)
