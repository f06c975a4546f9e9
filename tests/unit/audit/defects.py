"""Ledgers with one defect each, and who notices it.

Each is hashed and signed consistently, as a buggy writer would: ``ledger`` makes it, ``codes``
are what our audit says (and all that it says), ``ccf6`` and ``ccf7`` whether CCF's public
readers 6.0.28 and 7.0.22 accept it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto import cose, cose_ledger
from ledger.crypto.certs import endorse_previous_service
from ledger.files import chunk
from tests.reference.writeset import blob, map_record
from tests.unit.audit import ledger_writer as lw
from tests.unit.audit.ledger_writer import LedgerWriter

Step = Callable[[LedgerWriter], object]


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect."""

    name: str
    ledger: Callable[[], LedgerWriter]
    codes: frozenset[str]
    ccf6: bool
    ccf7: bool
    is_error: bool = True


def within(*steps: Step) -> Callable[[], LedgerWriter]:
    """An open chunk after genesis with the steps in it, signed at the end."""

    def make() -> LedgerWriter:
        writer = LedgerWriter()
        writer.genesis()
        writer.some_writes(1)
        for step in steps:
            step(writer)
        writer.some_writes(1)
        writer.sign()
        return writer

    return make


def written(**overrides: Any) -> Step:  # noqa: ANN401 - a bag of overrides
    """A normal write with overrides."""
    return lambda writer: writer.write(
        {"records": {b"k": b"v"}, "public:records": {b"k": b"v"}}, **overrides
    )


def signed(**overrides: Any) -> Step:  # noqa: ANN401 - a bag of overrides
    """A signature with overrides."""
    return lambda writer: writer.sign(**overrides)


def headers(change: Callable[[list[tuple[Any, Any]]], list[tuple[Any, Any]]]) -> Step:
    """A signature whose COSE header is changed before it is signed."""
    return signed(cose_headers=change)


def replaced(label: object, value: object) -> Step:
    return headers(lambda pairs: [(key, value if key == label else old) for key, old in pairs])


def without(label: object) -> Step:
    return headers(lambda pairs: [pair for pair in pairs if pair[0] != label])


def at_view(view: int, step: Step) -> Step:
    def run(writer: LedgerWriter) -> None:
        writer.view = view
        step(writer)

    return run


def by(node: lw.Node, view: int = 1, **overrides: Any) -> Step:  # noqa: ANN401 - a bag of overrides
    """Let a node sign, that many views later."""

    def run(writer: LedgerWriter) -> None:
        before, writer.node = writer.node, node
        writer.view += view
        writer.sign(**overrides)
        writer.node = before

    return run


def in_its_view(node: lw.Node, writer: LedgerWriter, **overrides: Any) -> None:  # noqa: ANN401
    """Let a node sign in a view of its own, and the one before sign in the next."""
    by(node, **overrides)(writer)
    by(writer.node)(writer)


def signer(node: lw.Node, status: str = "Trusted", node_id: str | None = None) -> Step:
    """Register a node and let it sign in a view of its own."""

    def run(writer: LedgerWriter) -> None:
        key = (node_id or node.id).encode()
        pem = node.certificate.pem.encode()
        writer.write({lw.NODES_INFO: {key: lw.node_row(status)}, lw.NODES_ENDORSED: {key: pem}})
        in_its_view(node, writer, signature={"node": key.decode()})

    return run


def by_unknown(writer: LedgerWriter) -> None:
    writer.node = lw.OTHER_NODE
    writer.sign()
    writer.node = lw.NODE


def expired(writer: LedgerWriter) -> None:
    node = lw.Node.make(lw.SERVICE, days=1)
    key = node.id.encode()
    pem = node.certificate.pem.encode()
    writer.write({lw.NODES_INFO: {key: lw.node_row()}, lw.NODES_ENDORSED: {key: pem}})
    in_its_view(node, writer, cose_arguments={"issued_at": lw.NOW + 2 * 86_400})


