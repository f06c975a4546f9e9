"""``POST /node/join``: the primary takes a new node in.

A node is given the keys once its Trusted row is in the primary's store, not only when it is
committed: the new configuration counts the new node, so without it nothing could commit.

For the same reason a backup that knows no primary gives the keys to nodes that take part in what it
holds. When a primary is lost right after it trusted others, there may be no new one without their
votes, and without the keys they can neither hear nor be heard. A backup never takes a node in, and
refuses none: what it knows may be old.
"""

from functools import partial
from typing import Protocol

import msgspec

from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate
from ledger.crypto.keys import PublicKey
from ledger.endpoints.auth import any_cert
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Forwarding, Redirection
from ledger.endpoints.errors import Code, error
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import JSON, Response
from ledger.lifecycle.join import (
    Admitted,
    JoinRequest,
    JoinResponse,
    Known,
    Refusal,
    Refused,
    ServiceSecrets,
    judge,
)
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    NodeInfo,
    NodeStatus,
)

_STATUS = {Refusal.INVALID_QUOTE: 401, Refusal.TOO_MANY: 503}


class Admission(Protocol):
    """What the node that is asked brings to a join."""

    @property
    def startup_seqno(self) -> int:
        """Seqno this node started from."""
        ...

    @property
    def trust_at_once(self) -> bool:
        """Whether a node is trusted without the members while the service opens."""
        ...

    @property
    def is_primary(self) -> bool:
        """Whether this node can take nodes in."""
        ...

    @property
    def stands_in(self) -> bool:
        """Whether this backup gives the keys to nodes that take part, for want of a primary."""
        ...

    def primary_address(self, interface: str) -> str | None:
        """Return the primary's address of an interface; None when it is not known."""
        ...

    def has_left(self, node_id: str) -> bool:
        """Say whether a node took part before: no ID is trusted twice."""
        ...

    def endorse(self, request_pem: str) -> str:
        """Return a first node certificate for a checked request, PEM."""
        ...

    def secrets_for(self, certificate: str | None) -> ServiceSecrets:
        """Return what a node that takes part is given."""
        ...

    def admitted(self, node_id: str, status: NodeStatus) -> None:
        """Tell the operator."""
        ...


def add_join(registry: Registry, admission: Admission) -> None:
    """Add the endpoint to ``/node``."""
    registry.add(
        Endpoint(
            method="POST",
            path="/join",
            handler=partial(_join, admission),
            auth=(any_cert,),
            forwarding=Forwarding.NEVER,
            redirection=Redirection.NONE,
            hidden=True,
        )
    )


def _join(admission: Admission, ctx: CallContext) -> Response:
    is_primary = admission.is_primary
    if not is_primary and not admission.stands_in:
        return _elsewhere(admission.primary_address(ctx.request.session.interface))
    try:
        # By way of our own reader, which bounds how deep the operator's free JSON is nested.
        request = msgspec.convert(canonical.loads(ctx.request.body), JoinRequest)
        key = _caller_key(ctx)
    except (msgspec.MsgspecError, FormatError) as problem:
        return error(400, Code.INVALID_INPUT, f"Join request cannot be read: {problem}.")
    outcome = judge(
        ctx.tx,
        request,
        key,
        startup_seqno=admission.startup_seqno,
        trust_at_once=admission.trust_at_once,
        has_left=admission.has_left(key.id),
    )
    if not is_primary and not (isinstance(outcome, Known) and outcome.takes_part):
        return _elsewhere(None)
    match outcome:
        case Refused(why=why, message=message):
            return error(_STATUS.get(why, 400), why.value, message)
        case Known(info=info, takes_part=takes_part):
            return _answer(admission, ctx, key.id, info, takes_part=takes_part)
        case Admitted(info=info):
            ctx.tx.table(NODES_INFO).put(key.id, info)
            is_trusted = info.status is NodeStatus.TRUSTED
            if is_trusted:
                assert info.certificate_signing_request is not None, "a joiner was checked"
                certificate = admission.endorse(info.certificate_signing_request)
                ctx.tx.table(NODES_ENDORSED_CERTIFICATES).put(key.id, certificate)
            admission.admitted(key.id, info.status)
            return _answer(admission, ctx, key.id, info, takes_part=is_trusted)


def _elsewhere(address: str | None) -> Response:
    if address is None:
        return error(503, Code.PRIMARY_NOT_FOUND, "The primary of this service is not known here.")
    return error(
        308,
        Code.NODE_CANNOT_HANDLE_REQUEST,
        "Node is not primary; cannot handle the request.",
        headers=[(b"location", f"https://{address}/node/join".encode())],
    )


def _answer(
    admission: Admission, ctx: CallContext, node_id: str, info: NodeInfo, *, takes_part: bool
) -> Response:
    secrets = None
    if takes_part:
        secrets = admission.secrets_for(ctx.tx.table(NODES_ENDORSED_CERTIFICATES).get(node_id))
    response = JoinResponse(node_status=info.status.value, node_id=node_id, network_info=secrets)
    return Response(200, canonical.dumps(response), JSON)


def _caller_key(ctx: CallContext) -> PublicKey:
    der = ctx.request.session.peer_certificate()
    if der is None:
        raise FormatError("got no client certificate")
    return Certificate.parse(der).public_key
