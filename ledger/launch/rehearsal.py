"""A request that nobody sent, so that the next real one finds the processor's caches warm.

A request that comes after a pause waits for memory more than for anything else: within some ten
milliseconds other programs push the code of its way out of the fast caches, and every line of it
costs twice what it costs right after another (``docs/decisions/0007``). So while a node is in use,
ten milliseconds in which no client sent anything are followed by one request that goes that way:
encrypted by a client in memory, decrypted, parsed, authenticated, handled in a transaction,
serialised, answered.

Only code and its bounded memos of table names are shared with the service. Session, metrics,
pipeline, policies, application, store, keys and certificates are the rehearsal's own; nothing of
it is ordered, signed, counted or seen.
"""

from collections.abc import Callable

import msgspec
from typing_extensions import override

from ledger.app import U64LE, App, Context, Table
from ledger.base.ids import TxId
from ledger.crypto.hashing import sha256
from ledger.crypto.sealing import ordered
from ledger.enclave.session_limits import NodeMetrics, SessionLimits
from ledger.enclave.sessions import HttpSession
from ledger.enclave.tls import Expiry, TlsBackend, handshake, throwaway
from ledger.endpoints.auth import CertificatePolicy, UnixSeconds
from ledger.endpoints.auth_jwt import JwtPolicy
from ledger.endpoints.local_log import LocalLog
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.kv.tx import Tx
from ledger.tables.members import USER_CERTS

IN_USE_MS = 60_000
"""A node that nobody called for this long rehearses no more, until somebody does."""
INTERVAL_MS = 10
"""Time without a request, and between two rehearsals, whatever the node's tick is."""

_BODY = b'{"id":1,"msg":"' + b"x" * 64 + b'"}'
_REQUEST = (
    b"POST /app/record HTTP/1.1\r\nhost: rehearsal\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)

_RECORDS = Table("records", U64LE, str)


class _Record(msgspec.Struct):
    id: int
    msg: str


class Rehearsal:
    """One client and one small service in memory.

    Args:
        backend: TLS of the node.
        now: Wall clock.
        tell: Told, in one line, when a request failed; it was the last one then.

    Attributes:
        log: What the small service has written; it keeps one record.
    """

    def __init__(self, backend: TlsBackend, now: UnixSeconds, tell: Callable[[str], None]) -> None:
        self._tell = tell
        server, _ = throwaway("server")
        caller, certificate = throwaway("caller")
        self.log = _Log()
        tx = self.log.begin()
        tx.table(USER_CERTS).put(sha256(certificate.der).hex(), certificate.pem)
        self.log.commit(tx, None)
        frontend = Frontend(_app().build(), _is_open, back_pressured=True)
        pipeline = Pipeline(self.log, [frontend], now=now, on_failure=self._failed)
        tls = backend.rpc_server(server).session()
        self._client = backend.client(
            server.chain_pem, caller, expiry=Expiry.IGNORED, alpn=True
        ).session()
        established = handshake(tls, self._client)
        assert established, "the TLS of a node has passed its test"
        metrics = NodeMetrics().add("rehearsal", SessionLimits())
        self._session = HttpSession("rehearsal", tls, pipeline, metrics, _Wire())
        self._reads = 0
        self._unused_ms = IN_USE_MS
        self._quiet_ms = 0
        self._over = False

    def tick(self, elapsed_ms: int, reads: int) -> None:
        """Rehearse, unless a client has just done so for us or nobody calls this node.

        Args:
            elapsed_ms: Time since the last tick.
            reads: ``Link.reads``.
        """
        if reads != self._reads:
            self._reads, self._unused_ms, self._quiet_ms = reads, 0, 0
            return
        if self._over or self._unused_ms >= IN_USE_MS:
            return
        self._unused_ms += elapsed_ms
        self._quiet_ms += elapsed_ms
        if self._quiet_ms >= INTERVAL_MS:
            self._quiet_ms = 0
            self.rehearse()

    def rehearse(self) -> bytes:
        """Send the request; return the answer as it came to the client."""
        client, session = self._client, self._session
        client.send(_REQUEST)
        session.take(client.output())
        session.advance()
        return client.feed(session.output())

    def _failed(self, line: str) -> None:
        self._over = True
        self._tell(f"A rehearsal of a request failed, there are no more: {line}")


class _Log(LocalLog):
    """Serialises as a replica does, and forgets."""

    @override
    def commit(self, tx: Tx, claims_digest: bytes | None) -> TxId | None:
        tx_id = super().commit(tx, claims_digest)
        assert tx_id is not None, "one request at a time conflicts with none"
        ordered(tx_id.seqno, 0, tx.changes, claims_digest)
        return tx_id


class _Wire:
    def answers_wait(self) -> None:
        """Nothing: every answer is ready at once."""


def _app() -> App:
    users = CertificatePolicy("user_cert", "user", USER_CERTS)
    app = App("rehearsal", auth=[JwtPolicy(), users])

    @app.post("/record")
    def write(ctx: Context, body: _Record, scope: str | None = None) -> bool:
        """Write a record."""
        del scope
        ctx.table(_RECORDS).put(body.id, body.msg)
        return True

    return app


def _is_open() -> bool:
    return True
