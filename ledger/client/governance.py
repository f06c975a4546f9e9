"""What a member says to a service, signed with the member's key, and what anybody may read.

Works against services that speak the governance interface of 2024-07-01.

    async with Session(address, service_certificate) as session:
        dora = Member(session, Identity.load(certificate_file, key_file))
        proposal = await dora.propose([{"name": "trigger_ledger_rekey"}])
        await dora.vote(proposal["proposalId"])
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ledger.base.ids import MemberId
from ledger.client.session import Answer, RefusedError, Session
from ledger.client.signers import Signer, VaultSigner
from ledger.codec import canonical
from ledger.crypto.cose_governance import MessageType, prepare_request, sign_request
from ledger.crypto.rsa import RsaPrivateKey

API_VERSION = "2024-07-01"
ACCEPTING_BALLOT = "def vote(proposal, proposer_id): return True"
_VERSION = f"api-version={API_VERSION}"
_PROPOSALS = "/gov/members/proposals"
_COSE = {"content-type": "application/cose"}
_PATHS = {
    MessageType.PROPOSAL: f"{_PROPOSALS}:create",
    MessageType.BALLOT: f"{_PROPOSALS}/{{proposal}}/ballots/{{member}}:submit",
    MessageType.WITHDRAWAL: f"{_PROPOSALS}/{{proposal}}:withdraw",
    MessageType.ACK: "/gov/members/state-digests/{member}:ack",
    MessageType.STATE_DIGEST: "/gov/members/state-digests/{member}:update",
    MessageType.RECOVERY_SHARE: "/gov/recovery/members/{member}:recover",
    MessageType.ENCRYPTED_RECOVERY_SHARE: "/gov/recovery/members/{member}:recover",
}


def path_of(kind: MessageType, member_id: str, proposal_id: str | None) -> str:
    """Return path and query that a message of a kind is posted to."""
    return f"{_PATHS[kind].format(member=member_id, proposal=proposal_id)}?{_VERSION}"


async def send(session: Session, path: str, message: bytes) -> Answer:
    """Post a signed message and return whatever is answered."""
    return await session.post(path, body=message, headers=_COSE)


class Governance:
    """What anybody may read of how a service is governed. All methods raise ``RefusedError``.

    Args:
        session: Connection to the service; needs no client certificate.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def service(self) -> dict[str, Any]:
        """Return status, certificate and configuration of the service."""
        found: dict[str, Any] = await self._json("/gov/service/info")
        return found

    async def constitution(self) -> str:
        """Return the source of the constitution."""
        return await self._text("/gov/service/constitution")

    async def members(self) -> list[dict[str, Any]]:
        """Return all members with status, data, keys and recovery role."""
        return await self._list("/gov/service/members")

    async def users(self) -> list[dict[str, Any]]:
        """Return all users with certificate and data."""
        return await self._list("/gov/service/users")

    async def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes with status, data, certificate and evidence."""
        return await self._list("/gov/service/nodes")

    async def join_policy(self) -> dict[str, Any]:
        """Return what the evidence of a joining node may say, by platform."""
        found: dict[str, Any] = await self._json("/gov/service/join-policy")
        return found

    async def token_issuers(self) -> dict[str, Any]:
        """Return token issuers, their keys, and CA bundles."""
        found: dict[str, Any] = await self._json("/gov/service/jwk")
        return found

    async def proposals(self, *, closed: bool = False) -> list[dict[str, Any]]:
        """Return the states of all proposals; with ``closed`` those of the archive too."""
        return await self._list(_PROPOSALS, "include=closed&" if closed else "")

    async def proposal(self, proposal_id: str) -> dict[str, Any]:
        """Return a proposal's state: votes, and the reasons of what failed."""
        found: dict[str, Any] = await self._json(f"{_PROPOSALS}/{proposal_id}")
        return found

    async def proposed(self, proposal_id: str) -> dict[str, Any]:
        """Return a proposal as it was sent: ``{"actions": […]}``."""
        found: dict[str, Any] = await self._json(f"{_PROPOSALS}/{proposal_id}/actions")
        return found

    async def ballot(self, proposal_id: str, member_id: str) -> str:
        """Return a member's ballot as it was sent."""
        return await self._text(f"{_PROPOSALS}/{proposal_id}/ballots/{member_id}")

    async def encrypted_share(self, member_id: str) -> bytes:
        """Return a member's recovery share, encrypted to the member."""
        found = await self._json(f"/gov/recovery/encrypted-shares/{member_id}")
        return canonical.b64decode(found["encryptedShare"])

    async def _json(self, path: str, query: str = "") -> Any:  # noqa: ANN401 - JSON of any shape
        return (await self._session.get(f"{path}?{query}{_VERSION}")).expect(200).json()

    async def _list(self, path: str, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._json(path, query))["value"]
        return found

    async def _text(self, path: str) -> str:
        answer = (await self._session.get(f"{path}?{_VERSION}")).expect(200)
        return answer.body.decode("utf-8", "replace")