def service_row(row: dict[bytes, bytes | None]) -> Step:
    return lambda writer: writer.write({lw.SERVICE_INFO: row})


def replaced_service(writer: LedgerWriter) -> None:
    node = lw.Node.make(lw.OTHER_SERVICE)
    key = node.id.encode()
    writer.service, writer.node = lw.OTHER_SERVICE, node
    writer.write(
        {
            lw.SERVICE_INFO: lw.OTHER_SERVICE.row("Opening"),
            lw.NODES_INFO: {key: lw.node_row()},
            lw.NODES_ENDORSED: {key: node.certificate.pem.encode()},
        }
    )
    by(node)(writer)


def untagged(writer: LedgerWriter) -> None:
    tx_id = TxId(writer.view, writer.seqno + 1)
    message = cose.sign1(
        lw.SERVICE.key,
        lw.standard_headers(lw.SERVICE, tx_id),
        writer.tree.root(),
        detached=True,
    )
    writer.sign(cose=message[1:])


def foreign_cose(writer: LedgerWriter) -> None:
    tx_id = TxId(writer.view, writer.seqno + 1)
    message = cose.sign1(
        lw.OTHER_SERVICE.key,
        lw.standard_headers(lw.SERVICE, tx_id),
        writer.tree.root(),
        detached=True,
    )
    writer.sign(cose=message)


def chunked(change: Callable[[LedgerWriter], object], **flags: int) -> Callable[[], LedgerWriter]:
    """Two chunks, 1 to 5 committed and 6 to 7 open, changed before they are saved."""

    def make() -> LedgerWriter:
        writer = LedgerWriter()
        writer.genesis()
        writer.sign(flags=flags.get("end", 1))
        writer.end_chunk()
        writer.write({"public:records": {b"k": b"v"}}, flags=flags.get("begin", 0))
        writer.sign()
        change(writer)
        return writer

    return make


def nothing(_writer: LedgerWriter) -> None:
    """Change nothing."""


def data_of_first(
    make: Callable[[list[bytes]], bytes],
) -> Callable[[LedgerWriter], object]:
    def change(writer: LedgerWriter) -> None:
        writer.data[0] = make(writer.chunks[0].entries)

    return change


def with_bytes_before_table(entries: list[bytes]) -> bytes:
    whole = chunk.build(entries)
    end = int.from_bytes(whole[:8], "little")
    return (end + 5).to_bytes(8, "little") + whole[8:end] + b"extra" + whole[end:]


def with_table_offset(offset: int) -> Callable[[list[bytes]], bytes]:
    return lambda entries: offset.to_bytes(8, "little") + chunk.build(entries)[8:]


def with_shifted_table(entries: list[bytes]) -> bytes:
    whole = bytearray(chunk.build(entries))
    end = int.from_bytes(whole[:8], "little")
    whole[end + 4] ^= 1
    return bytes(whole)


def unsigned_chunk_end() -> LedgerWriter:
    writer = LedgerWriter()
    writer.genesis()
    writer.some_writes(1)
    writer.end_chunk()
    writer.some_writes(1)
    writer.sign()
    return writer


def wrong_start() -> LedgerWriter:
    writer = within()()
    writer.names[0] = "ledger_3"
    return writer


def unsigned_tail() -> LedgerWriter:
    writer = within()()
    writer.some_writes(2)
    return writer


def entry_changed_later(writer: LedgerWriter) -> None:
    entry = bytearray(writer.chunks[0].entries[2])
    entry[10] ^= 1
    writer.chunks[0].entries[2] = bytes(entry)


def first_dropped(writer: LedgerWriter) -> None:
    del writer.chunks[1].entries[0]


def swapped() -> LedgerWriter:
    writer = LedgerWriter()
    writer.genesis()
    writer.some_writes(3)
    writer.sign()
    entries = writer.chunks[0].entries
    entries[5], entries[6] = entries[6], entries[5]
    return writer


