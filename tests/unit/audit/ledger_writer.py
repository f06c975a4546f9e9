"""A small writer of ledgers that are hashed and signed consistently, with any wanted defect.

Everything goes through slow, plain code, so that a defect is one override. Keys are made once
per process; certificates and signatures are deterministic.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto import aead, cose, cose_ledger
from ledger.crypto.certs import (
    Certificate,
    certificate_request,
    endorse,
    self_signed_node,
    self_signed_service,
)
from ledger.crypto.keys import Curve, SigningKey
from ledger.files import chunk
from ledger.merkle.tree import MerkleTree
from tests.reference import writeset

Changes = writeset.Changes

SECRET = bytes(range(32))
NOW = 1_760_000_000
SANS = ("iPAddress:127.0.0.1",)
SERVICE_INFO = "public:ccf.gov.service.info"
NODES_INFO = "public:ccf.gov.nodes.info"
NODES_ENDORSED = "public:ccf.gov.nodes.endorsed_certificates"
SIGNATURES = "public:ccf.internal.signatures"
COSE_SIGNATURES = "public:ccf.internal.cose_signatures"
TREE = "public:ccf.internal.tree"


@dataclass(frozen=True, slots=True)
class Service:
    """A service identity."""

    key: SigningKey
    certificate: Certificate

    @classmethod
    def make(cls) -> "Service":
        key = SigningKey.generate(Curve.P256, deterministic=True)
        return cls(key, self_signed_service(key, "CN=CCF Service", 365, NOW - 10))

    def row(self, status: str, **more: object) -> dict[bytes, bytes | None]:
        fields = {"cert": self.certificate.pem, "status": status, **more}
        return {SINGLETON_KEY: canonical.dumps(fields)}


@dataclass(frozen=True, slots=True)
class Node:
    """A node identity with its certificate."""

    key: SigningKey
    certificate: Certificate

    @classmethod
    def make(cls, service: Service, *, days: int = 300) -> "Node":
        key = SigningKey.generate(Curve.P256, deterministic=True)
        request = certificate_request(key, "CN=CCF Node", SANS)
        args = (service.key, service.certificate, NOW - 10, days)
        return cls(key, endorse(request, *args))

    @classmethod
    def self_signed(cls) -> "Node":
        key = SigningKey.generate(Curve.P256, deterministic=True)
        return cls(key, self_signed_node(key, "CN=CCF Node", SANS, 300, NOW - 10))

    @property
    def id(self) -> str:
        return self.key.public.id


SERVICE = Service.make()
NODE = Node.make(SERVICE)
OTHER_SERVICE = Service.make()
OTHER_NODE = Node.make(SERVICE)


def node_row(status: str = "Trusted", **more: object) -> bytes:
    return canonical.dumps({"status": status, **more})


@dataclass(slots=True)
class Chunk:
    """A chunk under way and what may be wrong with its file."""

    first: int
    entries: list[bytes] = field(default_factory=list)


class LedgerWriter:
    """Writes entries in order; ``chunks`` may be changed before ``save``."""

    def __init__(self) -> None:
        self.service = SERVICE
        self.node = NODE
        self.secret = SECRET
        self.view = 2
        self.seqno = 0
        self.tree = MerkleTree()
        self.chunks = [Chunk(1)]
        self.names: dict[int, str] = {}
        self.data: dict[int, bytes] = {}

    def write(self, changes: Changes, **overrides: Any) -> int:  # noqa: ANN401 - a bag of overrides
        """Append an entry.

        Overrides: version, flags, iv_seqno, iv_view, snapshot_bit, seqno, entry_type, claims,
        evidence_digest, reserved, public_maps, private_maps, secret, tag, corrupt (a function of
        the ciphertext).
        """
        self.seqno += 1
        get = overrides.get
        public_maps, private_maps = writeset.encode(changes)
        entry_type = get("entry_type", 4)
        claims = get("claims", bytes(32))
        evidence = writeset.evidence(self.secret, get("iv_view", self.view), self.seqno)
        digest = get("evidence_digest", sha256(evidence.encode()).digest())
        public = bytes([entry_type]) + get("seqno", self.seqno).to_bytes(8, "little")
        public += claims if entry_type in (2, 4) else b""
        public += digest if entry_type in (3, 4) else b""
        public += get("reserved", 0).to_bytes(8, "little") + get("public_maps", public_maps)
        iv = get("iv_seqno", self.seqno).to_bytes(8, "little")
        iv += (get("iv_view", self.view) | get("snapshot_bit", 0) << 31).to_bytes(4, "little")
        plain = get("private_maps", private_maps)
        tag, private = aead.seal(get("secret", self.secret), iv, plain, public)
        private = get("corrupt", bytes)(private)
        body = get("tag", tag) + iv + len(public).to_bytes(8, "little") + public + private
        head = bytes([get("version", 1), get("flags", 0)]) + len(body).to_bytes(6, "little")
        entry = head + body
        leaf = sha256(entry).digest()
        if entry_type in (2, 3, 4):
            leaf += digest if entry_type in (3, 4) else b""
            leaf += claims if entry_type in (2, 4) else b""
            leaf = sha256(leaf).digest()
        self.tree.append(leaf)
        self.chunks[-1].entries.append(entry)
        return self.seqno

    def sign(self, **overrides: Any) -> int:  # noqa: ANN401 - a bag of overrides
        """Append a signature transaction.

        Overrides: signature (dict of fields to replace, None leaves the table out), key,
        signed_root, tree (None leaves it out), cose (None leaves it out), cose_headers (list of
        pairs), cose_arguments, table_key, extra, public_maps, flags and others of ``write``.
        """
        seqno = self.seqno + 1
        tx_id = TxId(self.view, seqno)
        root = overrides.pop("signed_root", self.tree.root())
        key = overrides.pop("table_key", SINGLETON_KEY)
        changes: Changes = {}
        fields = overrides.pop("signature", {})
        if fields is not None:
            changes[SIGNATURES] = {key: self._signature(tx_id, root, fields)}
        tree = overrides.pop("tree", self.tree.serialise(0))
        if tree is not None:
            changes[TREE] = {SINGLETON_KEY: tree}
        message = overrides.pop("cose", self._cose(tx_id, root, overrides))
        if message is not None:
            text = canonical.dumps(canonical.b64encode(message))
            changes[COSE_SIGNATURES] = {SINGLETON_KEY: text}
        changes |= overrides.pop("extra", {})
        return self.write(changes, **overrides)

    def _signature(self, tx_id: TxId, root: bytes, fields: dict[str, object]) -> bytes:
        whole = {
            "cert": self.node.certificate.pem,
            "commit_seqno": 0,
            "commit_view": 0,
            "hashed_nonce": "0" * 64,
            "node": self.node.id,
            "root": root.hex(),
            "seqno": tx_id.seqno,
            "sig": canonical.b64encode(self.node.key.sign_digest(root)),
            "view": tx_id.view,
        } | fields
        return canonical.dumps({name: value for name, value in whole.items() if value is not None})

    def _cose(self, tx_id: TxId, root: bytes, overrides: dict[str, Any]) -> bytes:
        headers = overrides.pop("cose_headers", None)
        arguments = overrides.pop("cose_arguments", {})
        if headers is None:
            return cose_ledger.sign_root(
                self.service.key,
                root,
                arguments.get("tx_id", tx_id),
                issuer=arguments.get("issuer", "service.example.com"),
                subject="ledger.signature",
                issued_at=arguments.get("issued_at", NOW + tx_id.seqno),
            )
        pairs = headers(standard_headers(self.service, tx_id))
        return cose.sign1(self.service.key, pairs, root, detached=not arguments.get("attached"))

    def end_chunk(self) -> None:
        self.chunks.append(Chunk(self.seqno + 1))

    def genesis(self) -> None:
        self.write(
            {
                NODES_INFO: {self.node.id.encode(): node_row()},
                NODES_ENDORSED: {self.node.id.encode(): self.node.certificate.pem.encode()},
                SERVICE_INFO: self.service.row("Opening", current_service_create_txid="2.1"),
            }
        )
        self.sign()
        self.write({SERVICE_INFO: self.service.row("Open", current_service_create_txid="2.1")})
        self.sign()

    def some_writes(self, count: int = 3) -> None:
        for number in range(count):
            key = bytes([number])
            self.write({"records": {key: b"private"}, "public:records": {key: b"public"}})

    def files(self) -> dict[str, bytes]:
        """Return file name and bytes: every chunk but an unfinished last one is committed."""
        made = {}
        for index, part in enumerate(self.chunks):
            if not part.entries:
                continue
            last = part.first + len(part.entries) - 1
            if index < len(self.chunks) - 1:
                name = f"ledger_{part.first}-{last}.committed"
                data = chunk.build(part.entries)
            else:
                name = f"ledger_{part.first}"
                data = chunk.OPEN_HEADER + b"".join(part.entries)
            made[self.names.get(index, name)] = self.data.get(index, data)
        return made

    def save(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in self.files().items():
            (directory / name).write_bytes(data)
        return directory


def standard_headers(service: Service, tx_id: TxId) -> list[tuple[Any, Any]]:
    """The protected header of a root signature, as pairs that a test can change."""
    return [
        (cose.ALG, cose.ALGORITHMS[service.key.curve]),
        (cose.KID, service.key.public.id.encode()),
        (cose_ledger.VDS, 2),
        (
            cose.CWT_CLAIMS,
            {6: NOW + tx_id.seqno, 1: "service.example.com", 2: "ledger.signature"},
        ),
        (cose_ledger.CCF_V1, {"txid": str(tx_id)}),
    ]


def sound() -> LedgerWriter:
    """Two committed chunks and an open one, nothing wrong: 1-5, 6-9, 10-12."""
    writer = LedgerWriter()
    writer.genesis()
    writer.sign(flags=1)
    writer.end_chunk()
    writer.some_writes()
    writer.sign(flags=1)
    writer.end_chunk()
    writer.some_writes(2)
    writer.sign()
    return writer
