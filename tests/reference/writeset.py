"""Write sets and entries by definition: ``struct`` and ``hmac``, no caches, no shortcuts."""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Changes = dict[str, dict[bytes, bytes | None]]


def blob(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def map_record(name: str, writes: dict[bytes, bytes | None]) -> bytes:
    put = sorted((key, value) for key, value in writes.items() if value is not None)
    removed = sorted(key for key, value in writes.items() if value is None)
    data = blob(name.encode()) + struct.pack("<QQQ", 0, 0, len(put))
    for key, value in put:
        data += blob(key) + blob(value)
    data += struct.pack("<Q", len(removed))
    for key in removed:
        data += blob(key)
    return data


def encode(changes: Changes) -> tuple[bytes, bytes]:
    public = private = b""
    for name in sorted(changes, key=str.encode):
        if changes[name]:
            record = map_record(name, changes[name])
            if name.startswith("public:"):
                public += record
            else:
                private += record
    return public, private


def evidence(secret: bytes, view: int, seqno: int) -> str:
    commit_secret = hmac.new(secret, b"Commit S", "sha256").digest()
    code = hmac.new(commit_secret, f"{view}.{seqno}".encode(), "sha256").hexdigest()
    return f"ce:{view}.{seqno}:{code}"


def seal(
    secret: bytes, view: int, seqno: int, flags: int, changes: Changes, claims: bytes
) -> tuple[bytes, bytes]:
    return seal_maps(secret, view, seqno, flags, *encode(changes), claims)


def seal_maps(
    secret: bytes, view: int, seqno: int, flags: int, public_maps: bytes, private_maps: bytes,
    claims: bytes,
) -> tuple[bytes, bytes]:  # fmt: skip
    evidence_digest = hashlib.sha256(evidence(secret, view, seqno).encode()).digest()
    public = struct.pack("<BQ", 4, seqno) + claims + evidence_digest + bytes(8) + public_maps
    iv = struct.pack("<QI", seqno, view)
    sealed = AESGCM(secret).encrypt(iv, private_maps, public)
    body = sealed[-16:] + iv + blob(public) + sealed[:-16]
    entry = struct.pack("<Q", 1 | flags << 8 | len(body) << 16) + body
    leaf = hashlib.sha256(hashlib.sha256(entry).digest() + evidence_digest + claims).digest()
    return entry, leaf