RECORD = map_record("public:m", {b"k": b"v"})
MAPS = {
    "maps unsorted": map_record("public:n", {b"k": b"v"}) + RECORD,
    "map twice": RECORD + RECORD,
    "map empty": map_record("public:m", {}),
    "read version set": RECORD[:16] + b"\x07" + RECORD[17:],
    "keys unsorted": blob(b"public:m")
    + bytes(16)
    + (2).to_bytes(8, "little")
    + blob(b"b")
    + blob(b"v")
    + blob(b"a")
    + blob(b"v")
    + bytes(8),
    "key twice": blob(b"public:m")
    + bytes(16)
    + (2).to_bytes(8, "little")
    + (blob(b"a") + blob(b"v")) * 2
    + bytes(8),
}


def defect(
    name: str,
    ledger: Callable[[], LedgerWriter],
    *codes: str,
    ccf6: bool = True,
    ccf7: bool = True,
    is_error: bool = True,
) -> Defect:
    return Defect(name, ledger, frozenset(codes), ccf6, ccf7, is_error)


MISSED = [
    defect("tag wrong", within(written(tag=bytes(16))), "private-domain"),
    defect("key wrong", within(written(secret=b"k" * 32)), "private-domain"),
    defect(
        "ciphertext corrupt",
        within(written(corrupt=lambda data: data[:-1] + bytes([data[-1] ^ 1]))),
        "private-domain",
    ),
    defect("IV seqno wrong", within(written(iv_seqno=99)), "iv-seqno"),
    defect("IV view too high", within(written(iv_view=7)), "view-begin", "view-order"),
    defect("IV view too low", within(written(iv_view=1)), "view-order"),
    defect("IV snapshot bit", within(written(snapshot_bit=1)), "iv-snapshot-bit"),
    defect("seqno skips", within(written(seqno=99)), "seqno-order"),
    defect("seqno repeats", within(written(seqno=5)), "seqno-order"),
    defect("view backwards", within(at_view(5, signed()), at_view(3, signed())), "view-order"),
    defect(
        "commit evidence digest of nothing",
        within(written(evidence_digest=sha256(b"nothing").digest())),
        "commit-evidence",
    ),
    defect(
        "private map in the public domain",
        within(written(public_maps=map_record("records", {b"k": b"v"}))),
        "private-map-leaked",
    ),
    *(
        defect(name, within(written(public_maps=maps)), "write-set-form")
        for name, maps in MAPS.items()
    ),
    defect("reserved word set", within(written(reserved=5)), "reserved-word"),
    defect("entry version", within(written(version=2)), "entry-version", ccf7=False),
    defect("unknown flag", within(written(flags=0x10)), "entry-flags", ccf7=False),
    defect(
        "signature seqno", within(signed(signature={"seqno": 99})), "signature-txid", ccf7=False
    ),
    defect("signature view", within(signed(signature={"view": 9})), "signature-txid", ccf7=False),
    defect("COSE kid wrong", within(replaced(cose.KID, b"0" * 64)), "cose-kid", ccf7=False),
    defect(
        "COSE txid wrong",
        within(replaced(cose_ledger.CCF_V1, {"txid": "2.99"})),
        "cose-txid",
        ccf7=False,
    ),
    defect("COSE txid missing", within(without(cose_ledger.CCF_V1)), "cose-txid", ccf7=False),
    defect(
        "COSE payload attached",
        within(signed(cose_headers=lambda pairs: pairs, cose_arguments={"attached": True})),
        "cose-payload",
        ccf7=False,
    ),
    defect("COSE kid missing", within(without(cose.KID)), "cose-kid"),
    defect("COSE vds missing", within(without(cose_ledger.VDS)), "cose-vds"),
    defect("COSE vds wrong", within(replaced(cose_ledger.VDS, 1)), "cose-vds"),
    defect("COSE CWT missing", within(without(cose.CWT_CLAIMS)), "cose-cwt"),
    defect("COSE CWT wrong", within(replaced(cose.CWT_CLAIMS, {6: "then", 1: 1})), "cose-cwt"),
    defect("COSE header order", within(headers(lambda pairs: pairs[::-1])), "cose-header-form"),
    defect("tree missing", within(signed(tree=None)), "tree-missing"),
    defect("tree garbage", within(signed(tree=b"garbage")), "tree-value"),
    defect("tree of other leaves", within(lambda w: w.sign(tree=other_tree(w))), "tree-value"),
    defect("COSE table missing", within(signed(cose=None)), "cose-missing", is_error=False),
    defect(
        "signatures table missing",
        within(signed(signature=None)),
        "node-signature-missing",
        is_error=False,
    ),
    defect(
        "table beside the signature",
        within(signed(extra={"public:records": {b"k": b"v"}})),
        "signature-extra-map",
    ),
    defect("signature under another key", within(signed(table_key=b"key")), "signature-key"),
    defect(
        "node certificate self-signed", within(signer(lw.Node.self_signed())), "node-endorsement"
    ),
    defect("node certificate expired", within(expired), "node-certificate-expired", "cose-time"),
    defect(
        "node certificate of another service",
        within(signer(lw.Node.make(lw.OTHER_SERVICE))),
        "node-endorsement",
    ),
    defect("node id of another key", within(signer(lw.OTHER_NODE, node_id="0" * 64)), "node-id"),
    defect("service replaced", within(replaced_service), "service-replaced"),
    defect(
        "service opening again", within(service_row(lw.SERVICE.row("Opening"))), "service-status"
    ),
    defect("chunk end unsigned", unsigned_chunk_end, "chunk-end"),
    defect(
        "chunk end without flag", chunked(nothing, end=0), "chunk-end-unflagged", is_error=False
    ),
    defect("end flag within a chunk", within(signed(flags=1)), "chunk-flags"),
    defect("end flag on a write", within(written(flags=1)), "chunk-flags"),
    defect("begin flag within a chunk", within(written(flags=2)), "chunk-flags"),
    defect("wrong start in the name", wrong_start, "chunk-name"),
    defect(
        "bytes before the table",
        chunked(data_of_first(with_bytes_before_table)),
        "chunk-bytes",
    ),
    defect("unsigned tail", unsigned_tail, "unsigned-tail", is_error=False),
]
"""What at least one of CCF's readers does not notice."""


