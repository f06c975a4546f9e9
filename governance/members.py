"""Members become active: a state digest is asked for, signed and acknowledged.

The digest is the last signed Merkle root, so a member confirms which ledger it joins before it
may vote or hold a recovery share.
"""

import msgspec

from governance.operations import OperationRefused
from governance.parts import GovernanceParts, answer, not_found, path_id, payload_reader
from governance.recovery_members import active_recovery_members, role_of
from governance.signed import record_history, signed_request
from ledger.codec.canonical import b64encode
from ledger.endpoints.context import CallContext
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.response import Response
from ledger.kv.tx import Tx
from ledger.tables.internal import SIGNATURES
from ledger.tables.members import (
    MEMBER_ACKS,
    MEMBER_INFO,
    MemberAck,
    MemberInfo,
    MemberStatus,
    RecoveryRole,
)
from ledger.tables.service import SERVICE_INFO, ServiceStatus

RECOVERY_MEMBERS_MAX = 255
"""Most active recovery members, as CCF."""


class _AckBody(msgspec.Struct, rename="camel"):
    state_digest: str


_decode_ack = payload_reader(_AckBody)


def update_state_digest(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Store the digest that the member has to sign next, and answer with it."""
    del parts
    member_id = _own_path_id(ctx)
    signature = ctx.tx.singleton(SIGNATURES).get()
    if signature is None:
        raise HttpError(
            500,
            Code.INTERNAL_ERROR,
            "Service has no signatures to ack yet - try again soon.",
        )
    ctx.tx.table(MEMBER_ACKS).put(member_id, MemberAck(state_digest=signature.root))
    record_history(ctx)
    return answer({"memberId": member_id, "stateDigest": signature.root})


def get_state_digest(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the digest that the member has to sign next."""
    del parts
    member_id = path_id(ctx, "memberId")
    ack = ctx.tx.table(MEMBER_ACKS).get(member_id)
    if ack is None:
        raise not_found("State digest of member", member_id)
    return answer({"memberId": member_id, "stateDigest": ack.state_digest})


def acknowledge(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Take the signed digest; an Accepted member becomes Active."""
    member_id = _own_path_id(ctx)
    digest = _decode_ack(signed_request(ctx).payload).state_digest
    acks = ctx.tx.table(MEMBER_ACKS)
    ack = acks.get(member_id)
    if ack is None:
        raise HttpError(
            403, Code.AUTHORIZATION_FAILED, f"No ACK record exists for caller {member_id}."
        )
    if not ack.state_digest or digest != ack.state_digest:
        raise HttpError(
            400,
            Code.STATE_DIGEST_MISMATCH,
            "Submitted state digest is not the one last given out to this member.",
        )
    acks.put(
        member_id,
        MemberAck(state_digest=ack.state_digest, cose_sign1_req=b64encode(ctx.request.body)),
    )
    record_history(ctx)
    _activate(parts, ctx.tx, member_id)
    return Response(204)


def _activate(parts: GovernanceParts, tx: Tx, member_id: str) -> None:
    table = tx.table(MEMBER_INFO)
    info = table.get(member_id)
    if info is None:
        raise HttpError(403, Code.AUTHORIZATION_FAILED, f"{member_id} is not a member.")
    if info.status is MemberStatus.ACTIVE:
        return
    recovers = role_of(tx, member_id, info) is not RecoveryRole.NON_PARTICIPANT
    if recovers and len(active_recovery_members(tx)) >= RECOVERY_MEMBERS_MAX:
        raise HttpError(
            403,
            Code.AUTHORIZATION_FAILED,
            f"Cannot activate: {RECOVERY_MEMBERS_MAX} recovery members are active already.",
        )
    table.put(
        member_id,
        MemberInfo(
            status=MemberStatus.ACTIVE,
            member_data=info.member_data,
            recovery_role=info.recovery_role,
        ),
    )
    service = tx.singleton(SERVICE_INFO).get()
    if recovers and service is not None and service.status is ServiceStatus.OPEN:
        try:
            parts.operations.refresh_recovery_shares(tx)
        except OperationRefused as refusal:
            raise HttpError(
                500, Code.INTERNAL_ERROR, f"Error issuing new recovery shares: {refusal}."
            ) from refusal


def _own_path_id(ctx: CallContext) -> str:
    """Return the member of the path, who has to be the signer."""
    member_id = path_id(ctx, "memberId")
    if member_id != signed_request(ctx).member:
        raise HttpError(
            400,
            Code.INVALID_AUTHENTICATION_INFO,
            "Authenticated member id does not match URL.",
        )
    return member_id
