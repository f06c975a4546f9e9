"""Messages between nodes: there and back, and what is refused."""

import pytest

from ledger.base.errors import FormatError
from ledger.boundary.frames import FrameDecoder, encode
from ledger.consensus import messages as consensus
from ledger.consensus.types import Entry
from ledger.crypto.sealing import EntrySealer
from ledger.replica.peer_messages import FROM_PEER, AppendEntries, from_wire, to_wire

_SEALER = EntrySealer(bytes(32))


def _entry(view: int, seqno: int) -> Entry:
    data, _ = _SEALER.seal(view, seqno, 0, {"records": {b"k": b"v"}})
    return Entry(view, seqno, data)


_MESSAGES = [
    consensus.AppendEntries(3, 2, 4, 6, 3, 4, (_entry(3, 5), _entry(3, 6))),
    consensus.AppendEntries(3, 2, 4, 4, 2, 4),
    consensus.AppendEntriesResponse(3, 9, success=False),
    consensus.RequestVote(3, 2, 8, "pre_vote"),
    consensus.RequestVoteResponse(3, granted=True, election="regular"),
    consensus.ProposeRequestVote(3),
]


@pytest.mark.parametrize("message", _MESSAGES, ids=lambda message: message.kind)
def test_consensus_messages_come_back_equal(message: consensus.Message) -> None:
    header, tail = to_wire(message)
    data = b"".join(encode(header, tail))
    decoder = FrameDecoder(FROM_PEER)
    frames = [
        frame for begin in range(len(data)) for frame in decoder.feed(data[begin : begin + 1])
    ]
    assert [from_wire(*frame) for frame in frames] == [message]


@pytest.mark.parametrize(
    "entries",
    [
        (_entry(3, 5),),
        (_entry(3, 5), _entry(3, 7)),
        (_entry(3, 5), _entry(2, 6)),
        (_entry(3, 5), _entry(3, 6), _entry(3, 7)),
        (_entry(3, 5), Entry(3, 6, b"nonsense")),
    ],
)
def test_entries_that_are_not_the_named_ones_are_refused(entries: tuple[Entry, ...]) -> None:
    header = AppendEntries(3, 2, 4, 6, 3, 4)
    tail = memoryview(b"".join(entry.data for entry in entries))
    with pytest.raises(FormatError):
        from_wire(header, tail)