def recovered(
    *, flags: int = 2, status: str = "Recovering", previous: bool = True, views: int = 2
) -> Step:
    """A disaster recovery: new service key and node, view two higher, flag 0x02."""

    def run(writer: LedgerWriter) -> None:
        writer.sign()
        if flags:
            writer.end_chunk()
        node = lw.Node.make(lw.OTHER_SERVICE)
        key = node.id.encode()
        changes: lw.Changes = {
            lw.SERVICE_INFO: lw.OTHER_SERVICE.row(status),
            lw.NODES_INFO: {key: lw.node_row(), lw.NODE.id.encode(): lw.node_row("Retired")},
            lw.NODES_ENDORSED: {key: node.certificate.pem.encode()},
        }
        if previous:
            pem = canonical.dumps(lw.SERVICE.certificate.pem)
            changes["public:ccf.gov.service.previous_service_identity"] = {SINGLETON_KEY: pem}
        writer.service, writer.node = lw.OTHER_SERVICE, node
        writer.view += views
        writer.write(changes, flags=flags)
        writer.sign()

    return run


def previous_from(version: int) -> dict[str, object]:
    """A record whose previous secret is valid from a seqno."""
    return {"previous_ledger_secret": {"version": version, "encrypted_data": ""}}


def in_turn(*values: dict[str, object]) -> list[Step]:
    """Records of historical ledger secrets, one after another."""
    name = "public:ccf.internal.historical_encrypted_ledger_secret"

    def step(value: dict[str, object]) -> Step:
        return lambda writer: writer.write({name: {SINGLETON_KEY: canonical.dumps(value)}})

    return [step(value) for value in values]


