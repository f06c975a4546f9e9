"""The rehearsed request goes the whole way, leaves nothing behind, and only when it is of use."""

import time
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from typing_extensions import override

from ledger.app import jwt, user_cert
from ledger.enclave.tls_pyopenssl import PyOpenSslBackend
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.launch import rehearsal as module
from ledger.launch.node import Node
from ledger.launch.rehearsal import IN_USE_MS, INTERVAL_MS, Rehearsal

if TYPE_CHECKING:
    from ledger.enclave.tls_types import TlsBackend

TICK_MS = INTERVAL_MS


def nobody(line: str) -> None:
    raise AssertionError(line)


class Counted(Rehearsal):
    """Counts instead."""

    def __init__(self) -> None:
        super().__init__(StdlibBackend(), time.time, nobody)
        self.count = 0

    @override
    def rehearse(self) -> bytes:
        self.count += 1
        return b""


@pytest.mark.parametrize("backend", [StdlibBackend(), PyOpenSslBackend()], ids=lambda one: one.name)
def test_the_request_goes_the_whole_way(
    backend: "TlsBackend", monkeypatch: pytest.MonkeyPatch
) -> None:
    serialised: list[int] = []

    def ordered(seqno: int, *_rest: Any) -> None:  # noqa: ANN401
        serialised.append(seqno)

    rehearsal = Rehearsal(backend, time.time, nobody)
    before = rehearsal.log.store.version
    monkeypatch.setattr(module, "ordered", ordered)
    for count in range(1, 101):
        head, _, body = rehearsal.rehearse().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body == b"true"
        assert f"x-ms-ccf-transaction-id: 2.{before + count}".encode() in head
    store = rehearsal.log.store
    assert serialised == list(range(before + 1, before + 101))
    assert store.committed == store.version == before + 100  # no way back is kept
    assert dict(store.begin().map("records").items()).keys() == {(1).to_bytes(8, "little")}


def test_policies_of_applications_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for policy in (jwt, user_cert):
        monkeypatch.setattr(policy, "authenticate", nobody)
    rehearsal = Rehearsal(StdlibBackend(), time.time, nobody)
    assert rehearsal.rehearse().startswith(b"HTTP/1.1 200 ")


def test_a_clock_before_all_certificates_harms_nobody() -> None:
    rehearsal = Rehearsal(StdlibBackend(), lambda: 0.0, nobody)
    answers = [rehearsal.rehearse() for _ in range(2)]
    assert all(answer.startswith(b"HTTP/1.1 401 ") for answer in answers)
    assert b"jwt" in answers[0]
    assert b"user_cert" in answers[0]


def test_a_failure_is_told_once_and_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    rehearsal = Rehearsal(StdlibBackend(), time.time, told.append)

    def broken(*_arguments: Any) -> None:  # noqa: ANN401
        raise MemoryError

    monkeypatch.setattr("ledger.kv.typed.TableHandle.put", broken)
    for _ in range(10):
        rehearsal.tick(TICK_MS, 1)
    assert len(told) == 1
    assert "A rehearsal of a request failed, there are no more: POST /record" in told[0]


def test_a_node_that_nobody_has_called_does_not_rehearse() -> None:
    rehearsal = Counted()
    for _ in range(100):
        rehearsal.tick(TICK_MS, 0)
    assert rehearsal.count == 0


def test_quiet_moments_of_a_node_in_use_are_followed_by_one() -> None:
    rehearsal = Counted()
    counts = []
    for reads in (3, 3, 3, 4, 4):
        rehearsal.tick(TICK_MS, reads)
        counts.append(rehearsal.count)
    assert counts == [0, 1, 2, 2, 3]


def test_short_ticks_are_gathered() -> None:
    rehearsal = Counted()
    rehearsal.tick(1, 1)
    for _ in range(3 * INTERVAL_MS):
        rehearsal.tick(1, 1)
    assert rehearsal.count == 3


@pytest.mark.parametrize("tick_ms", [1, TICK_MS, 1000])
def test_it_ends_when_nobody_calls_any_more_and_begins_again(tick_ms: int) -> None:
    rehearsal = Counted()
    rehearsal.tick(tick_ms, 1)
    for _ in range(2 * IN_USE_MS // tick_ms):
        rehearsal.tick(tick_ms, 1)
    ended = rehearsal.count
    assert ended == IN_USE_MS // max(tick_ms, INTERVAL_MS)
    for _ in range(1 + INTERVAL_MS):
        rehearsal.tick(tick_ms, 2)
    assert rehearsal.count > ended


@pytest.mark.parametrize("slowed", [False, True])
def test_a_node_rehearses_at_its_tick_unless_clients_are_held_back(slowed: bool) -> None:
    node: Any = MagicMock()
    node._link.reads, node._link.slowed = 7, slowed
    Node._tick(node, 20)
    asked = node._rehearsal.tick.call_args_list
    assert [call.args for call in asked] == ([] if slowed else [(20, 7)])
