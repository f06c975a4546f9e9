"""Accepted connections of other nodes: bounded in number, and cut while nobody is known there."""

from typing import Any

import pytest

from ledger.enclave.connections import Flushing
from ledger.enclave.peer_incoming import MADE_ROOM, TOO_SILENT
from ledger.enclave.peer_wires import READ_SIZE_LARGE, WIRES_MAX, PeerWire, Wires
from ledger.enclave.peers import Wire, WireHandler
from ledger.enclave.session_limits import HANDSHAKE_TIME_MAX_MS


class Side:
    """The loop, as far as wires need it."""

    def __init__(self) -> None:
        self.turns = 0
        self.failures: list[BaseException] = []
        self.to_flush: list[Flushing] = []

    def flush_later(self, connection: Flushing) -> None:
        self.to_flush.append(connection)

    def want_turn(self) -> None:
        self.turns += 1

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)


class Transport:
    """A connected socket."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.reads: list[str] = []

    def is_closing(self) -> bool:
        return bool(self.ends)

    def pause_reading(self) -> None:
        self.reads.append("pause")

    def resume_reading(self) -> None:
        self.reads.append("resume")

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


class Handler:
    """Keeps what it is told; fails on demand."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.heard: list[bytes] = []
        self.reasons: list[str] = []

    def received(self, data: bytes) -> None:
        if data == b"bad":
            raise ValueError("broken")
        self.heard.append(data)

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)


def connected(siblings: Wires, side: Side | None = None) -> tuple[PeerWire, Transport, Any]:
    made: list[Handler] = []

    def opened(wire: Wire) -> WireHandler:
        made.append(Handler(wire))
        return made[0]

    loop_side: Any = side or Side()
    wire = PeerWire(loop_side, opened, siblings)
    transport = Transport()
    wire.connection_made(transport)
    return wire, transport, made[0] if made else None


@pytest.mark.parametrize("spoke", [True, False])
def test_who_does_not_prove_who_it_is_is_cut(spoke: bool) -> None:
    """A byte proves nothing: strangers could keep all places with one byte each."""
    wire, transport, handler = connected({})
    wire.sweep(HANDSHAKE_TIME_MAX_MS - 1)
    if spoke:
        wire.data_received(b"\x16")
    assert transport.ends == []
    wire.sweep(1)
    assert transport.ends == ["abort"]
    wire.connection_lost(None)
    assert handler.reasons == [TOO_SILENT]


def test_who_is_known_may_be_silent() -> None:
    wire, transport, handler = connected({})
    handler.wire.keep()
    wire.sweep(1000 * HANDSHAKE_TIME_MAX_MS)
    assert transport.ends == []


def test_there_are_so_many_and_no_more() -> None:
    siblings: Wires = {}
    wires = [connected(siblings)[0] for _ in range(WIRES_MAX)]
    for wire in wires:
        wire.keep()
    _, transport, handler = connected(siblings)
    assert transport.ends == ["close"]
    assert handler is None
    wires[0].connection_lost(None)
    _, transport, handler = connected(siblings)
    assert transport.ends == []
    assert handler is not None


def test_strangers_do_not_keep_other_nodes_out() -> None:
    """All places are taken: the oldest of those that proved nothing has to go."""
    siblings: Wires = {}
    made = [connected(siblings) for _ in range(WIRES_MAX)]
    made[0][0].keep()
    for _, evicted, _ in made[1:4]:
        _, transport, handler = connected(siblings)
        assert handler is not None
        assert (transport.ends, evicted.ends) == ([], ["abort"])
        assert len(siblings) == WIRES_MAX
    assert made[0][1].ends == []
    made[1][0].connection_lost(None)
    assert made[1][2].reasons == [MADE_ROOM]


def test_a_turn_comes_between_large_reads() -> None:
    """A node that only reads says nothing, and is taken for dead by those it reads from."""
    side = Side()
    wire, transport, handler = connected({}, side)
    wire.data_received(bytes(READ_SIZE_LARGE - 1))
    assert (transport.reads, side.to_flush) == ([], [])
    wire.data_received(bytes(READ_SIZE_LARGE))
    wire.data_received(bytes(READ_SIZE_LARGE))
    assert (transport.reads, side.to_flush) == (["pause"], [wire])
    wire.flush()
    assert transport.reads == ["pause", "resume"]
    assert len(handler.heard) == 3


def test_a_closed_connection_is_not_read_on() -> None:
    side = Side()
    wire, transport, _ = connected({}, side)
    wire.data_received(bytes(READ_SIZE_LARGE))
    wire.close()
    wire.flush()
    wire.data_received(bytes(READ_SIZE_LARGE))
    wire.connection_lost(None)
    wire.flush()
    assert (transport.reads, len(side.to_flush)) == (["pause"], 1)


def test_the_end_is_told_once() -> None:
    wire, _, handler = connected({})
    wire.connection_lost(OSError("reset"))
    assert handler.reasons == ["reset"]
    wire.close()
    wire.write(b"late")
    assert wire.buffered() == 0


def test_an_exception_of_the_handler_ends_the_process() -> None:
    side = Side()
    wire, _, _ = connected({}, side)
    wire.data_received(b"bad")
    assert [str(failure) for failure in side.failures] == ["broken"]