def evidence_of(digest: bytes, claims: bytes, version: int = 4) -> Step:
    value = canonical.dumps({"hash": digest.hex(), "version": version})
    name = "public:ccf.internal.snapshot_evidence"
    return lambda writer: writer.write({name: {SINGLETON_KEY: value}}, claims=claims)


def unprotected(writer: LedgerWriter) -> None:
    tx_id = TxId(writer.view, writer.seqno + 1)
    pairs = lw.standard_headers(lw.SERVICE, tx_id)
    root = writer.tree.root()
    writer.sign(
        cose=cose.sign1(lw.SERVICE.key, pairs, root, detached=True, unprotected={396: b"x"})
    )


def garbage(name: str, **overrides: Any) -> Step:  # noqa: ANN401 - a bag of overrides
    return lambda writer: writer.write({name: {SINGLETON_KEY: b"garbage"}}, **overrides)


def with_inline(cert: object) -> Step:
    """A signature with something else than text for its certificate."""

    def run(writer: LedgerWriter) -> None:
        tx_id = TxId(writer.view, writer.seqno + 1)
        fields = canonical.loads(writer._signature(tx_id, writer.tree.root(), {}))
        value = canonical.dumps(fields | {"cert": cert})
        writer.sign(signature=None, extra={lw.SIGNATURES: {SINGLETON_KEY: value}})

    return run


def unsigned() -> LedgerWriter:
    writer = LedgerWriter()
    writer.some_writes()
    return writer


def bad_node_pem(writer: LedgerWriter) -> None:
    writer.write({lw.NODES_ENDORSED: {b"n" * 64: b"garbage", b"\xff": b"garbage"}})


def two_certificates(writer: LedgerWriter) -> None:
    key = lw.OTHER_NODE.id.encode()
    pem = lw.OTHER_NODE.certificate.pem
    row = lw.node_row("Pending", cert=pem)
    writer.write({lw.NODES_INFO: {key: row}, lw.NODES_ENDORSED: {key: pem.encode()}})


def gone_node(writer: LedgerWriter) -> None:
    """The node marks itself as gone, which it has to sign, and signs again in a later view."""
    mark_gone(writer)
    writer.sign()
    writer.view += 1
    writer.sign()


def registered(node: lw.Node, **more: object) -> Step:
    """The row of another node, and its certificate."""
    key = node.id.encode()
    row = lw.node_row("Retired" if more else "Trusted", **more)
    pem = node.certificate.pem.encode()
    return lambda writer: writer.write({lw.NODES_INFO: {key: row}, lw.NODES_ENDORSED: {key: pem}})


def mark_gone(writer: LedgerWriter) -> None:
    row = lw.node_row("Retired", retired_committed=True)
    writer.write({lw.NODES_INFO: {lw.NODE.id.encode(): row}})


def node_status(status: object) -> Step:
    """The row of the signing node gets a status of any type."""
    row = canonical.dumps({"status": status})
    return lambda writer: writer.write({lw.NODES_INFO: {lw.NODE.id.encode(): row}})


def foreign_service_certificate() -> LedgerWriter:
    """The service's certificate is signed by another service's key."""
    endorsed = endorse_previous_service(
        lw.SERVICE.certificate, lw.OTHER_SERVICE.key, lw.OTHER_SERVICE.certificate, lw.NOW - 10, 365
    )
    writer = LedgerWriter()
    writer.service = lw.Service(lw.SERVICE.key, endorsed)
    writer.genesis()
    return writer


