"""Frames under fire: valid streams mutated and cut anywhere, for both directions.

``QUORATE_FUZZ_INPUTS`` sets the number of streams (default 3,000).
"""

import os
import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ledger.base.errors import FormatError
from ledger.base.limits import BOUNDARY_FRAME_SIZE_MAX
from ledger.boundary import to_enclave, to_host
from ledger.boundary.frames import TO_ENCLAVE, TO_HOST, FrameDecoder, encode
from ledger.boundary.messages import Message

INPUTS = int(os.environ.get("QUORATE_FUZZ_INPUTS", "3000"))
SEED = 18

TO_HOST_MESSAGES: list[tuple[Message, bytes]] = [
    (to_host.Started("ab" * 32, "node pem", "service pem"), b""),
    (to_host.Append(1, 3, sync=True), b"entries" * 9),
    (to_host.Truncate(0), b""),
    (to_host.Committed(7), b""),
    (to_host.ReadEntries(4, 1, 9), b""),
    (to_host.Dial(5, "127.0.0.1:8000", 10), b""),
    (to_host.Log("info", "text", "app", "a.py", 12, 1), b""),
    (to_host.Stopping("asked", 0), b""),
]
TO_ENCLAVE_MESSAGES: list[tuple[Message, bytes]] = [
    (to_enclave.Persisted(9, 2), b""),
    (to_enclave.Entries(4, 1, 2, None), b"two entries"),
    (to_enclave.Dialled(5, "refused"), b""),
    (to_enclave.Signal("SIGTERM"), b""),
    (to_enclave.Shutdown("Terminated", 8000), b""),
]

seqnos = st.integers(1, (1 << 63) - 1)
texts = st.text(max_size=1024)
messages = st.one_of(
    st.builds(to_host.Append, seqnos, st.integers(1, 1 << 31), st.booleans()),
    st.builds(to_host.Truncate, st.integers(0, (1 << 63) - 1)),
    st.builds(to_host.Committed, seqnos),
    st.builds(to_host.ReadEntries, st.integers(0, (1 << 63) - 1), seqnos, seqnos),
    st.builds(to_host.Dial, st.integers(0, 99), texts, st.integers(1, 600_000)),
    st.builds(to_host.Log, st.sampled_from(["trace", "fatal"]), texts),
    st.builds(to_host.Stopping, texts, st.integers(0, 125)),
)


@given(st.lists(st.tuples(messages, st.binary(max_size=64)), max_size=6), st.randoms())
def test_any_messages_cut_anywhere_come_out_as_they_went_in(
    sent: list[tuple[Message, bytes]], chance: random.Random
) -> None:
    kept = [(m, tail if m.TAIL_SIZE_MAX else b"") for m, tail in sent]
    stream = b"".join(b"".join(encode(m, [tail])) for m, tail in kept)
    decoder = FrameDecoder(TO_HOST)
    got = []
    while stream:
        cut = chance.randrange(1, len(stream) + 1)
        got += [(m, bytes(tail)) for m, tail in decoder.feed(stream[:cut])]
        stream = stream[cut:]
    assert got == kept
    assert decoder.buffered == 0


def fire(frames: list[tuple[Message, bytes]], direction_is_host: bool, seed: int) -> list[int]:
    """Return how many mutated streams gave how many messages before they ended or failed."""
    chance = random.Random(seed)
    whole = b"".join(b"".join(encode(m, [tail])) for m, tail in frames)
    reached = [0] * (len(frames) + 3)
    for _ in range(INPUTS):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 1, 2, 6))):
            position = chance.randrange(len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[position] ^= 1 << chance.randrange(8)
            elif kind == 1:
                del data[position : position + chance.randrange(1, 9)]
            else:
                data[position:position] = chance.randbytes(chance.randrange(1, 9))
        decoder: FrameDecoder[to_host.ToHost] | FrameDecoder[to_enclave.ToEnclave]
        decoder = FrameDecoder(TO_HOST) if direction_is_host else FrameDecoder(TO_ENCLAVE)
        count = 0
        try:
            for begin in range(0, len(data), 50):
                for message, tail in decoder.feed(bytes(data[begin : begin + 50])):
                    count += 1
                    assert len(tail) <= message.TAIL_SIZE_MAX
                    assert len(msgspec.msgpack.encode(message)) <= message.HEADER_SIZE_MAX + 64
                assert decoder.buffered <= BOUNDARY_FRAME_SIZE_MAX
        except FormatError:
            pass
        reached[min(count, len(reached) - 1)] += 1
    return reached


def test_mutated_streams_to_the_host() -> None:
    reached = fire(TO_HOST_MESSAGES, direction_is_host=True, seed=SEED)
    assert all(count > 0 for count in reached[: len(TO_HOST_MESSAGES) + 1]), reached


def test_mutated_streams_to_the_enclave() -> None:
    reached = fire(TO_ENCLAVE_MESSAGES, direction_is_host=False, seed=SEED + 1)
    assert all(count > 0 for count in reached[: len(TO_ENCLAVE_MESSAGES) + 1]), reached
