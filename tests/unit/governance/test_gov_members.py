"""Members: state digests, acknowledgement, recovery shares that follow membership."""

import pytest

from governance.operations import OperationRefused, ShareProgress
from ledger.codec.canonical import b64encode
from ledger.crypto.cose_governance import MessageType
from ledger.endpoints.response import JSON
from ledger.kv.tx import Tx
from ledger.secrets.shares import decrypt_share, unwrap_with_shares
from ledger.tables.internal import RECOVERY_SHARES, SIGNATURES
from ledger.tables.members import MEMBER_ACKS, MEMBER_INFO, RecoveryRole
from ledger.testing.app_client import Answer
from tests.unit.governance.gov_kit import (
    Consortium,
    action,
    encryption_key,
    first_member,
    person,
)


def update(service: Consortium, name: str, path_name: str | None = None) -> Answer:
    path = f"/members/state-digests/{person(path_name or name).id}:update"
    return service.post(path, service.message(name, MessageType.STATE_DIGEST))


def ack(service: Consortium, name: str, digest: object, path_name: str | None = None) -> Answer:
    path = f"/members/state-digests/{person(path_name or name).id}:ack"
    payload = {"stateDigest": digest}
    return service.post(path, service.message(name, MessageType.ACK, payload))


def test_an_accepted_member_becomes_active_by_signing_the_last_root() -> None:
    service = Consortium(active=False)
    root = service.sign()
    updated = update(service, "alice")
    assert updated.json() == {"memberId": person("alice").id, "stateDigest": root}
    assert service.get(f"/members/state-digests/{person('alice').id}").json() == updated.json()
    assert not service.is_active("alice")
    done = ack(service, "alice", root)
    assert (done.status, done.body) == (204, b"")
    assert service.is_active("alice")
    row = service.read(MEMBER_ACKS, person("alice").id)
    assert row.state_digest == root
    assert row.cose_sign1_req is not None
    assert service.operations.triggered == []


@pytest.mark.parametrize("digest", ["00" * 32, "", None, 3])
def test_another_digest_is_refused(digest: object) -> None:
    service = Consortium(active=False)
    update(service, "alice")
    answer = ack(service, "alice", digest)
    wanted = "StateDigestMismatch" if isinstance(digest, str) else "InvalidInput"
    assert (answer.status, answer.error_code) == (400, wanted)
    assert not service.is_active("alice")


def test_the_empty_digest_of_genesis_cannot_be_acknowledged() -> None:
    service = Consortium(active=False)
    assert service.read(MEMBER_ACKS, person("alice").id).state_digest == ""
    assert ack(service, "alice", "").error_code == "StateDigestMismatch"


def test_the_path_has_to_name_the_signer() -> None:
    service = Consortium(active=False)
    for answer in (update(service, "alice", "bob"), ack(service, "alice", "", "bob")):
        assert (answer.status, answer.error_code) == (400, "InvalidAuthenticationInfo")


def test_without_a_signature_there_is_no_digest() -> None:
    service = Consortium(active=False)
    service.write(lambda tx: tx.singleton(SIGNATURES).remove())
    answer = update(service, "alice")
    assert (answer.status, answer.error_code) == (500, "InternalError")


def test_who_never_asked_has_no_record() -> None:
    service = Consortium(active=False)
    service.write(lambda tx: tx.table(MEMBER_ACKS).remove(person("alice").id))
    answer = ack(service, "alice", "00" * 32)
    assert (answer.status, answer.error_code) == (403, "AuthorizationFailed")
    assert service.get(f"/members/state-digests/{person('alice').id}").status == 404


def test_a_member_that_becomes_active_in_an_open_service_gets_a_share() -> None:
    service = Consortium(threshold=2)
    service.open()
    key = encryption_key()
    admitted = service.pass_actions(
        action("set_member", cert=person("dave").pem, encryption_pub_key=key.public.pem)
    )
    assert admitted.json()["proposalState"] == "Accepted", admitted
    assert service.get(f"/recovery/encrypted-shares/{person('dave').id}").status == 404
    digest = update(service, "dave").json()["stateDigest"]
    assert ack(service, "dave", digest).status == 204
    assert service.operations.triggered == ["shares"]
    shares = service.read_one(RECOVERY_SHARES)
    names = ("alice", "bob", "carol", "dave")
    assert sorted(shares["encrypted_shares"]) == sorted(person(name).id for name in names)
    opened = [decrypt_share(shares, person(name).id, key) for name in ("alice", "dave")]
    assert unwrap_with_shares(shares, opened) == service.operations.secret.key
    again = ack(service, "dave", digest)
    assert again.status == 204
    assert service.operations.triggered == ["shares"]


