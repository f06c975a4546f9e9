"""Changes of governance tables that no member signed: what nodes do by themselves.

================  ==================================================================
kind              what it may change
================  ==================================================================
genesis           the first entry, see ``genesis``
join              one new node: Pending, or Trusted while the service is Opening
retirement        ``retired_committed`` of nodes that members removed
forgotten node    rows of a node whose retirement is over
key refresh       token keys of issuers that are refreshed automatically
share             a submitted recovery share, while the service waits for shares
recovery          the first entry of a service that continues another one's ledger
recovered         the service opens again, after enough shares
================  ==================================================================

Signature transactions and evidence of snapshots are judged by the audit of the ledger itself.
"""

from collections.abc import Callable

import msgspec

from governance.jwk import public_key_pem
from governance.replay.certificates import node_certificate_problem
from governance.replay.compare import RowDifference, first_difference
from governance.replay.genesis import judge_genesis
from governance.replay.joining import admission_problem
from governance.replay.past import SIGNATURE_TABLES
from governance.replay.recorded import is_kept
from governance.replay.verdict import Verdict
from ledger.base.errors import FormatError, LedgerError
from ledger.base.ids import FIRST_SEQNO
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY, MapRole, map_role
from ledger.codec.writeset import Changes
from ledger.crypto.certificate import Certificate, CertificateRequest
from ledger.crypto.keys import PublicKey
from ledger.crypto.rsa import RsaPublicKey
from ledger.kv.tx import Tx
from ledger.tables.internal import (
    ENCRYPTED_LEDGER_SECRETS,
    HISTORICAL_LEDGER_SECRET,
    RECOVERY_SHARES,
    SERVICE_ENDORSEMENT,
    SUBMITTED_SHARES,
)
from ledger.tables.members import MEMBER_INFO, MemberStatus
from ledger.tables.nodes import (
    NODES_ENDORSED_CERTIFICATES,
    NODES_INFO,
    NodeInfo,
    NodeStatus,
)
from ledger.tables.service import (
    JWT_ISSUERS,
    JWT_SIGNING_KEYS,
    PREVIOUS_SERVICE_IDENTITY,
    SERVICE_INFO,
    JwtKey,
    ServiceInfo,
    ServiceStatus,
)

_UNJUDGED = frozenset({*SIGNATURE_TABLES, "public:ccf.internal.snapshot_evidence"})
_NODES = frozenset({NODES_INFO.name, NODES_ENDORSED_CERTIFICATES.name})
_SHARES = frozenset({SUBMITTED_SHARES.name, ENCRYPTED_LEDGER_SECRETS.name})
_RECOVERED = frozenset(
    {
        SERVICE_INFO.name,
        RECOVERY_SHARES.name,
        HISTORICAL_LEDGER_SECRET.name,
        SERVICE_ENDORSEMENT.name,
        SUBMITTED_SHARES.name,
    }
)
_decode_keys = msgspec.json.Decoder(list[JwtKey]).decode


def judge_unsigned(seqno: int, changes: Changes, before: Tx) -> Verdict | None:
    """Judge an entry without a signed message.

    Args:
        seqno: Its seqno.
        changes: Its public changes.
        before: Reads the tables before it.

    Returns:
        None when it changes nothing that is judged here.
    """
    kept = {
        name: writes
        for name, writes in changes.items()
        if writes and is_kept(name) and name not in _UNJUDGED
    }
    if not kept:
        return None
    if seqno == FIRST_SEQNO:
        return judge_genesis(kept)
    try:
        return _kind_of(kept)(kept, before)
    except (LedgerError, msgspec.MsgspecError) as error:
        return Verdict("unsigned change", f"the change cannot be read: {error}")


def _kind_of(changes: Changes) -> Callable[[Changes, Tx], Verdict]:
    tables = changes.keys()
    if tables <= _NODES:
        return _judge_nodes
    if tables == {JWT_SIGNING_KEYS.name}:
        return _judge_token_keys
    if SUBMITTED_SHARES.name in tables and tables <= _SHARES:
        return _judge_share
    if PREVIOUS_SERVICE_IDENTITY.name in tables:
        return _judge_recovery
    if SERVICE_INFO.name in tables and tables <= _RECOVERED:
        return _judge_recovered
    return _judge_nobody


