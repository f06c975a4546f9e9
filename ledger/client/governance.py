"""What a member says to a service, signed with the member's key.

Works against services that speak the governance interface of 2024-07-01.
"""

import time
from collections.abc import Sequence
from typing import Any

from ledger.base.ids import MemberId
from ledger.client.identity import Identity
from ledger.client.session import Answer, Session
from ledger.codec import canonical
from ledger.crypto.cose_governance import MessageType, sign_request

API_VERSION = "2024-07-01"
ACCEPTING_BALLOT = "def vote(proposal, proposer_id): return True"


class Member:
    """A member who governs through a session.

    Args:
        session: Connection to the service; needs no client certificate.
        identity: The member.
    """

    def __init__(self, session: Session, identity: Identity) -> None:
        self._session = session
        self.identity = identity

    async def acknowledge(self) -> None:
        """Ask for the current state digest and sign it: the member becomes active.

        Raises:
            RefusedError: the service refused one of the two steps.
        """
        path = f"/gov/members/state-digests/{self.identity.id}"
        updated = (await self._post(f"{path}:update", MessageType.STATE_DIGEST)).expect(200)
        digest = {"stateDigest": updated.json()["stateDigest"]}
        acknowledged = await self._post(f"{path}:ack", MessageType.ACK, canonical.dumps(digest))
        acknowledged.expect(204)

    async def propose(self, actions: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Propose actions, each ``{"name": …, "args": …}``, and return the proposal's state.

        Raises:
            RefusedError: the proposal is not valid, was sent before, or failed when applied.
        """
        payload = canonical.dumps({"actions": list(actions)})
        answer = await self._post("/gov/members/proposals:create", MessageType.PROPOSAL, payload)
        return _proposal(answer)

    async def vote(self, proposal_id: str, ballot: str = ACCEPTING_BALLOT) -> dict[str, Any]:
        """Submit a ballot, a script with a function ``vote``; return the proposal's state.

        Raises:
            RefusedError: the proposal is not open, or failed when applied.
        """
        path = f"/gov/members/proposals/{proposal_id}/ballots/{self.identity.id}:submit"
        payload = canonical.dumps({"ballot": ballot})
        return _proposal(await self._post(path, MessageType.BALLOT, payload, proposal_id))

    async def withdraw(self, proposal_id: str) -> dict[str, Any]:
        """Withdraw an own proposal; return its state.

        Raises:
            RefusedError: it is not open, or not the member's.
        """
        path = f"/gov/members/proposals/{proposal_id}:withdraw"
        return _proposal(await self._post(path, MessageType.WITHDRAWAL, b"", proposal_id))

    async def proposal(self, proposal_id: str) -> dict[str, Any]:
        """Return a proposal's state.

        Raises:
            RefusedError: there is none of this ID.
        """
        path = f"/gov/members/proposals/{proposal_id}?api-version={API_VERSION}"
        return _proposal(await self._session.get(path))

    async def _post(
        self, path: str, kind: MessageType, payload: bytes = b"", proposal_id: str | None = None
    ) -> Answer:
        identity = self.identity
        message = sign_request(
            identity.key,
            MemberId(identity.id),
            kind,
            payload,
            created_at=int(time.time()),
            proposal_id=proposal_id,
        )
        return await self._session.post(
            f"{path}?api-version={API_VERSION}",
            body=message,
            headers={"content-type": "application/cose"},
        )


def _proposal(answer: Answer) -> dict[str, Any]:
    state: dict[str, Any] = answer.expect(200).json()
    return state
