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
from ledger.crypto import cose, cose_ledger
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
