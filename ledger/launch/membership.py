"""How a node enters a service: by starting it."""

from collections.abc import Sequence
from typing import Any

from governance.replay.offline import check_constitution
from governance.scripting import DEFAULT_LIMITS
from ledger.base.errors import FormatError, MisuseError
from ledger.boundary.settings import InterfaceSettings, MemberSettings, Settings, StartSettings
from ledger.boundary.to_enclave import Configure
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate
from ledger.crypto.hashing import sha256
from ledger.crypto.rsa import RsaPublicKey
from ledger.enclave.platforms import Platform
from ledger.launch.identity import CURVES, ServiceIdentity, new_service_identity
from ledger.launch.keys import Keys
from ledger.launch.script_process import script_process
from ledger.lifecycle.start import (
    FirstMember,
    FirstNode,
    Genesis,
    initial_threshold,
    write_genesis,
)
from ledger.replica.replica import Replica
from ledger.tables.members import RecoveryRole
from ledger.tables.nodes import NodeInfo, NodeStatus, QuoteInfo
from ledger.tables.service import ServiceConfiguration


def start_service(
    replica: Replica,
    keys: Keys,
    settings: Settings,
    command: StartSettings,
    record: NodeInfo,
    platform: Platform,
    now: int,
) -> ServiceIdentity:
    """Make a service: its key, its certificate, and its first transaction.

    Raises:
        MisuseError: the constitution does not load within the limits of scripts, so that nobody
            could ever govern with it, or a member comes twice.
        UnavailableError: scripts cannot be run at all.
        FormatError: a member's certificate or encryption key is not what it has to be.
    """
    _check_constitution(command.constitution)
    members = _first_members(command.members)
    curve = CURVES[settings.node_certificate.curve_id]
    days = command.initial_service_certificate_validity_days
    service = new_service_identity(command.service_subject_name, days, now, curve)
    keys.hold_service(service)
    keys.cose_issuer, keys.cose_subject = command.cose_issuer, command.cose_subject
    node_days = settings.node_certificate.initial_validity_days
    certificate = service.endorse(keys.node.request, now, node_days)
    replica.bootstrap()
    tx = replica.begin()
    genesis = Genesis(
        members=members,
        constitution=command.constitution,
        configuration=_configuration(command, members),
        service_certificate=service.certificate.pem,
        service_data=_json(command.service_data_json),
        node=FirstNode(
            id=keys.node.id,
            info=_trusted(record),
            certificate=certificate.pem,
            measurement=platform.measurement().decode(),
            host_data=platform.host_data().hex(),
        ),
    )
    write_genesis(tx, genesis)
    tx_id = replica.commit(tx, None)
    assert tx_id is not None, "nothing can conflict with the first transaction"
    return service


def refuse_kept_ledger(configure: Configure) -> None:
    """Refuse a ledger directory that holds entries already: nothing here reads them back yet.

    Raises:
        MisuseError: the host found entries.
    """
    if configure.ledger_last_seqno:
        raise MisuseError(
            f"got a ledger directory with entries up to {configure.ledger_last_seqno}, want an "
            "empty one: a node catches up from the other nodes"
        )


def own_record(settings: Settings, keys: Keys, platform: Platform) -> NodeInfo:
    """Return this node's row of the nodes table, Pending."""
    evidence = platform.evidence(sha256(keys.node.key.public.der))
    return NodeInfo(
        node_to_node_interface={
            "bind_address": settings.node_to_node.bind_address,
            "published_address": settings.node_to_node.published_address,
        },
        rpc_interfaces={each.name: _published(each) for each in settings.interfaces},
        quote_info=QuoteInfo(
            format=evidence.format,
            quote=canonical.b64encode(evidence.quote),
            endorsements=canonical.b64encode(evidence.endorsements),
        ),
        encryption_pub_key=keys.encryption.public.pem,
        status=NodeStatus.PENDING,
        certificate_signing_request=keys.node.request.pem,
        public_key=keys.node.key.public.pem,
        node_data=_json(settings.node_data_json),
    )


def _check_constitution(source: str) -> None:
    """Refuse a constitution with which nobody could govern under the limits of a new service.

    It runs in a process of its own: until this returns, the node does nothing else.
    """
    with script_process() as process:
        problem = check_constitution(source, DEFAULT_LIMITS, process.run)
    if problem is not None:
        raise MisuseError(f"command.start.constitution_files: {' '.join(problem.split())}")


def _published(interface: InterfaceSettings) -> dict[str, Any]:
    record: dict[str, Any] = {
        "bind_address": interface.bind_address,
        "published_address": interface.published_address,
        "protocol": "tcp",
        "app_protocol": interface.app_protocol,
        "max_open_sessions_soft": interface.max_open_sessions_soft,
        "max_open_sessions_hard": interface.max_open_sessions_hard,
        "endorsement": {"authority": interface.authority},
    }
    if interface.accepted_endpoints is not None:
        record["accepted_endpoints"] = list(interface.accepted_endpoints)
    return record


def _trusted(record: NodeInfo) -> NodeInfo:
    fields = {name: getattr(record, name) for name in NodeInfo.__struct_fields__}
    return NodeInfo(**{**fields, "status": NodeStatus.TRUSTED, "ledger_secret_seqno": 1})


def _configuration(command: StartSettings, members: list[FirstMember]) -> ServiceConfiguration:
    wanted = command.service_configuration
    return ServiceConfiguration(
        recovery_threshold=initial_threshold(members, wanted.recovery_threshold),
        maximum_node_certificate_validity_days=wanted.maximum_node_certificate_validity_days,
        maximum_service_certificate_validity_days=wanted.maximum_service_certificate_validity_days,
        recent_cose_proposals_window_size=wanted.recent_cose_proposals_window_size,
    )


def _first_members(configured: Sequence[MemberSettings]) -> list[FirstMember]:
    members: dict[str, FirstMember] = {}
    for number, each in enumerate(configured):
        path = f"command.start.members[{number}]"
        member = _first_member(each, path)
        if member.id in members:
            raise MisuseError(
                f"{path}.certificate_file: got the certificate of "
                f"members[{list(members).index(member.id)}] again, want one for each member"
            )
        members[member.id] = member
    return list(members.values())


def _first_member(member: MemberSettings, path: str) -> FirstMember:
    """Read what was configured for a member; what cannot be used must not reach the ledger."""
    place = f"{path}.certificate_file"
    try:
        certificate = Certificate.parse(member.certificate)
        certificate.public_key  # noqa: B018 - reading it checks that the member can sign
        place = f"{path}.encryption_public_key_file"
        key = member.encryption_public_key
        encryption_key = None if key is None else RsaPublicKey.from_pem(key).pem
    except FormatError as error:
        raise FormatError(f"{place}: {error}") from error
    return FirstMember(
        id=certificate.id,
        certificate=certificate.pem,
        encryption_public_key=encryption_key,
        data=_json(member.data_json),
        recovery_role=RecoveryRole(member.recovery_role),
    )


def _json(text: str | None) -> Any:  # noqa: ANN401 - free JSON of the operator
    if text is None:
        return None
    try:
        return canonical.loads(text.encode())
    except FormatError as error:
        raise FormatError(f"got data of the operator that is no JSON: {error}") from error
