"""The enclave process: ``python -I … ledger.launch.enclave_main LAST-WORD STREAM NODE RPC…``.

The first argument is for the keeper (``last_word``). The others are descriptor numbers: the socket
pair with the host, the listening socket for other nodes, and one listening socket for each RPC
interface in the order of the configuration.
"""

import gc
import io
import os
import socket
import sys
import traceback

from ledger.base.errors import FormatError, LedgerError
from ledger.boundary.frames import encode
from ledger.boundary.to_enclave import Configure, ToEnclave
from ledger.boundary.to_host import Log, Stopping
from ledger.enclave.link import Link
from ledger.enclave.platforms import die_with_parent
from ledger.enclave.system import SystemClock, SystemEntropy
from ledger.launch.apps import BrokenApplicationError
from ledger.launch.last_word import LastWord
from ledger.launch.membership import refuse_kept_ledger
from ledger.launch.node import Node, Sockets

EXIT_FAILED = 1
_GC_THRESHOLD = (50_000, 4, 50)
"""Measured with the store at a million keys and 20,000 uncommitted versions: no full collection,
and no pause above 5 ms; most of what is young is gone before anybody looks at it."""


class Enclave:
    """The process before and after it knows its configuration."""

    def __init__(self, last_word: LastWord, descriptors: list[int]) -> None:
        self._last_word = last_word
        stream, node_to_node, *rpc = (socket.socket(fileno=number) for number in descriptors)
        self._sockets = Sockets(node_to_node, rpc)
        self._link = Link(SystemClock())
        self._link.attach_host(stream, self._on_frame)
        self._node: Node | None = None

    def run(self) -> None:
        """Run until the node ends."""
        outcome = self._link.run()
        if self._node is not None:
            self._node.close()
        if outcome.error is not None and outcome.error != outcome.reason:
            self._link.send_host(encode(Log("fatal", outcome.error[-16_000:], file="enclave")))
        code = 0 if outcome.error is None else EXIT_FAILED
        self._link.send_host(encode(Stopping(outcome.reason[:1024], code)))
        self._link.close()

    def _on_frame(self, message: ToEnclave, tail: memoryview, passed: socket.socket | None) -> None:
        if self._node is not None:
            self._node.from_host(message, tail, passed)
            return
        if not isinstance(message, Configure):
            raise FormatError(f"got {type(message).__name__} from the host, want Configure first")
        try:
            refuse_kept_ledger(message)
            self._node = Node(
                self._link,
                message.settings,
                self._sockets,
                self._last_word,
                SystemClock(),
                SystemEntropy(),
            )
            self._node.begin()
        except LedgerError as error:
            if isinstance(error, BrokenApplicationError):
                traceback.print_exception(error.__cause__)  # into the log, in front of the reason
            self._link.fail(f"Cannot start: {error}")
            return
        gc.collect()
        gc.freeze()


def main() -> None:
    """Run the process."""
    die_with_parent(os.getppid())
    if isinstance(sys.stdout, io.TextIOWrapper):  # the host's pipe, else of whole blocks
        sys.stdout.reconfigure(line_buffering=True)
    gc.set_threshold(*_GC_THRESHOLD)
    last_word, *descriptors = sys.argv[1:]
    Enclave(LastWord.parse(last_word), [int(number) for number in descriptors]).run()


if __name__ == "__main__":
    main()
