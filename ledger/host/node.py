"""The running host: carries out what the enclave asks, and ends when either of them ends.

One turn of the loop takes every message that has come, writes the batches among them, syncs
once, and answers with one ``Persisted``.
"""

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from ledger.base.errors import FormatError
from ledger.boundary.messages import ENTRIES_SIZE_MAX
from ledger.boundary.sentences import HANGUP, STOP_NOTICE
from ledger.boundary.to_enclave import Dialled, Entries, Persisted, Shutdown, Signal
from ledger.boundary.to_host import (
    Append,
    Committed,
    Dial,
    Log,
    ReadEntries,
    Started,
    Stopping,
    ToHost,
    Truncate,
)
from ledger.host.chunk_file import DiskError
from ledger.host.dialer import Dialer
from ledger.host.disk import LedgerFiles
from ledger.host.link import EnclaveLink
from ledger.host.log import Level, Logger
from ledger.host.loop import Loop
from ledger.host.process import EnclaveProcess, describe_exit
from ledger.host.slow_io import SlowOperations

EXIT_FAILED = 1
_GRACE_S = 0.5
"""From the end of the stream to the forced end of the enclave."""
_GRACE_AFTER_STOPPING_S = 2.0
"""The same when the enclave has said that it stops: its interpreter takes down threads."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What the configuration says about the host itself.

    Attributes:
        slow_operation_ms: Disk operations that take longer are logged.
        shutdown_timeout_s: Time the enclave gets to end in order.
        ignore_first_sigterm: The first signal is only passed on as a notice.
        client_interface: Local address of connections to peers, or None.
    """

    slow_operation_ms: float
    shutdown_timeout_s: float = 8.0
    ignore_first_sigterm: bool = False
    client_interface: str | None = None


