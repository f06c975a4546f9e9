"""Every check of a signed request, one after the other."""

import cbor2
import pytest

from ledger.crypto.cose_governance import MessageType, sign_request
from ledger.crypto.keys import Curve
from ledger.kv.tx import Tx
from ledger.tables.members import MEMBER_CERTS, MEMBER_INFO
from tests.unit.governance.gov_kit import (
    COSE_HEADERS,
    NOW,
    VERSION,
    Consortium,
    Person,
    action,
    person,
)

CREATE = "/members/proposals:create"
PROPOSAL = {"actions": [action("set_user", cert=person("user0").pem)]}


def signed(service: Consortium, kind: MessageType = MessageType.PROPOSAL) -> bytes:
    proposal_id = "00" * 32 if kind is MessageType.BALLOT else None
    return service.message("alice", kind, PROPOSAL, proposal_id=proposal_id)


def edited(message: bytes, **changes: object) -> bytes:
    """Return a message with parts replaced, its signature as it was."""
    tagged = cbor2.loads(message)
    protected, unprotected, payload, signature = tagged.value
    parts = {
        "protected": protected,
        "unprotected": unprotected,
        "payload": payload,
        "signature": signature,
    } | changes
    return cbor2.dumps(cbor2.CBORTag(18, list(parts.values())))


def reheaded(message: bytes, label: object, value: object = None) -> bytes:
    """Return a message with one protected header set, or removed when the value is None."""
    header = dict(cbor2.loads(cbor2.loads(message).value[0]))
    if value is None:
        header.pop(label)
    else:
        header[label] = value
    return edited(message, protected=cbor2.dumps(header))


def mangled(name: str, service: Consortium) -> bytes:
    """Return a message that is wrong in one way."""
    message = signed(service)
    match name:
        case "empty":
            return b""
        case "json":
            return b'{"actions":[]}'
        case "truncated":
            return message[:-1]
        case "trailing":
            return message + b"\x00"
        case "untagged":
            return message[1:]
        case "detached":
            return edited(message, payload=None)
        case "payload changed":
            return edited(message, payload=b"{}")
        case "signature changed":
            return edited(message, signature=bytes(64))
        case "signature short":
            return edited(message, signature=bytes(10))
        case "no alg":
            return reheaded(message, 1)
        case "no kid":
            return reheaded(message, 4)
        case "no type":
            return reheaded(message, "ccf.gov.msg.type")
        case "no created_at":
            return reheaded(message, "ccf.gov.msg.created_at")
        case "negative created_at":
            return reheaded(message, "ccf.gov.msg.created_at", -1)
        case "rsa alg":
            return reheaded(message, 1, -37)
        case "other curve":
            return reheaded(message, 1, -35)
        case "critical header":
            return reheaded(message, 2, ["x"])
        case "unknown kid":
            return reheaded(message, 4, b"00" * 32)
        case "other member's kid":
            return reheaded(message, 4, person("bob").id.encode())
        case "kid in capitals":
            return reheaded(message, 4, person("alice").id.upper().encode())
        case "wrong type":
            return signed(service, MessageType.ACK)
        case "unknown type":
            return reheaded(message, "ccf.gov.msg.type", "coup")
        case _:
            raise AssertionError(name)