class Member(Governance):
    """A member who governs through a session.

    Args:
        session: Connection to the service; needs no client certificate.
        identity: The member, with its key or with what signs for it.
    """

    def __init__(self, session: Session, identity: Signer) -> None:
        super().__init__(session)
        self.identity = identity

    async def acknowledge(self) -> None:
        """Ask for the current state digest and sign it: the member becomes active.

        Raises:
            RefusedError: the service refused one of the two steps.
        """
        updated = (await self._post(MessageType.STATE_DIGEST)).expect(200)
        digest = {"stateDigest": updated.json()["stateDigest"]}
        (await self._post(MessageType.ACK, canonical.dumps(digest))).expect(204)

    async def propose(self, actions: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Propose actions, each ``{"name": …, "args": …}``, and return the proposal's state.

        Raises:
            RefusedError: the proposal is not valid, was sent before, or failed when applied.
        """
        payload = canonical.dumps({"actions": list(actions)})
        return _proposal(await self._post(MessageType.PROPOSAL, payload))

    async def vote(self, proposal_id: str, ballot: str = ACCEPTING_BALLOT) -> dict[str, Any]:
        """Submit a ballot, a script with a function ``vote``; return the proposal's state.

        Raises:
            RefusedError: the proposal is not open, or failed when applied.
        """
        payload = canonical.dumps({"ballot": ballot})
        return _proposal(await self._post(MessageType.BALLOT, payload, proposal_id))

    async def withdraw(self, proposal_id: str) -> dict[str, Any]:
        """Withdraw an own proposal; return its state.

        Raises:
            RefusedError: it is not known, not open, or not the member's.
        """
        answer = await self._post(MessageType.WITHDRAWAL, b"", proposal_id)
        if answer.status == 204:  # how services say that they do not know it
            raise RefusedError(replace(answer, body=f"there is no proposal {proposal_id}".encode()))
        return _proposal(answer)

    async def submit_share(self, encryption_key: RsaPrivateKey) -> dict[str, Any]:
        """Decrypt the member's recovery share and submit it; return how many there are.

        Args:
            encryption_key: The private half of the member's encryption key.

        Raises:
            RefusedError: the member has no share, or the service waits for none.
            VerificationError: the share is not encrypted to this key.
        """
        share = encryption_key.unwrap(await self.encrypted_share(self.identity.id))
        payload = canonical.dumps({"share": canonical.b64encode(share)})
        answer = (await self._post(MessageType.RECOVERY_SHARE, payload)).expect(200)
        progress: dict[str, Any] = answer.json()
        return progress

    async def _post(
        self, kind: MessageType, payload: bytes = b"", proposal_id: str | None = None
    ) -> Answer:
        message = await _signed(self.identity, kind, payload, proposal_id)
        return await send(self._session, path_of(kind, self.identity.id, proposal_id), message)


async def _signed(
    signer: Signer, kind: MessageType, payload: bytes, proposal_id: str | None
) -> bytes:
    member, now = MemberId(signer.id), int(time.time())
    if isinstance(signer, VaultSigner):
        curve = signer.certificate.public_key.curve
        prepared = prepare_request(
            curve, member, kind, payload, created_at=now, proposal_id=proposal_id
        )
        return prepared.finish(await signer.sign(prepared.digest))
    return sign_request(signer.key, member, kind, payload, created_at=now, proposal_id=proposal_id)


def _proposal(answer: Answer) -> dict[str, Any]:
    state: dict[str, Any] = answer.expect(200).json()
    return state
