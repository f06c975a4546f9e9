"""Ledgers with a defect that CCF's readers are not asked about: recoveries, signers, rows."""

from typing import Any

from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto import cose
from ledger.crypto.certs import endorse_previous_service
from tests.reference.writeset import blob
from tests.unit.audit import ledger_writer as lw
from tests.unit.audit.defects import RECORD, Step, by, defect, service_row, signed, within, written
from tests.unit.audit.ledger_writer import LedgerWriter


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
