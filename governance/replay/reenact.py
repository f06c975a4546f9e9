"""A member's message, handled again: same checks, same handlers, the tables of that time."""

from collections.abc import Generator
from typing import Any

import msgspec

from governance.frontend import API_VERSIONS, build
from governance.parts import GovernanceParts
from governance.replay.compare import first_difference
from governance.replay.node_part import ReplayedNode
from governance.replay.past import PastLedger, without_signatures
from governance.replay.scripts import RecordedScripts, RunScript
from governance.replay.signed_message import SignedMessage, info_of
from governance.replay.verdict import Verdict
from governance.signed import MemberSignature
from ledger.base.errors import LedgerError
from ledger.codec.writeset import Changes
from ledger.crypto.cose_governance import MemberRequest, MessageType
from ledger.crypto.hashing import sha256
from ledger.endpoints.auth import Identity
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Suspension
from ledger.endpoints.errors import HttpError
from ledger.endpoints.request import Request
from ledger.endpoints.response import COSE, Response
from ledger.kv.tx import Tx


class RecordedSession:
    """The connection of a request that nobody waits for."""

    interface = ""
    pinned_view = 0
    forwarded = False

    def peer_certificate(self) -> bytes | None:
        """Return None: members sign, they need no certificate."""
        return None

    def complete(self, request: Request, response: Response) -> None:
        """Drop a late answer."""
        del request, response

    def close_after_response(self) -> None:
        """Nothing is open."""


class Stage:
    """Re-enacts messages over the past, which its caller keeps up to date.

    Args:
        past: The state before the message.
        run: Runs scripts.
    """

    def __init__(self, past: PastLedger, run: RunScript) -> None:
        self._past = past
        self._scripts = RecordedScripts(run)
        self._operations = ReplayedNode(past)
        parts = GovernanceParts(past, past, self._scripts, self._operations)
        self._endpoints = _by_type(build(parts).endpoints)

    def reenact(
        self, message: SignedMessage, recorded: Changes, proposal_id: str | None
    ) -> Verdict:
        """Handle a message again and compare with what its entry holds.

        Args:
            message: The message.
            recorded: Public changes of its entry.
            proposal_id: The proposal that it is about, as the entry says.
        """
        root = self._past.root = self._root_of(message.request, proposal_id)
        if root is None and proposal_id is not None and message.kind is MessageType.PROPOSAL:
            return Verdict(
                message.kind.value, "the proposal's ID is bound to no earlier state of this ledger"
            )
        first = self._attempt(message, recorded, proposal_id, self._past.begin())
        if first.problem is None:
            return first
        older = self._past.begin_before_signature()
        if older is None:
            return first
        second = self._attempt(message, recorded, proposal_id, older)
        if second.problem is not None:
            return first
        return Verdict(
            message.kind.value, taken=(*second.taken, "it had not seen the newest signature")
        )

    def _root_of(self, request: MemberRequest, proposal_id: str | None) -> bytes | None:
        """Return the root to which the ID of a new proposal is bound, None for none.

        A node takes the root at the version it reads, and other entries may be written while
        scripts run.
        """
        if request.type is not MessageType.PROPOSAL or proposal_id is None:
            return None
        tail = sha256(request.message.signature)
        for root in self._past.roots():
            if sha256(root + tail).hex() == proposal_id:
                return root
        return None

    def _attempt(
        self, message: SignedMessage, recorded: Changes, proposal_id: str | None, tx: Tx
    ) -> Verdict:
        what = message.kind.value
        self._operations.expect(recorded)
        self._scripts.expect(info_of(proposal_id, recorded))
        try:
            refusal = self._handle(message, tx)
        except HttpError as problem:
            refusal = str(problem)
        except (LedgerError, msgspec.MsgspecError) as problem:
            return Verdict(what, f"the message cannot be handled again: {problem}")
        if refusal is not None:
            return Verdict(what, f"correct nodes refuse this message: {refusal}")
        row = first_difference(recorded, without_signatures(tx.changes))
        taken = tuple(self._scripts.taken)
        if row is None:
            return Verdict(what, taken=taken)
        why = self._operations.problems.get((row.table, row.key))
        return Verdict(what, row.message if why is None else f"{row.message}: {why}", row, taken)

    def _handle(self, message: SignedMessage, tx: Tx) -> str | None:
        """Handle a message; return why its writes would have been dropped, or None."""
        endpoint = self._endpoints.get(message.kind)
        if endpoint is None:
            return f"there is no endpoint for messages of type {message.kind.value}"
        request = Request(
            "POST",
            endpoint.path,
            f"api-version={API_VERSIONS[-1]}",
            {b"content-type": COSE},
            message.body,
            RecordedSession(),
        )
        identity = endpoint.auth[0].authenticate(request, tx)
        if not isinstance(identity, Identity):
            return identity.message
        params = _params_of(message.request)
        ctx = CallContext(request, endpoint, params, params, tx, identity, self._past)
        outcome = endpoint.handler(ctx)
        response = outcome if isinstance(outcome, Response) else _finish(outcome)
        applies = ctx.apply_writes
        if applies is None:
            applies = 200 <= response.status < 300
        return None if applies else f"{response.status} {response.body.decode('utf-8', 'replace')}"


def _by_type(endpoints: tuple[Endpoint, ...]) -> dict[MessageType, Endpoint]:
    found = {}
    for endpoint in endpoints:
        policy = endpoint.auth[0]
        if isinstance(policy, MemberSignature):
            found[policy.kind] = endpoint
    return found


def _params_of(request: MemberRequest) -> dict[str, str]:
    """Return the path parameters: whatever the path said had to be what was signed."""
    return {"memberId": request.member, "proposalId": request.proposal_id or ""}


def _finish(handler: Generator[Suspension, Any, Response]) -> Response:
    """Run a handler that waits to its end; everything that it waits for is there at once."""
    result: Any = None
    while True:
        try:
            suspension = handler.send(result)
        except StopIteration as end:
            response = end.value
            assert isinstance(response, Response), "a handler that waited ends in a Response"
            return response
        results: list[Any] = []
        suspension.start(results.append)
        result = results[0]