def _judge_nobody(changes: Changes, before: Tx) -> Verdict:
    del before
    # Name a table of governance when there is one: that is what members decide about.
    table = min(changes, key=lambda name: (map_role(name) is not MapRole.GOVERNANCE, name))
    key = min(changes[table])
    message = "no member's message is there for this change, and nodes make none like it"
    return Verdict("unsigned change", message, RowDifference(table, key, message))


def _judge_nodes(changes: Changes, before: Tx) -> Verdict:
    """Judge rows of nodes; a node's certificate comes and goes with its row."""
    infos = changes.get(NODES_INFO.name, {})
    certificates = changes.get(NODES_ENDORSED_CERTIFICATES.name, {})
    for key in certificates:
        if key not in infos:
            return _wrong("join", NODES_ENDORSED_CERTIFICATES.name, key, "nobody decided on it")
    what = ""
    for key, value in infos.items():
        known = before.map(NODES_INFO.name).get(key)
        if value is None:
            what, problem = "forgotten node", _forgetting_problem(known)
            of_certificate = _removal_problem(certificates, key)
        elif known is None:
            what, problem = "join", _joining_problem(before, value, key)
            of_certificate = None if problem else _joiner_problem(before, value, certificates, key)
        else:
            what, problem = "retirement", _retirement_problem(known, value)
            of_certificate = "nobody decided on it" if key in certificates else None
        if problem is not None:
            return _wrong(what, NODES_INFO.name, key, problem)
        if of_certificate is not None:
            return _wrong(what, NODES_ENDORSED_CERTIFICATES.name, key, of_certificate)
    return Verdict(what)


def _wrong(what: str, table: str, key: bytes, problem: str) -> Verdict:
    return Verdict(what, problem, RowDifference(table, key, problem))


def _forgetting_problem(known: bytes | None) -> str | None:
    if known is None or not NODES_INFO.value.decode(known).retired_committed:
        return "the node is forgotten before its retirement is over"
    return None


def _removal_problem(certificates: dict[bytes, bytes | None], key: bytes) -> str | None:
    if certificates.get(key, b"") is not None:
        return "the node is forgotten and its certificate is not"
    return None


def _joining_problem(before: Tx, value: bytes, key: bytes) -> str | None:
    info = NODES_INFO.value.decode(value)
    if NODES_INFO.value.encode(info) != value:
        return "the node's row is not in the form that nodes write"
    return admission_problem(before, key.decode("ascii", "replace"), info)


def _joiner_problem(
    before: Tx, value: bytes, certificates: dict[bytes, bytes | None], key: bytes
) -> str | None:
    """Say what is wrong with the certificate of a node that joined with a right row."""
    info = NODES_INFO.value.decode(value)
    if info.status is NodeStatus.PENDING:
        return None if key not in certificates else "a Pending node got a certificate"
    pem = certificates.get(key)
    service = before.singleton(SERVICE_INFO).get()
    if pem is None or service is None or info.certificate_signing_request is None:
        return "a Trusted node got no certificate"
    request = CertificateRequest.parse(info.certificate_signing_request)
    return node_certificate_problem(pem, request, Certificate.parse(service.cert), None)


def _retirement_problem(known: bytes, value: bytes) -> str | None:
    was = NODES_INFO.value.decode(known)
    if was.status is not NodeStatus.RETIRED:
        return "a node's row changed without a decision of the members"
    if value != NODES_INFO.value.encode(_retired(was)):
        return "more than retired_committed changed in the row of a node that was removed"
    return None


def _retired(info: NodeInfo) -> NodeInfo:
    return msgspec.structs.replace(info, retired_committed=True)


