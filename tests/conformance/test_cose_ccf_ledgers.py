"""Every COSE message in ledgers that CCF wrote: read, verified, header made again to the byte."""

import json
from typing import Any

import pytest

from ledger.base.ids import TxId
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto import cose
from ledger.crypto.certs import Certificate
from ledger.crypto.cose_endorsement import parse_endorsement
from ledger.crypto.cose_governance import MessageType, parse_request, verify_request
from ledger.crypto.cose_ledger import parse_root_signature, verify_root_signature
from ledger.secrets.endorsement import check_identity_endorsement
from tests.conformance.ccf_package import NAMES, entries_of, needs_data, vectors_of
from tests.reference import merkle

COSE_SIGNATURES = "public:ccf.internal.cose_signatures"
SIGNATURES = "public:ccf.internal.signatures"
SERVICE_INFO = "public:ccf.gov.service.info"
ENDORSEMENT = "public:ccf.internal.previous_service_identity_endorsement"
MEMBER_CERTS = "public:ccf.gov.members.certs"
HISTORY = "public:ccf.gov.cose_history"
PROPOSALS = "public:ccf.gov.proposals"
RECENT = "public:ccf.gov.cose_recent_proposals"

pytestmark = needs_data


def _json(value: bytes | None) -> Any:  # noqa: ANN401
    assert value is not None
    return json.loads(value)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("acme_containing_service", 8),
        ("cose_flipflop_service", 5),
        ("expired_service", 18),
    ],
)
def test_root_signatures(name: str, count: int) -> None:
    roots = {row["txid"]: row.get("root_signed") for row in vectors_of(name)["transactions"]}
    service = None
    found = 0
    for entry, changes in entries_of(name):
        if SERVICE_INFO in changes:
            info = _json(changes[SERVICE_INFO][SINGLETON_KEY])
            service = Certificate.parse(info["cert"]).public_key
        if SIGNATURES in changes:
            _check_node_signature(_json(changes[SIGNATURES][SINGLETON_KEY]))
        if COSE_SIGNATURES not in changes:
            continue
        found += 1
        message = canonical.b64decode(_json(changes[COSE_SIGNATURES][SINGLETON_KEY]))
        signature = parse_root_signature(message)
        tx_id = TxId(entry.view, entry.seqno)
        root = roots[str(tx_id)]
        assert root is not None
        assert service is not None
        assert signature.has_exact_header
        verify_root_signature(signature, service, bytes.fromhex(root), tx_id)
        again = cose.assemble(signature.message.protected_bytes, None, signature.message.signature)
        assert again == message
    assert found == count


def _check_node_signature(value: dict[str, Any]) -> None:
    key = Certificate.parse(value["cert"]).public_key
    assert key.id == value["node"]
    key.verify_digest(canonical.b64decode(value["sig"]), bytes.fromhex(value["root"]))


@pytest.mark.parametrize("name", NAMES)
def test_identity_endorsements(name: str) -> None:
    found = 0
    for _, changes in entries_of(name):
        if ENDORSEMENT not in changes:
            continue
        found += 1
        value = _json(changes[ENDORSEMENT][SINGLETON_KEY])
        endorsement = check_identity_endorsement(value)
        assert endorsement.endorsed.der == canonical.b64decode(value["endorsing_key"])
        message = parse_endorsement(canonical.b64decode(value["endorsement"])).message
        assert (
            cose.encode_protected(
                endorsement.endorsed.curve,
                [
                    (15, {6: endorsement.issued_at}),
                    ("ccf.v1", {"epoch.start.txid": str(endorsement.begin)}),
                ],
            )
            == message.protected_bytes
        )
    assert found == 1


@pytest.mark.parametrize("name", NAMES)
def test_member_messages(name: str) -> None:
    """Who signed what, proposal ids and replay keys are those that CCF stored."""
    rows = vectors_of(name)["transactions"]
    leaves = [bytes(32), *(bytes.fromhex(row["leaf"]) for row in rows)]
    certificates: dict[str, Certificate] = {}
    messages = proposals = 0
    for entry, changes in entries_of(name):
        for member, pem in changes.get(MEMBER_CERTS, {}).items():
            assert pem is not None
            certificates[member.decode()] = Certificate.parse(pem)
            assert certificates[member.decode()].id == member.decode()
        for member, text in changes.get(HISTORY, {}).items():
            messages += 1
            request = parse_request(canonical.b64decode(_json(text)))
            assert request.member == member.decode()
            verify_request(request, certificates[request.member].public_key)
            if request.type is MessageType.PROPOSAL:
                proposals += 1
                _check_proposal(request, changes, leaves[: entry.seqno])
    assert messages > 0
    assert proposals > 0


def _check_proposal(request: Any, changes: Any, leaves: list[bytes]) -> None:  # noqa: ANN401
    proposal_id = request.proposal_id_under(merkle.root_of(leaves))
    assert changes[PROPOSALS][proposal_id.encode()] == request.payload
    assert _json(changes[RECENT][request.replay_key.encode()]) == proposal_id
