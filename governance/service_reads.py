"""Reading the state of governance: service, constitution, members, users, transactions."""

from typing import Any

from governance.parts import GovernanceParts, answer, answer_text, not_found, path_id
from governance.recovery_members import role_of
from governance.replay_window import DEFAULT_WINDOW_SIZE
from ledger.base.errors import FormatError
from ledger.base.ids import TxId
from ledger.endpoints import query
from ledger.endpoints.context import CallContext
from ledger.endpoints.response import Response
from ledger.kv.tx import Tx
from ledger.tables.internal import RECOVERY_SHARES
from ledger.tables.members import (
    MEMBER_CERTS,
    MEMBER_ENCRYPTION_KEYS,
    MEMBER_INFO,
    USER_CERTS,
    USER_INFO,
    MemberInfo,
)
from ledger.tables.service import (
    CONSTITUTION,
    SERVICE_CONFIG,
    SERVICE_INFO,
    ServiceConfiguration,
)

DEFAULT_VALIDITY_DAYS = 365


def get_service_info(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with identity, status and configuration of the service."""
    del parts
    service = ctx.tx.singleton(SERVICE_INFO).get()
    if service is None:
        raise not_found("Service", "information")
    described: dict[str, Any] = {
        "status": service.status.value,
        "certificate": service.cert,
        "recoveryCount": service.recovery_count or 0,
        "serviceData": service.service_data,
        "configuration": _configuration(ctx.tx),
    }
    if service.current_service_create_txid is not None:
        described["creationTransactionId"] = service.current_service_create_txid
    if service.previous_service_identity_version is not None:
        described["previousServiceCreationTransactionId"] = str(
            service.previous_service_identity_version
        )
    return answer(described)


def _configuration(tx: Tx) -> dict[str, int]:
    config = tx.singleton(SERVICE_CONFIG).get() or ServiceConfiguration()
    return {
        "recoveryThreshold": config.recovery_threshold,
        "maximumNodeCertificateValidityDays": config.maximum_node_certificate_validity_days
        or DEFAULT_VALIDITY_DAYS,
        "maximumServiceCertificateValidityDays": config.maximum_service_certificate_validity_days
        or DEFAULT_VALIDITY_DAYS,
        "recentCoseProposalsWindowSize": config.recent_cose_proposals_window_size
        or DEFAULT_WINDOW_SIZE,
    }


def get_constitution(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the source of the constitution."""
    del parts
    source = ctx.tx.singleton(CONSTITUTION).get()
    if source is None:
        raise not_found("Constitution of", "the service")
    return answer_text(source)


def list_members(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with all members."""
    del parts
    tx = ctx.tx
    return answer(
        {
            "value": [
                _member(tx, member_id, info) for member_id, info in tx.table(MEMBER_INFO).items()
            ]
        }
    )


def get_member(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with one member."""
    del parts
    member_id = path_id(ctx, "memberId")
    info = ctx.tx.table(MEMBER_INFO).get(member_id)
    if info is None:
        raise not_found("Member", member_id)
    return answer(_member(ctx.tx, member_id, info))


def _member(tx: Tx, member_id: str, info: MemberInfo) -> dict[str, Any]:
    described: dict[str, Any] = {
        "memberId": member_id,
        "status": info.status.value,
        "memberData": info.member_data,
        "recoveryRole": role_of(tx, member_id, info).value,
    }
    certificate = tx.table(MEMBER_CERTS).get(member_id)
    if certificate is not None:
        described["certificate"] = certificate
    encryption_key = tx.table(MEMBER_ENCRYPTION_KEYS).get(member_id)
    if encryption_key is not None:
        described["publicEncryptionKey"] = encryption_key
    return described


def list_users(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with all users."""
    del parts
    tx = ctx.tx
    return answer({"value": [_user(tx, *row) for row in tx.table(USER_CERTS).items()]})


def get_user(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with one user."""
    del parts
    user_id = path_id(ctx, "userId")
    certificate = ctx.tx.table(USER_CERTS).get(user_id)
    if certificate is None:
        raise not_found("User", user_id)
    return answer(_user(ctx.tx, user_id, certificate))


def _user(tx: Tx, user_id: str, certificate: str) -> dict[str, Any]:
    info = tx.table(USER_INFO).get(user_id)
    return {
        "userId": user_id,
        "certificate": certificate,
        "userData": None if info is None else info.user_data,
    }


def get_encrypted_share(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with a member's recovery share, encrypted to the member."""
    del parts
    member_id = path_id(ctx, "memberId")
    shares = ctx.tx.singleton(RECOVERY_SHARES).get() or {}
    share = shares.get("encrypted_shares", {}).get(member_id)
    if share is None:
        raise not_found("Recovery share of member", member_id)
    return answer({"memberId": member_id, "encryptedShare": share})


def get_committed(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the last committed transaction."""
    del ctx
    return _transaction(parts, parts.log.committed())


def get_transaction(parts: GovernanceParts, ctx: CallContext) -> Response:
    """Answer with the status of a transaction."""
    try:
        tx_id = TxId.parse(ctx.params["transactionId"])
    except FormatError as problem:
        raise query.invalid(f"The transaction ID does not parse: {problem}.") from problem
    return _transaction(parts, tx_id)


def _transaction(parts: GovernanceParts, tx_id: TxId) -> Response:
    status = parts.log.status(tx_id.view, tx_id.seqno)
    return answer({"status": status, "transactionId": str(tx_id)})
