"""The primary keeps the keys of token issuers as the issuers publish them.

Requests start in the enclave: the host dials, TLS and HTTP are inside, the server has to show a
certificate for the dialled name that chains to the issuer's CA bundle. A refresh that changes
nothing writes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from governance import issuers
from governance.scripting import HostError
from ledger.base.errors import FormatError, LedgerError
from ledger.codec import canonical
from ledger.enclave.outbound import Answer, request_bytes
from ledger.enclave.tls_types import Expiry, TlsBackend
from ledger.kv.tx import Tx
from ledger.launch.joining import SendRequest
from ledger.launch.shell import NodeLog
from ledger.lifecycle.jwt_refresh import (
    KEYS_SIZE_MAX,
    METADATA_SIZE_MAX,
    RefreshMetrics,
    Schedule,
    Target,
    metadata_target,
    read_keys,
    read_metadata,
)
from ledger.replica.replica import Replica
from ledger.tables.service import CA_CERT_BUNDLES, JWT_ISSUERS, JWT_SIGNING_KEYS, JwtIssuer

_ACCEPT = (b"accept", b"application/json")

Take = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class _Source:
    """An issuer as it was when it was asked; keys count only while it is still so."""

    name: str
    issuer: JwtIssuer
    bundle: str


class JwtRefresh:
    """Asks issuers, and writes their keys.

    Args:
        replica: State machine; only a primary asks.
        backend: TLS.
        send: Carries a request.
        interval_ms: Time between two rounds.
        log: Told of changes and failures.

    Attributes:
        metrics: How it goes.
    """

    def __init__(
        self,
        replica: Replica,
        backend: TlsBackend,
        send: SendRequest,
        interval_ms: float,
        log: NodeLog,
    ) -> None:
        self.metrics = RefreshMetrics()
        self._replica = replica
        self._backend = backend
        self._send = send
        self._log = log
        self._schedule = Schedule(interval_ms)
        self._running: set[str] = set()
        self._seen_version = -1

    def tick(self, elapsed_ms: float) -> None:
        """Let time pass, see which issuers are committed, and ask those that are due."""
        if not self._replica.is_primary:
            self._seen_version = -1
            self._schedule.forget()
            return
        self._schedule.wait(elapsed_ms)
        self._look()
        for name in self._schedule.take(self._running):
            self._begin(name)

    def _look(self) -> None:
        """Take in the registered issuers once what is in the store of them is committed."""
        store = self._replica.store
        version = store.map_version(JWT_ISSUERS.name)
        if version != self._seen_version and version <= store.committed:
            self._seen_version = version
            table = store.begin_committed().table(JWT_ISSUERS)
            refreshed = [name for name, issuer in table.items() if issuer.auto_refresh]
            self._schedule.see({name: table.version_of(name) or 0 for name in refreshed})

    # -- one issuer ----------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        self.metrics.begun()
        self._running.add(name)
        try:
            source = _source_of(self._replica.begin_read_only(), name)
            target = metadata_target(name)
        except LedgerError as error:
            self._fail(name, str(error))
            return
        self._get(source, target, METADATA_SIZE_MAX, lambda answer: self._metadata(source, answer))

    def _get(self, source: _Source, target: Target, size_max: int, take: Take) -> None:
        """Ask for something; whatever goes wrong with it fails the refresh."""

        def done(outcome: Answer | str) -> None:
            if isinstance(outcome, str):
                self._fail(source.name, f"{target.address}: {outcome}")
                return
            try:
                take(outcome)
            except LedgerError as error:
                self._fail(source.name, str(error))

        try:
            context = self._backend.client(
                source.bundle.encode(),
                None,
                expiry=Expiry.CHECKED,
                alpn=True,
                server_name=target.host,
            )
        except FormatError as error:
            self._fail(source.name, f"CA bundle {source.issuer.ca_cert_bundle_name}: {error}")
            return
        request = request_bytes("GET", target.authority, target.path, b"", (_ACCEPT,))
        self._send(target.address, context, request, size_max, done)

    def _metadata(self, source: _Source, answer: Answer) -> None:
        metadata = read_metadata(answer.status, answer.body)
        self._get(
            source,
            metadata.keys,
            KEYS_SIZE_MAX,
            lambda keys: self._keys(source, metadata.issuer, keys),
        )

    def _keys(self, source: _Source, issuer: str | None, answer: Answer) -> None:
        jwks = read_keys(answer.status, answer.body, issuer)
        if not self._replica.is_primary:
            self._fail(source.name, "this node is no longer the primary")
            return
        tx = self._replica.begin()
        if _source_of(tx, source.name) != source:
            self._fail(source.name, "the issuer was changed meanwhile")
            return
        try:
            issuers.set_keys(tx, source.name, jwks)
        except HostError as error:
            self._fail(source.name, str(error))
            return
        _leave_out_same_keys(tx, self._replica.begin_read_only())
        if tx.has_writes:
            tx_id = self._replica.commit(tx, None)
            assert tx_id is not None, "nothing runs between begin and commit"
            self._log.info(f"Keys of token issuer {source.name} changed in transaction {tx_id}")
        self._running.discard(source.name)
        self.metrics.succeeded()

    def _fail(self, name: str, problem: str) -> None:
        self._running.discard(name)
        self.metrics.failed(name, problem)
        self._log.fail(f"Keys of token issuer {name} are not refreshed: {problem}")


def _source_of(tx: Tx, name: str) -> _Source:
    """Return an issuer as it stands.

    Raises:
        FormatError: it is not refreshed automatically (any more), or its CA bundle is gone.
    """
    issuer = tx.table(JWT_ISSUERS).get(name)
    if issuer is None or not issuer.auto_refresh or issuer.ca_cert_bundle_name is None:
        raise FormatError("the issuer is not refreshed automatically")
    bundle = tx.table(CA_CERT_BUNDLES).get(issuer.ca_cert_bundle_name)
    if bundle is None:
        raise FormatError(f"there is no CA bundle {issuer.ca_cert_bundle_name}")
    return _Source(name, issuer, bundle)


def _leave_out_same_keys(tx: Tx, before: Tx) -> None:
    """Take rows out of a transaction's writes that hold the same keys as before, in any order."""
    rows = tx.changes.get(JWT_SIGNING_KEYS.name, {})
    known = before.map(JWT_SIGNING_KEYS.name)
    for kid, value in list(rows.items()):
        if _as_set(value) == _as_set(known.get(kid)):
            del rows[kid]


def _as_set(row: bytes | None) -> set[bytes]:
    return set() if row is None else {canonical.dumps(key) for key in canonical.loads(row)}