class HostNode:
    """Everything the host does while the enclave runs.

    Args:
        loop: The loop; this object stops it when the node ends.
        log: The node's log.
        files: The ledger.
        on_started: Writes the output files; ``OSError`` ends the node.
        options: See ``HostOptions``.

    Attributes:
        exit_code: Exit code of the node, valid once the loop has stopped.
    """

    def __init__(
        self,
        loop: Loop,
        log: Logger,
        files: LedgerFiles,
        on_started: Callable[[Started], None],
        options: HostOptions,
    ) -> None:
        self.exit_code = EXIT_FAILED
        self._loop = loop
        self._log = log
        self._files = files
        self._on_started = on_started
        self._options = options
        self._dialer = Dialer(loop, options.client_interface)
        self._slow = SlowOperations(log, options.slow_operation_ms)
        self._truncations = 0
        self._sync_due = False
        self._signals = 0
        self._stopping: Stopping | None = None
        self._failure: str | None = None
        self._link: EnclaveLink | None = None
        self._process: EnclaveProcess | None = None
        self._handlers: dict[type[ToHost], Callable[..., None]] = {
            Append: self._append,
            Truncate: self._truncate,
            Committed: self._committed,
            ReadEntries: self._read_entries,
            Dial: self._dial,
            Log: self._write_log,
            Started: self._started,
            Stopping: self._note_stopping,
        }

    def attach(self, stream: socket.socket, start: Callable[[], EnclaveProcess]) -> EnclaveLink:
        """Open the link, start the enclave, and react to signals from now on."""
        self._link = EnclaveLink(self._loop, stream, self.on_messages, self.on_stream_end)
        for number in _STOP_SIGNALS:
            self._loop.on_signal(number, self._on_signal)
        self._process = start()
        return self._link

    def abandon(self) -> None:
        """End the enclave at once and wait for it: for the way out after a failure here."""
        if self._process is not None:
            self._process.kill_and_wait()

    def on_messages(self, messages: list[tuple[ToHost, memoryview]]) -> None:
        """Carry out the messages of one turn, then sync once and answer once."""
        try:
            for message, tail in messages:
                self._handlers[type(message)](message, tail)
            if self._sync_due:
                self._sync()
        except FormatError as error:
            self._fail(f"Malformed message from the enclave: {error}")
        except DiskError as error:
            self._fail(f"The ledger on disk is not what was written: {error}")
        except OSError as error:
            self._fail(f"Cannot write the ledger or an output file: {error}")

    def on_stream_end(self, problem: str | None) -> None:
        """The enclave closed its end, or broke the protocol."""
        if problem is not None:
            self._fail(problem)
            return
        grace = _GRACE_AFTER_STOPPING_S if self._stopping is not None else _GRACE_S
        self._loop.call_later(grace, self._ended_too_slowly)

    def on_exit(self, code: int) -> None:
        """The enclave process ended: take what it still said, then end the node."""
        if self._link is not None:
            self._link.drain()
            self._link.close()
        stopping = self._stopping
        if self._failure is not None:
            self._log.fatal(self._failure)
        elif stopping is None or code < 0:
            self._log.fatal(f"The enclave process ended unexpectedly: {describe_exit(code)}")
        else:
            self.exit_code = stopping.code
            write = self._log.info if stopping.code == 0 else self._log.fatal
            write(f"Node stopped: {stopping.reason}")
        self._loop.stop()

    def _append(self, message: Append, tail: memoryview) -> None:
        started = time.monotonic()
        self._files.append(message.first_seqno, message.count, tail)
        self._slow.note("writing entries", started)
        self._sync_due |= message.sync

    def _sync(self) -> None:
        started = time.monotonic()
        self._files.sync()
        self._slow.note("syncing the ledger", started)
        self._sync_due = False
        if self._files.last:
            self._send(Persisted(self._files.last, self._truncations))

    def _truncate(self, message: Truncate, tail: memoryview) -> None:
        del tail
        self._files.truncate(message.seqno)
        self._truncations += 1

    def _committed(self, message: Committed, tail: memoryview) -> None:
        del tail
        started = time.monotonic()
        self._files.commit(message.seqno)
        self._slow.note("committing chunks", started)

    def _read_entries(self, message: ReadEntries, tail: memoryview) -> None:
        del tail
        started = time.monotonic()
        first = message.first
        try:
            pieces, last = self._files.read(first, message.last)
            if sum(map(len, pieces)) > ENTRIES_SIZE_MAX:
                raise DiskError(f"got an entry at seqno {first} that is too large to be handed in")
        except (DiskError, OSError) as error:
            self._log.fail(str(error))
            self._send(Entries(message.id, first, first - 1, str(error)[:1024]))
            return
        self._slow.note("reading entries", started)
        self._send(Entries(message.id, first, last), pieces)

    def _dial(self, message: Dial, tail: memoryview) -> None:
        del tail

        def dialled(connected: socket.socket | None, problem: str | None) -> None:
            if self._link is not None:
                self._link.send(Dialled(message.id, problem), descriptor=connected)

        self._dialer.dial(message.address, message.timeout_ms, dialled)

    def _write_log(self, message: Log, tail: memoryview) -> None:
        del tail
        self._log.write(
            Level.parse(message.level),
            message.text,
            tag=message.tag,
            file=message.file,
            line=message.line,
            thread=message.thread,
        )

    def _started(self, message: Started, tail: memoryview) -> None:
        del tail
        self._on_started(message)

    def _note_stopping(self, message: Stopping, tail: memoryview) -> None:
        del tail
        self._stopping = message

    def _on_signal(self, number: int) -> None:
        described = signal.strsignal(number) or signal.Signals(number).name
        self._signals += 1
        ignored = 1 if self._options.ignore_first_sigterm else 0
        if self._signals <= ignored:
            self._log.info(STOP_NOTICE.format(signal=described))
            self._send(Signal("SIGHUP" if number == signal.SIGHUP else "SIGTERM"))
        elif self._signals == ignored + 1:
            self._log.info(HANGUP.format(signal=described))
            timeout_s = self._options.shutdown_timeout_s
            self._send(Shutdown(described, int(timeout_s * 1000)))
            self._loop.call_later(timeout_s, self._shutdown_took_too_long)
        else:
            self._fail(f"{described}: another signal while shutting down, ending at once")

    def _ended_too_slowly(self) -> None:
        self._fail("The enclave closed its stream and did not end")

    def _shutdown_took_too_long(self) -> None:
        self._fail(
            f"The enclave did not end within {self._options.shutdown_timeout_s:g} s of being asked"
        )

    def _fail(self, why: str) -> None:
        """End the node because of ``why``; the first reason counts."""
        if self._failure is None:
            self._failure = why
        if self._link is not None:
            self._link.close()
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _send(
        self, message: Persisted | Entries | Signal | Shutdown, tail: list[bytes] | None = None
    ) -> None:
        if self._link is not None:
            self._link.send(message, tail or ())
