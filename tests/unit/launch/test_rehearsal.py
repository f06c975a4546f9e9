"""The rehearsed request goes the whole way, leaves nothing behind, and only when it is of use."""

import time
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from ledger.enclave.tls_pyopenssl import PyOpenSslBackend
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.launch.rehearsal import IN_USE_MS, Rehearsal

if TYPE_CHECKING:
    from ledger.enclave.tls_types import TlsBackend

TICK_MS = 10


class Counted(Rehearsal):
    """Counts instead."""

    count = 0

    @override
    def rehearse(self) -> bytes:
        self.count += 1
        return b""


@pytest.mark.parametrize("backend", [StdlibBackend(), PyOpenSslBackend()], ids=lambda one: one.name)
def test_the_request_goes_the_whole_way(backend: "TlsBackend") -> None:
    rehearsal = Rehearsal(backend, time.time)
    before = rehearsal.log.store.version
    for count in range(1, 1001):
        head, _, body = rehearsal.rehearse().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body == b"true"
        assert f"x-ms-ccf-transaction-id: 2.{before + count}".encode() in head
    store = rehearsal.log.store
    assert store.committed == store.version == before + 1000  # no way back is kept
    assert dict(store.begin().map("records").items()).keys() == {(1).to_bytes(8, "little")}


def test_a_clock_before_all_certificates_harms_nobody() -> None:
    rehearsal = Rehearsal(StdlibBackend(), lambda: 0.0)
    assert rehearsal.rehearse().startswith(b"HTTP/1.1 401 ")
    assert rehearsal.rehearse().startswith(b"HTTP/1.1 401 ")


def test_a_node_that_nobody_has_called_does_not_rehearse() -> None:
    rehearsal = Counted(StdlibBackend(), time.time)
    for _ in range(100):
        rehearsal.tick(TICK_MS, 0)
    assert rehearsal.count == 0


def test_quiet_ticks_of_a_node_in_use_rehearse() -> None:
    rehearsal = Counted(StdlibBackend(), time.time)
    rehearsal.tick(TICK_MS, 3)
    assert rehearsal.count == 0
    rehearsal.tick(TICK_MS, 3)
    rehearsal.tick(TICK_MS, 3)
    assert rehearsal.count == 2
    rehearsal.tick(TICK_MS, 4)
    assert rehearsal.count == 2


def test_it_ends_when_nobody_calls_any_more_and_begins_again() -> None:
    rehearsal = Counted(StdlibBackend(), time.time)
    rehearsal.tick(TICK_MS, 1)
    for _ in range(2 * IN_USE_MS // TICK_MS):
        rehearsal.tick(TICK_MS, 1)
    assert rehearsal.count == IN_USE_MS // TICK_MS
    rehearsal.tick(TICK_MS, 2)
    rehearsal.tick(TICK_MS, 2)
    assert rehearsal.count == IN_USE_MS // TICK_MS + 1