def test_encrypted_shares_are_readable() -> None:
    service = Consortium()
    service.open()
    answer = service.get(f"/recovery/encrypted-shares/{person('alice').id}").json()
    shares = service.read_one(RECOVERY_SHARES)["encrypted_shares"]
    assert answer == {
        "memberId": person("alice").id,
        "encryptedShare": shares[person("alice").id],
    }


@pytest.mark.parametrize(
    ("members", "threshold", "words"),
    [
        ([first_member("alice", recovers=False)], 1, "no active member holds a recovery share"),
        (["alice"], 2, "fewer than the recovery threshold 2"),
    ],
)
def test_a_service_that_could_not_be_recovered_does_not_open(
    members: list[object], threshold: int, words: str
) -> None:
    service = Consortium(members, threshold=threshold)  # type: ignore[arg-type]
    answer = service.pass_actions(
        action("transition_service_to_open", next_service_identity=service.service_pem)
    )
    assert answer.status == 500
    assert words in answer.json()["error"]["message"]


def test_owners_alone_can_open() -> None:
    service = Consortium([first_member("alice", role=RecoveryRole.OWNER)])
    service.open()
    shares = service.read_one(RECOVERY_SHARES)
    share = decrypt_share(shares, person("alice").id, encryption_key())
    assert unwrap_with_shares(shares, [share]) == service.operations.secret.key


def test_an_operation_that_the_node_refuses_is_told() -> None:
    service = Consortium(active=False)
    service.activate(person("bob").id)
    service.open()
    service.write(lambda tx: tx.singleton(RECOVERY_SHARES).remove())

    def refuse(tx: Tx) -> None:
        del tx
        raise OperationRefused("no key at hand")

    service.operations.refresh_recovery_shares = refuse  # type: ignore[method-assign]
    digest = update(service, "alice").json()["stateDigest"]
    answer = ack(service, "alice", digest)
    assert (answer.status, answer.error_code) == (500, "InternalError")
    assert "no key at hand" in answer.json()["error"]["message"]
    assert service.read(MEMBER_INFO, person("alice").id).status.value == "Accepted"


class TestSubmittedShares:
    def submit(self, service: Consortium, payload: object) -> Answer:
        path = f"/recovery/members/{person('alice').id}:recover"
        return service.post(path, service.message("alice", MessageType.RECOVERY_SHARE, payload))

    def test_only_while_the_service_waits_for_them(self) -> None:
        answer = self.submit(Consortium(), {"share": b64encode(bytes(44))})
        assert (answer.status, answer.error_code) == (
            403,
            "ServiceNotWaitingForRecoveryShares",
        )

    def waiting(self) -> Consortium:
        service = Consortium()

        def wait(tx: Tx) -> None:
            raw = tx.map("public:ccf.gov.service.info").get(bytes(8))
            assert raw is not None
            changed = raw.replace(b'"Opening"', b'"WaitingForRecoveryShares"')
            tx.map("public:ccf.gov.service.info").put(bytes(8), changed)

        service.write(wait)
        return service

    @pytest.mark.parametrize("payload", [b"", {"share": "?"}, {"share": b64encode(bytes(43))}])
    def test_what_is_no_share_is_refused(self, payload: object) -> None:
        answer = self.submit(self.waiting(), payload)
        assert (answer.status, answer.error_code) == (400, "InvalidInput")

    @pytest.mark.parametrize(
        ("progress", "message"),
        [
            (ShareProgress(1, 2, False, False), "1/2 recovery shares successfully submitted."),
            (
                ShareProgress(2, 2, False, True),
                "2/2 recovery shares successfully submitted. End of recovery procedure initiated.",
            ),
            (
                ShareProgress(1, 2, True, True),
                "Full recovery key successfully submitted. End of recovery procedure initiated.",
            ),
        ],
    )
    def test_progress_is_told(self, progress: ShareProgress, message: str) -> None:
        service = self.waiting()
        service.operations.progress = progress
        answer = self.submit(service, {"share": b64encode(bytes(44))})
        assert answer.status == 200
        assert answer.headers["content-type"].encode() == JSON
        assert answer.json() == {
            "message": message,
            "submittedCount": progress.submitted,
            "recoveryThreshold": progress.threshold,
            "fullKeySubmitted": progress.full_key_submitted,
        }

    def test_what_the_node_refuses_is_told(self) -> None:
        answer = self.submit(self.waiting(), {"share": b64encode(bytes(44))})
        assert (answer.status, answer.error_code) == (500, "InternalError")
