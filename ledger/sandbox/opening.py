"""What a consortium does until its service is open, and nothing besides."""

from collections.abc import Callable, Sequence
from typing import Any

from ledger.base.errors import VerificationError
from ledger.client.governance import Member
from ledger.client.identity import Identity
from ledger.client.service import Service
from ledger.client.session import Session

Tell = Callable[[str], None]
"""Takes one line for the person who watches."""


async def open_service(
    session: Session,
    members: Sequence[Identity],
    users: Sequence[Identity],
    tell: Tell,
    timeout_s: float = 60.0,
) -> None:
    """Acknowledge as every member, propose users and opening, vote, wait until open.

    Args:
        session: Connection to a node, without client certificate.
        members: All members; the first one proposes.
        users: Added by the proposal.
        tell: Told about each step.
        timeout_s: For each wait.

    Raises:
        VerificationError: the proposal was not accepted.
        RefusedError: a step was refused.
        UnavailableError: a wait took too long.
    """
    service = Service(session)
    await service.wait_until_governable(timeout_s)
    consortium = [Member(session, identity) for identity in members]
    for number, member in enumerate(consortium):
        await member.acknowledge()
        tell(f"member{number} acknowledged the state and is active")
    actions = [{"name": "set_user", "args": {"cert": user.certificate.pem}} for user in users] + [
        {
            "name": "transition_service_to_open",
            "args": {"next_service_identity": session.service_certificate},
        }
    ]
    tell(f"member0 proposes {len(users)} users and to open the service")
    await agree(consortium, actions, tell)
    await service.wait_until_open(timeout_s)


async def agree(consortium: Sequence[Member], actions: Sequence[dict[str, Any]], tell: Tell) -> str:
    """Propose actions as the first member and vote as one after the other until it is decided.

    Returns:
        ID of the proposal.

    Raises:
        VerificationError: the proposal was not accepted.
        RefusedError: a step was refused.
    """
    proposal = await consortium[0].propose(actions)
    proposal_id = str(proposal["proposalId"])
    for number, member in enumerate(consortium):
        if proposal["proposalState"] != "Open":
            break
        proposal = await member.vote(proposal_id)
        tell(f"member{number} voted; the proposal is {proposal['proposalState']}")
    if proposal["proposalState"] != "Accepted":
        raise VerificationError(f"got proposal state {proposal['proposalState']}, want Accepted")
    return proposal_id