OWN = [
    defect("recovery", within(recovered()), "recovery", is_error=False, ccf6=True),
    defect("recovery without flag", within(recovered(flags=0)), "service-replaced", "view-begin"),
    defect("recovery that opens", within(recovered(status="Opening")), "service-replaced"),
    defect("recovery without its past", within(recovered(previous=False)), "service-replaced"),
    defect("recovery in its view", within(recovered(views=0)), "service-replaced", "signer-other"),
    *(
        defect(
            f"recovery {views} views later",
            within(recovered(views=views)),
            "recovery",
            "recovery-view",
            is_error=False,
        )
        for views in (1, 3)
    ),
    defect("service certificate endorsed", foreign_service_certificate, "service-certificate"),
    defect(
        "secret chain",
        within(*in_turn({"next_version": 1}, previous_from(5))),
        "secret-chain",
        is_error=False,
    ),
    defect(
        "snapshot evidence of other claims",
        within(evidence_of(b"h" * 32, b"c" * 32)),
        "snapshot-evidence",
    ),
    defect(
        "snapshot evidence of the future",
        within(evidence_of(b"h" * 32, b"h" * 32, 99)),
        "snapshot-evidence",
    ),
    defect(
        "snapshot evidence of garbage",
        within(garbage("public:ccf.internal.snapshot_evidence")),
        "snapshot-evidence",
    ),
    defect(
        "secret record of garbage",
        within(garbage("public:ccf.internal.historical_encrypted_ledger_secret")),
        "secret-chain",
    ),
    defect("empty entry", within(lambda writer: writer.write({})), "entry-empty"),
    defect("public map hidden", within(written(private_maps=RECORD)), "public-map-hidden"),
    defect("private maps cut", within(written(private_maps=RECORD[:-1])), "private-write-set"),
    defect("COSE unprotected header", within(unprotected), "cose-unprotected"),
    defect(
        "COSE time backwards",
        within(signed(cose_arguments={"issued_at": lw.NOW - 9})),
        "cose-time",
        is_error=False,
    ),
    defect(
        "COSE issuer changed",
        within(signed(cose_arguments={"issuer": "other"})),
        "cose-names",
        is_error=False,
    ),
    defect(
        "signature of garbage",
        within(garbage(lw.SIGNATURES)),
        "signature-format",
        "tree-missing",
        "cose-missing",
    ),
    defect("service row of garbage", within(garbage(lw.SERVICE_INFO)), "service-row"),
    defect("service row removed", within(service_row({SINGLETON_KEY: None})), "service-row"),
    *(
        defect(
            f"certificate {cert!r} beside a signature",
            within(with_inline(cert)),
            "signature-format",
        )
        for cert in (5, ["PEM"], None)
    ),
    defect(
        "no signature",
        unsigned,
        "ledger-unsigned",
        "unsigned-tail",
        "service-untied",
        is_error=False,
    ),
    defect("node certificates of garbage", within(bad_node_pem), "node-certificate", "node-id"),
    defect("two certificates of a node", within(two_certificates), "node-certificate"),
    defect("signer gone", within(gone_node), "signer-status"),
    defect(
        "signature with a private map",
        within(signed(extra={"records": {b"k": b"v"}})),
        "signature-private",
    ),
    defect("signature with claims", within(signed(claims=b"c" * 32)), "signature-claims"),
    *(
        defect(
            f"signature that removes {name.rpartition('.')[2]}",
            within(signed(extra={name: {SINGLETON_KEY: None}})),
            "signature-remove",
            *codes,
        )
        for name, codes in (
            (lw.SIGNATURES, []),
            (lw.COSE_SIGNATURES, ["cose-missing"]),
            (lw.TREE, ["tree-missing"]),
        )
    ),
    defect(
        "tree value without a signature",
        within(lambda writer: writer.write({lw.TREE: {SINGLETON_KEY: writer.tree.serialise(0)}})),
        "tree-alone",
    ),
    defect(
        "two signers in one view",
        within(registered(lw.OTHER_NODE), signed(), by(lw.OTHER_NODE, 0)),
        "signer-other",
    ),
    defect(
        "signer gone before its view",
        within(registered(lw.OTHER_NODE, retired_committed=True), by(lw.OTHER_NODE), by(lw.NODE)),
        "signer-status",
    ),
    defect(
        "signer gone in another's view",
        within(registered(lw.OTHER_NODE, retired_committed=True), by(lw.OTHER_NODE, 0)),
        "signer-status",
        "signer-other",
    ),
    defect(
        "old node after a recovery",
        within(recovered(), by(lw.NODE, 0)),
        "signer-other",
        "node-endorsement",
        "recovery",
    ),
    *(
        defect(f"signer's status {status!r}", within(node_status(status)), "signer-status")
        for status in (["Trusted"], {"Trusted": 1}, 1 << 80, None)
    ),
    defect(
        "snapshot in a chunk",
        within(written(entry_type=1, public_maps=blob(b"l" * 32) + blob(b""))),
        "entry-type",
    ),
]
"""What our audit says beyond that; CCF's readers are not asked."""