def _judge_token_keys(changes: Changes, before: Tx) -> Verdict:
    """Only the primary has seen the key set, so keys are taken on its word; whose they are not."""
    table = JWT_SIGNING_KEYS.name
    issuers = before.table(JWT_ISSUERS)
    refreshed = {name for name, issuer in issuers.items() if issuer.auto_refresh}
    for kid, value in changes[table].items():
        known = before.map(table).get(kid)
        if value in {known, b"[]"}:
            return _wrong("key refresh", table, kid, "nodes write no keys that change nothing")
        old = [] if known is None else _decode_keys(known)
        new = [] if value is None else _decode_keys(value)
        if [key for key in old if key.issuer not in refreshed] != [
            key for key in new if key.issuer not in refreshed
        ]:
            problem = "keys changed of an issuer whose keys are not refreshed automatically"
            return _wrong("key refresh", table, kid, problem)
        for key in new:
            _check_key(key.public_key)
    return Verdict("key refresh")


def _check_key(text: str) -> None:
    """Read a key.

    Raises:
        FormatError: it is neither an ECDSA nor an RSA key.
    """
    der = canonical.b64decode(text)
    try:
        PublicKey.from_der(der)
    except FormatError:
        RsaPublicKey.from_pem(public_key_pem(der))


def _judge_share(changes: Changes, before: Tx) -> Verdict:
    """A share is stored under a secret, and its signed message holds it, so it is not kept."""
    service = before.singleton(SERVICE_INFO).get()
    rows = changes[SUBMITTED_SHARES.name]
    key = min(rows)
    if service is None or service.status is not ServiceStatus.WAITING_FOR_RECOVERY_SHARES:
        problem = "a share was taken while the service does not wait for shares"
        return _wrong("share", SUBMITTED_SHARES.name, key, problem)
    info = before.table(MEMBER_INFO).get(key.decode("ascii", "replace"))
    if len(rows) != 1 or info is None or info.status is not MemberStatus.ACTIVE:
        problem = "a share was taken of somebody who is no active member"
        return _wrong("share", SUBMITTED_SHARES.name, key, problem)
    return Verdict("share")


def _judge_recovery(changes: Changes, before: Tx) -> Verdict:
    """A new service continues the ledger of another: it names it, and decides nothing else."""
    what, table = "recovery", SERVICE_INFO.name
    was, new = before.singleton(SERVICE_INFO).get(), _service_in(changes)
    previous = changes[PREVIOUS_SERVICE_IDENTITY.name].get(SINGLETON_KEY)
    if was is None or new is None or previous is None:
        return _wrong(what, table, SINGLETON_KEY, "a recovery without a service before or after it")
    if PREVIOUS_SERVICE_IDENTITY.value.decode(previous) != was.cert:
        problem = "the previous identity is not that of the service before"
        return _wrong(what, PREVIOUS_SERVICE_IDENTITY.name, SINGLETON_KEY, problem)
    if new.status is not ServiceStatus.RECOVERING:
        problem = f"the service is {new.status.value}, want Recovering"
        return _wrong(what, table, SINGLETON_KEY, problem)
    allowed = {table, PREVIOUS_SERVICE_IDENTITY.name, *_NODES}
    for name in sorted(changes):
        if map_role(name) is MapRole.GOVERNANCE and name not in allowed:
            return _wrong(what, name, min(changes[name]), "a recovery decides nothing else")
    return Verdict(what, taken=("another service continues this ledger from here",))


def _judge_recovered(changes: Changes, before: Tx) -> Verdict:
    was, new = before.singleton(SERVICE_INFO).get(), _service_in(changes)
    waited = was is not None and was.status is ServiceStatus.WAITING_FOR_RECOVERY_SHARES
    if was is None or new is None or not waited:
        return _judge_nobody(changes, before)
    wanted: Changes = {SERVICE_INFO.name: {SINGLETON_KEY: SERVICE_INFO.value.encode(_opened(was))}}
    row = first_difference({SERVICE_INFO.name: changes[SERVICE_INFO.name]}, wanted)
    return Verdict("recovered", None if row is None else row.message, row)


def _opened(service: ServiceInfo) -> ServiceInfo:
    return msgspec.structs.replace(service, status=ServiceStatus.OPEN)


def _service_in(changes: Changes) -> ServiceInfo | None:
    value = changes.get(SERVICE_INFO.name, {}).get(SINGLETON_KEY)
    return None if value is None else SERVICE_INFO.value.decode(value)