NAMES = (
    "empty",
    "json",
    "truncated",
    "trailing",
    "untagged",
    "detached",
    "payload changed",
    "signature changed",
    "signature short",
    "no alg",
    "no kid",
    "no type",
    "no created_at",
    "negative created_at",
    "rsa alg",
    "other curve",
    "critical header",
    "unknown kid",
    "other member's kid",
    "kid in capitals",
    "wrong type",
    "unknown type",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_message_that_is_wrong_in_any_way_is_401(name: str) -> None:
    service = Consortium()
    answer = service.post(CREATE, mangled(name, service))
    assert (answer.status, answer.error_code) == (401, "InvalidAuthenticationInfo")
    [detail] = answer.json()["error"]["details"]
    assert detail["auth_policy"] == "active_member_cose_sign1"
    assert answer.headers["www-authenticate"] == 'COSE-SIGN1 realm="Signed request access"'
    assert not service.failures


def test_the_content_type_has_to_be_cose() -> None:
    service = Consortium()
    for headers in ({}, {"content-type": "application/json"}, {"content-type": "text/cose"}):
        answer = service.caller.post(
            f"/gov{CREATE}{VERSION}", body=signed(service), headers=headers
        )
        assert answer.status == 401
    with_parameters = {"content-type": "Application/COSE; cose-type=cose-sign1"}
    call = service.caller.start(
        "POST", f"/gov{CREATE}{VERSION}", body=signed(service), headers=with_parameters
    )
    service.queue.pump()
    assert call.result().status == 200


@pytest.mark.parametrize("kind", [MessageType.PROPOSAL, MessageType.BALLOT])
def test_an_accepted_member_may_not_act_yet(kind: MessageType) -> None:
    service = Consortium(active=False)
    path = CREATE
    if kind is MessageType.BALLOT:
        path = f"/members/proposals/{'00' * 32}/ballots/{person('alice').id}:submit"
    answer = service.post(path, signed(service, kind))
    assert (answer.status, answer.error_code) == (401, "InvalidAuthenticationInfo")
    assert answer.json()["error"]["details"][0]["message"] == "Signer is not an active member."


def test_a_removed_member_is_unknown() -> None:
    service = Consortium()

    def remove(tx: Tx) -> None:
        tx.table(MEMBER_CERTS).remove(person("alice").id)
        tx.table(MEMBER_INFO).remove(person("alice").id)

    service.write(remove)
    assert service.post(CREATE, signed(service)).status == 401


@pytest.mark.parametrize("curve", list(Curve))
def test_members_sign_with_any_curve(curve: Curve) -> None:
    member = Person(f"curve {curve.value}", curve)
    service = Consortium()

    def admit(tx: Tx) -> None:
        info = tx.table(MEMBER_INFO).get(person("alice").id)
        assert info is not None
        tx.table(MEMBER_CERTS).put(member.id, member.pem)
        tx.table(MEMBER_INFO).put(member.id, info)

    service.write(admit)
    message = sign_request(
        member.key, member.id, MessageType.PROPOSAL, b'{"actions":[]}', created_at=NOW
    )
    assert service.post(CREATE, message).status == 200


def test_headers_may_come_in_any_order_and_others_are_ignored() -> None:
    service = Consortium()
    alice = person("alice")
    header = {
        "x": [1, {"y": None}],
        "ccf.gov.msg.created_at": NOW,
        4: alice.id.encode(),
        "ccf.gov.msg.type": "proposal",
        1: -7,
    }
    protected = cbor2.dumps(header)
    payload = b'{"actions":[]}'
    signature = alice.key.sign_raw(cbor2.dumps(["Signature1", protected, b"", payload]))
    message = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    assert service.post(CREATE, message).status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MissingApiVersionParameter"),
        ("?api-version=", "UnsupportedApiVersionValue"),
        ("?api-version=2020-01-01", "UnsupportedApiVersionValue"),
        ("?version=2024-07-01", "MissingApiVersionParameter"),
    ],
)
def test_calls_name_a_version(query: str, code: str) -> None:
    service = Consortium()
    answer = service.get("/service/info", query)
    assert (answer.status, answer.error_code) == (400, code)
    answer = service.post(CREATE, signed(service), query)
    assert (answer.status, answer.error_code) == (400, code)


def test_both_versions_are_answered() -> None:
    service = Consortium()
    for version in ("2024-07-01", "2023-06-01-preview"):
        assert service.get("/service/info", f"?api-version={version}").status == 200


def test_the_signature_is_asked_for_before_the_version() -> None:
    service = Consortium()
    answer = service.caller.post("/gov" + CREATE, body=b"", headers=COSE_HEADERS)
    assert answer.status == 401
