"""Injured handshakes and records: whatever arrives, a value comes back and nobody is fooled.

``QUORATE_FUZZ_INPUTS`` says how many, a hundredth of it here, because each is a handshake.
"""

import os
import random
from collections import Counter

import pytest

from ledger.enclave.tls_types import Expiry, TlsBackend, TlsSession
from tests.unit.enclave.edge_support import (
    BACKEND_IDS,
    BACKENDS,
    caller_identity,
    der_of,
    node_identity,
)

INPUTS = (int(os.environ.get("QUORATE_FUZZ_INPUTS", "0")) or 20_000) // 100


def injure(rng: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    at = rng.randrange(len(broken))
    match rng.randrange(5):
        case 0:
            broken[at] ^= 1 << rng.randrange(8)
        case 1:
            del broken[at : at + rng.randint(1, 30)]
        case 2:
            broken[at:at] = rng.randbytes(rng.randint(1, 30))
        case 3:
            broken[at:at] = broken[at : at + rng.randint(1, 300)]
        case _:
            del broken[at:]
    return bytes(broken)


def feed(rng: random.Random, session: TlsSession, data: bytes) -> bytes:
    """Feed in up to three pieces."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    pieces = [data[: cuts[0]], data[cuts[0] : cuts[1]], data[cuts[1] :]]
    return b"".join(session.feed(piece) for piece in pieces)


@pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)
def test_injured_bytes(backend: TlsBackend) -> None:
    rng = random.Random(7)
    alice = caller_identity("alice")
    servers = backend.rpc_server(node_identity())
    clients = backend.client(node_identity().chain_pem, alice, expiry=Expiry.CHECKED, alpn=True)
    depth: Counter[str] = Counter()
    for _ in range(INPUTS):
        server, client = servers.session(), clients.session()
        target = rng.randrange(4)  # which flight of the client is injured
        got = b""
        for flight in range(4):
            if client.established and flight >= 2:
                client.send(b"request %d" % flight)
            data = client.output()
            if flight == target and data:
                data = injure(rng, data)
            got += feed(rng, server, data)
            client.feed(server.output())
        if server.established:
            depth["established"] += 1
            assert server.peer_certificate() == der_of(alice)
        depth["failed"] += server.failure is not None
        depth["waiting"] += server.failure is None and not server.established
        assert got in (b"", b"request 2", b"request 3", b"request 2request 3")
        server.close()
        server.output()
    print(f"{backend.name}: {INPUTS} inputs: {dict(depth)}")  # noqa: T201 - the depth reached
    assert depth["established"] > INPUTS / 5
    assert depth["failed"] > INPUTS / 5
    assert depth["waiting"] > INPUTS / 50
