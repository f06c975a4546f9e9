"""Join: a new process asks a service to take it in, again and again, until it is trusted.

The target's certificate has to chain to the service certificate that the operator gave. Refusals
that waiting cannot mend end the process; everything else is tried again.

A node that is trusted goes on asking until it has read of that in the ledger: its admission may be
rolled back by an election, and the nodes that it was told to listen to may be replaced meanwhile.
So may a rekey: every answer brings the ledger secrets of the node that gave it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from ledger.base.clock import Clock
from ledger.base.errors import FormatError, LedgerError
from ledger.boundary.settings import JoinSettings
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate
from ledger.crypto.keys import SigningKey
from ledger.enclave.outbound import Answer, AnswerDone, request_bytes
from ledger.enclave.tls_types import ClientContext, Expiry, Identity, TlsBackend
from ledger.launch.identity import ServiceIdentity
from ledger.launch.keys import Keys
from ledger.launch.shell import NodeLog
from ledger.lifecycle.join import (
    JoinRequest,
    JoinResponse,
    NetworkInfo,
    Refusal,
    ServiceSecrets,
)
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.nodes import NodeInfo

_ANSWER_SIZE_MAX = 1 << 20
_FATAL = frozenset(refusal.value for refusal in Refusal if refusal is not Refusal.TOO_MANY)
_JSON_HEADER = (b"content-type", b"application/json")

SendRequest = Callable[[str, ClientContext, bytes, int, AnswerDone], None]
"""Address, TLS, request, largest body of the answer, and who is told of the answer."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a trusted node was given.

    Attributes:
        service: The service's key and certificate.
        chain: Ledger secrets.
        certificate: This node's endorsed certificate, PEM.
        issuer: Claim of COSE signatures.
        subject: Claim of COSE signatures.
    """

    service: ServiceIdentity
    chain: SecretChain
    certificate: str
    issuer: str
    subject: str


class Joining:
    """Asks until it is answered.

    Args:
        settings: Where to join.
        keys: This node's keys.
        record: This node's record as configured.
        backend: TLS.
        send: Carries a request.
        clock: Time.
        log: Told of every change.
        joined: Called once, when the node is trusted.
        secrets: Called with the ledger secrets of every later answer.
        peers: Called with the trusted nodes and their addresses whenever it is told them.
        settled: Whether the node has read in the ledger that it is trusted.
        failed: Called once, when waiting cannot help.

    Attributes:
        is_over: Whether it will not ask again.
    """

    def __init__(
        self,
        settings: JoinSettings,
        keys: Keys,
        record: NodeInfo,
        *,
        backend: TlsBackend,
        send: SendRequest,
        clock: Clock,
        log: NodeLog,
        joined: Callable[[Joined], None],
        secrets: Callable[[SecretChain], None],
        peers: Callable[[Mapping[str, str]], None],
        settled: Callable[[], bool],
        failed: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._send = send
        self._clock = clock
        self._log = log
        self._joined = joined
        self._secrets = secrets
        self._peers = peers
        self._settled = settled
        self._failed = failed
        self._address = settings.target_rpc_address
        self._context = _client(backend, settings, keys)
        self._body = canonical.dumps(_request(record))
        self._busy = False
        self._next_ms = 0.0
        self._last = ""
        self._has_joined = False
        self.is_over = False

    def tick(self) -> None:
        """Ask when it is time."""
        now_ms = self._clock.monotonic_ms()
        if self.is_over or self._busy or now_ms < self._next_ms:
            return
        if self._has_joined and self._settled():
            self.is_over = True
            return
        self._busy = True
        self._next_ms = now_ms + self._settings.retry_timeout_ms
        request = request_bytes("POST", self._address, "/node/join", self._body, [_JSON_HEADER])
        self._send(self._address, self._context, request, _ANSWER_SIZE_MAX, self._answered)

    def _answered(self, outcome: Answer | str) -> None:
        self._busy = False
        if self.is_over:
            return
        if isinstance(outcome, str):
            problem = outcome + _hint(outcome)
            self._tell(f"Join request to {self._address} failed and is tried again: {problem}")
            self._ask_target()
        elif outcome.status == 200:
            self._accepted(outcome.body)
        elif outcome.status in {307, 308}:
            self._redirected(outcome.headers.get(b"location", b"").decode("latin-1"))
        else:
            self._refused(outcome)

    def _accepted(self, body: bytes) -> None:
        try:
            response = msgspec.convert(canonical.loads(body), JoinResponse)
            if response.network_info is None:
                self._tell(
                    f"Join request to {self._address} returned {response.node_status}: waiting for "
                    "members to accept transition_node_to_trusted"
                )
                return
            joined = _joined(response.network_info, self._keys, self._settings)
            if self._has_joined:
                self._secrets(joined.chain)
            else:
                self._has_joined = True
                self._joined(joined)
        except (msgspec.MsgspecError, LedgerError) as error:
            self._end(f"The service's answer to the join request cannot be used: {error}")
            return
        self._peers(response.network_info.peers)

    def _redirected(self, location: str) -> None:
        address = location.removeprefix("https://").partition("/")[0]
        if not self._settings.follow_redirect:
            self._tell(f"Join request was redirected to {location}, which is not followed")
        elif location.startswith("https://") and ":" in address:
            self._address = address
            self._next_ms = 0.0
            self._tell(f"Join request is sent to {address}, the primary")
        else:
            self._tell(f"Join request was redirected to {location[:200]!r}, want an https URL")

    def _refused(self, answer: Answer) -> None:
        try:
            fault = canonical.loads(answer.body)["error"]
            code, message = str(fault["code"]), str(fault["message"])
        except (FormatError, KeyError, TypeError):
            code, message = "unknown", f"status {answer.status}"
        text = f"Join request to {self._address} refused: {code}: {message[:600]}"
        if code in _FATAL:
            self._end(text)
        else:
            self._tell(text)
            self._ask_target()

    def _ask_target(self) -> None:
        """Ask where we were told to: who we were redirected to is gone, or no primary any more."""
        self._address = self._settings.target_rpc_address

    def _end(self, reason: str) -> None:
        self.is_over = True
        self._failed(reason)

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._log.info(text)


def _hint(problem: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" not in problem:
        return ""
    return (
        ": invalid cert on handshake. The node there does not belong to the service whose "
        "certificate is in command.service_certificate_file, or that service is another one now"
    )


def _client(backend: TlsBackend, settings: JoinSettings, keys: Keys) -> ClientContext:
    identity = Identity(keys.node.self_signed.pem.encode(), keys.node.key.to_pem().encode())
    ca_pem = settings.service_certificate.encode()
    return backend.client(ca_pem, identity, expiry=Expiry.CHECKED, alpn=True)


def _request(record: NodeInfo) -> JoinRequest:
    return JoinRequest(
        node_info_network=NetworkInfo(
            node_to_node_interface=record.node_to_node_interface,
            rpc_interfaces=record.rpc_interfaces,
        ),
        quote_info=record.quote_info,
        public_encryption_key=record.encryption_pub_key,
        startup_seqno=None,
        certificate_signing_request=record.certificate_signing_request,
        node_data=record.node_data,
    )


def _joined(info: ServiceSecrets, keys: Keys, settings: JoinSettings) -> Joined:
    """Check what the service gave before it is used."""
    certificate = Certificate.parse(info.identity.cert)
    key = SigningKey.from_pem(info.identity.priv_key)
    pinned = Certificate.parse(settings.service_certificate)
    if key.public.id != certificate.public_key.id or key.public.id != pinned.public_key.id:
        raise FormatError("got a service key that is not the one of the pinned certificate")
    if info.endorsed_certificate is None:
        raise FormatError("got no endorsed certificate for this node")
    endorsed = Certificate.parse(info.endorsed_certificate)
    if endorsed.public_key.id != keys.node.id:
        raise FormatError("got an endorsed certificate for another node's key")
    endorsed.verify_endorsed_by(certificate)
    cose = info.cose_signatures_config
    return Joined(
        service=ServiceIdentity(key, certificate),
        chain=SecretChain(
            LedgerSecret(
                canonical.b64decode(secret.secret),
                secret.version,
                secret.previous_secret_stored_version,
            )
            for secret in info.ledger_secrets
        ),
        certificate=info.endorsed_certificate,
        issuer="" if cose is None else cose.issuer,
        subject="" if cose is None else cose.subject,
    )
