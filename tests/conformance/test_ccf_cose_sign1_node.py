"""Members govern a running node with the tools of CCF's package, with nothing of ours between.

``ccf_cose_sign1`` signs state digests, acknowledgements, proposals, ballots and withdrawals;
``_prepare`` and ``_finish`` do it with the key elsewhere. Then what must not be accepted: messages
sent again, out of the window of time, for another endpoint, changed, or of nobody.
"""

import base64
import datetime
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.client.identity import Identity, create_identity
from ledger.crypto.keys import SigningKey
from tests.conformance.ccf_package import CcfPackage
from tests.e2e.node_kit import Caller, Reply, Running, service

pytestmark = pytest.mark.e2e

VERSION = "api-version=2024-07-01"
CREATE = "/gov/members/proposals:create"
YES = "def vote(proposal, proposer_id): return True"
P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("signed") / "sandbox") as made:
        yield made
    assert made.complaints == ""


class Signer:
    """A member with the package's tools."""

    def __init__(self, running: Running, ccf: CcfPackage, caller: Caller) -> None:
        self._running = running
        self._ccf = ccf
        self._caller = caller
        self.id = Identity.load(Path(caller.certificate), Path(caller.key)).id

    def sign(
        self,
        kind: str,
        payload: object = None,
        proposal: str | None = None,
        moment: datetime.datetime | None = None,
    ) -> bytes:
        """Return a signed message, as ``ccf_cose_sign1`` prints it."""
        command = self._command("ccf_cose_sign1", kind, proposal, moment)
        return self._run([*command, "--signing-key", self._caller.key], _body(payload))

    def sign_elsewhere(self, kind: str, payload: object) -> bytes:
        """Return a signed message: digest by one tool, signature by a vault, message by another."""
        moment = now()
        command = self._command("ccf_cose_sign1_prepare", kind, None, moment)
        prepared = json.loads(self._run(command, _body(payload)))
        key = SigningKey.from_pem(Path(self._caller.key).read_bytes())
        signature = _raw(key, base64.b64decode(prepared["value"]))
        file = self._running.directory / "signature.json"
        file.write_text(json.dumps({"value": base64.urlsafe_b64encode(signature).decode()}))
        command = self._command("ccf_cose_sign1_finish", kind, None, moment)
        return self._run([*command, "--signature", str(file)], _body(payload))

    def send(self, path: str, message: bytes) -> Reply:
        with self._running.wire() as wire:
            return wire.ask(
                "POST", f"{path}?{VERSION}", message, {"content-type": "application/cose"}
            )

    def _command(
        self, tool: str, kind: str, proposal: str | None, moment: datetime.datetime | None
    ) -> list[str]:
        command = [self._ccf.tool(tool), "--content", "-", "--ccf-gov-msg-type", kind]
        command += ["--signing-cert", self._caller.certificate]
        command += ["--ccf-gov-msg-created_at", (moment or now()).isoformat()]
        if proposal is not None:
            command += ["--ccf-gov-msg-proposal_id", proposal]
        return command

    def _run(self, command: list[str], content: bytes) -> bytes:
        done = subprocess.run(command, input=content, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the tools need the real time


def _body(payload: object) -> bytes:
    return b"" if payload is None else json.dumps(payload).encode()


def _raw(key: SigningKey, digest: bytes) -> bytes:
    """Sign a digest as vaults do: r and s after each other."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415

    signature = key.library_key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA384())))
    first, second = utils.decode_dss_signature(signature)
    return first.to_bytes(48, "big") + second.to_bytes(48, "big")


@pytest.fixture
def signers(running: Running, ccf: CcfPackage) -> list[Signer]:
    return [Signer(running, ccf, member) for member in running.members]


def proposing(running: Running, name: str) -> dict[str, Any]:
    """Return a proposal to add a user of this name."""
    moment = int(running.service_certificate.stat().st_mtime)
    certificate = create_identity(running.directory, name, moment).certificate.pem
    return {"actions": [{"name": "set_user", "args": {"cert": certificate}}]}


def test_life_of_proposals(running: Running, ccf: CcfPackage, signers: list[Signer]) -> None:
    first, second, third = signers
    digests = f"/gov/members/state-digests/{first.id}"
    updated = first.send(f"{digests}:update", first.sign("state_digest"))
    assert updated.status == 200
    digest = {"stateDigest": updated.json()["stateDigest"]}
    assert first.send(f"{digests}:ack", first.sign("ack", digest)).status == 204

    created = first.send(CREATE, first.sign("proposal", proposing(running, f"a{ccf.major}")))
    assert (created.status, created.json()["proposalState"]) == (200, "Open")
    proposal = created.json()["proposalId"]
    ballots = f"/gov/members/proposals/{proposal}/ballots"
    for signer, state in ((first, "Open"), (second, "Accepted")):
        message = signer.sign("ballot", {"ballot": YES}, proposal)
        voted = signer.send(f"{ballots}/{signer.id}:submit", message)
        assert (voted.status, voted.json()["proposalState"]) == (200, state)

    elsewhere = second.sign_elsewhere("proposal", proposing(running, f"b{ccf.major}"))
    created = second.send(CREATE, elsewhere)
    assert (created.status, created.json()["proposalState"]) == (200, "Open")
    proposal = created.json()["proposalId"]
    path = f"/gov/members/proposals/{proposal}:withdraw"
    not_its = third.send(path, third.sign("withdrawal", None, proposal))
    assert (not_its.status, not_its.code) == (403, "AuthorizationFailed")
    withdrawn = second.send(path, second.sign("withdrawal", None, proposal))
    assert (withdrawn.status, withdrawn.json()["proposalState"]) == (200, "Withdrawn")


def test_what_is_sent_again_is_refused(
    running: Running, ccf: CcfPackage, signers: list[Signer]
) -> None:
    signer = signers[0]
    message = signer.sign("proposal", proposing(running, f"c{ccf.major}"))
    assert signer.send(CREATE, message).status == 200
    again = signer.send(CREATE, message)
    assert (again.status, again.code) == (400, "ProposalReplay")
    # Whoever sees a message can make the other valid signature of its content: (r, n - s).
    second = int.from_bytes(message[-48:], "big")
    twin = message[:-48] + (P384_ORDER - second).to_bytes(48, "big")
    again = signer.send(CREATE, twin)
    assert (again.status, again.code) == (400, "ProposalReplay")


def test_window_of_time(running: Running, ccf: CcfPackage, signers: list[Signer]) -> None:
    signer = signers[1]
    for number in range(3):
        body = proposing(running, f"d{ccf.major}{number}")
        assert signer.send(CREATE, signer.sign("proposal", body)).status == 200
    body = proposing(running, f"e{ccf.major}")
    early = now() - datetime.timedelta(days=1)
    refused = signer.send(CREATE, signer.sign("proposal", body, moment=early))
    assert (refused.status, refused.code) == (400, "ProposalCreatedTooLongAgo")
    assert signer.send(CREATE, signer.sign("proposal", body)).status == 200


def test_what_is_not_what_it_has_to_be(
    running: Running, ccf: CcfPackage, signers: list[Signer]
) -> None:
    first, second, _ = signers
    created = first.send(CREATE, first.sign("proposal", proposing(running, f"f{ccf.major}")))
    proposal = created.json()["proposalId"]
    ballot = f"/gov/members/proposals/{proposal}/ballots/{second.id}:submit"
    good = second.sign("ballot", {"ballot": YES}, proposal)
    stranger = create_identity(running.directory, f"stranger{ccf.major}", int(now().timestamp()))
    nobody = Signer(running, ccf, Caller(str(stranger.certificate_file), str(stranger.key_file)))
    cases: dict[str, tuple[str, bytes, int, str]] = {
        "another type": (ballot, second.sign("proposal", {}), 401, "InvalidAuthenticationInfo"),
        "another proposal": (
            ballot,
            second.sign("ballot", {"ballot": YES}, "0" * 64),
            400,
            "InvalidResourceName",
        ),
        "another member's ballot": (
            ballot,
            first.sign("ballot", {"ballot": YES}, proposal),
            400,
            "InvalidAuthenticationInfo",
        ),
        "changed": (
            ballot,
            good[:-1] + bytes([good[-1] ^ 1]),
            401,
            "InvalidAuthenticationInfo",
        ),
        "cut off": (ballot, good[:-1], 401, "InvalidAuthenticationInfo"),
        "followed by more": (ballot, good + b"\0", 401, "InvalidAuthenticationInfo"),
        "not tagged": (ballot, good[1:], 401, "InvalidAuthenticationInfo"),
        "of nobody": (
            CREATE,
            nobody.sign("proposal", {"actions": []}),
            401,
            "InvalidAuthenticationInfo",
        ),
        "no JSON": (CREATE, first.sign("proposal", None), 400, "ProposalFailedToValidate"),
        "no action": (
            CREATE,
            first.sign("proposal", {"actions": [{"name": "no_such"}]}),
            400,
            "ProposalFailedToValidate",
        ),
    }
    for name, (path, message, status, code) in cases.items():
        reply = first.send(path, message)
        assert (reply.status, reply.code) == (status, code), (name, reply)
        if status == 401:
            challenge = 'COSE-SIGN1 realm="Signed request access"'
            assert reply.headers["www-authenticate"] == challenge, name
    assert second.send(ballot, good).status == 200
    same = second.send(ballot, good)
    assert same.status == 200, "the same ballot again changes nothing"
    other = second.sign("ballot", {"ballot": YES.replace("True", "False")}, proposal)
    refused = second.send(ballot, other)
    assert (refused.status, refused.code) == (400, "VoteAlreadyExists")