def other_tree(writer: LedgerWriter) -> bytes:
    data = bytearray(writer.tree.serialise(0))
    data[20] ^= 1
    return bytes(data)


def refused(
    name: str, ledger: Callable[[], LedgerWriter], *codes: str, is_error: bool = True
) -> Defect:
    return defect(name, ledger, *codes, ccf6=False, ccf7=False, is_error=is_error)


REFUSED = [
    refused(
        "entry changed later",
        chunked(entry_changed_later),
        "signature-root",
        "entry-changed",
        "private-domain",
    ),
    refused("entry dropped", chunked(first_dropped), "chunk-name", "ledger-gap", "tree-trusted"),
    refused(
        "entries swapped",
        swapped,
        "signature-root",
        "entry-changed",
        "seqno-order",
        "iv-seqno",
        "commit-evidence",
        "unsigned-tail",
    ),
    refused("root wrong", within(signed(signed_root=b"r" * 32)), "signature-root", "tree-value"),
    refused(
        "node signature bad",
        within(signed(signature={"sig": canonical.b64encode(lw.NODE.key.sign_digest(bytes(32)))})),
        "signature-node",
    ),
    refused("COSE signature bad", within(foreign_cose), "cose-signature"),
    refused("signer pending", within(signer(lw.OTHER_NODE, "Pending")), "signer-status"),
    refused("signer unknown", within(by_unknown), "signer-unknown"),
    refused(
        "inline certificate of another key",
        within(signed(signature={"cert": lw.OTHER_NODE.certificate.pem})),
        "signer-certificate",
    ),
    refused("COSE untagged", within(untagged), "cose-format"),
    refused(
        "service status step",
        within(service_row(lw.SERVICE.row("WaitingForRecoveryShares"))),
        "service-status",
    ),
    refused(
        "reads recorded",
        within(
            written(
                public_maps=RECORD[:24]
                + (1).to_bytes(8, "little")
                + blob(b"r")
                + bytes(8)
                + RECORD[32:]
            )
        ),
        "write-set-form",
    ),
    refused("maps truncated", within(written(public_maps=RECORD[:-1])), "write-set"),
    refused(
        "map name not UTF-8",
        within(written(public_maps=RECORD.replace(b"public:m", b"public:\xff"))),
        "write-set",
    ),
    refused("entry type 2", within(written(entry_type=2)), "entry-type-old", is_error=False),
    refused(
        "name with another count",
        chunked(lambda w: w.names.update({0: "ledger_1-4.committed"})),
        "chunk-name",
    ),
    refused(
        "table offset zero",
        chunked(data_of_first(with_table_offset(0))),
        "chunk-table",
        "chunk-cut",
    ),
    refused(
        "table offset out of bounds",
        chunked(data_of_first(with_table_offset(1 << 40))),
        "chunk-table",
        "chunk-bytes",
    ),
    refused("table shifted", chunked(data_of_first(with_shifted_table)), "chunk-table"),
]
"""What both of CCF's readers refuse."""
