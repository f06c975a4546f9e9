"""Keys of simulated services: the same in every run, so that equal seeds give equal ledgers.

Keys come from fixed entropy and sign as RFC 6979 says. Only RSA-OAEP draws chance of its own; what
it encrypts is therefore replaced, once it is made, by the same bytes in a plain cover that depends
on nothing but its reader (see ``in_plain_cover``).
"""

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import msgspec

from ledger.base.ids import MemberId, NodeId
from ledger.codec import canonical
from ledger.crypto.certs import (
    Certificate,
    certificate_request,
    endorse,
    self_signed_node,
    self_signed_service,
)
from ledger.crypto.hashing import sha256
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey
from ledger.enclave.platforms import VirtualPlatform
from ledger.kv.tx import Tx
from ledger.launch.identity import NodeIdentity
from ledger.lifecycle.taking_part import nodes_taking_part
from ledger.replica.identity import NodeSigner
from ledger.replica.sealers import OpenBroadcast
from ledger.secrets.broadcast import open_broadcast
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.secrets.shares import PARTICIPANT, decrypt_share
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS, RECOVERY_SHARES
from ledger.tables.nodes import NodeInfo, NodeStatus, QuoteInfo

NOW = 1_750_000_000
"""Seconds since 1970 at the start of every simulation."""
DAYS = 365
INTERFACE = "primary_rpc_interface"
"""The only RPC interface of every node."""
PLATFORM = VirtualPlatform(bytes(32))
"""What every node runs on; all run the same."""
MEMBER = MemberId(64 * "a")
"""The only member, who holds all shares."""
_SERVICE = 0xC0
_ENCRYPTION_KEY = """\
-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDk56tSxGwHLlvX
Wwu5rawJWfTFlDWfdUFBrEgogPpEuzvrZc8xldc45eYj1yZzzZh9OxyoTgkLmPW5
aNdKpYjIgzGA4Ff4/4zNy36ZXTiWaIZR/Dnf1+W0Qb6RfsS84vFq10fCSfLExz29
Rz68GUZKM6idm02DWOFzW/9r/MVx66YXP0bcQwhb2YLMXsbErGz4b1upQmDznIg9
SCLSG0PRhXef2bWFaMADrd3hbuPgYRS4nJKcN28ihGnvj66mvXSnl5RMFAXbgDtU
5JNPTHENc7K8kcHrTYLXDSPUlfLIFq5Q3o4RegNkFFNziJtSHpp9vtfSQ3cFONF/
ioSNaC3HAgMBAAECggEAWKJOB/Pvwo4UWNyzuxeA/HP9H/5GDzMHbCcKH8jlX3TC
fGFFK7WSC0GV7f3SsVeEOsWHULI6tWdqinsKlihnwQBvzC/SUKOfQVaQ9FCQ50ic
7iUEweSm2Lf2Uv8rrdoQUeb/Lb+VhdWCVga+x3Xf7j53hWOLzZa+YX1Xd1h+mZ/C
dGDQSZsJQooy0kne0q6Mt4Ud906gCEipbBN8sQ3gGBrKDjjXJ6Rs0XHcLqiaWbUo
3n+1y8M3ajpxhazxn5GBjZh9vygErMJMnmpqLSAP86m3gA9pnRQ0OPUoimPK0A4J
3eaZB04Z8b3WTEeRbcAwnOI3NZpfnR1OK9tp8pnHTQKBgQD6E33iobDJmiYn2syt
34rpVuVAFT9BOcuMZ4y8/dcMqyfELPr0luBVlxKQW+kg/oQlw0ac9LtfZ5C55Qmp
ZJ9THPQ6qOQl/LzalI7u8xll4aQkboG/y8X8ajTTO23zG/+PDiqAO66/aguK3ddD
algeeFmlYkp/O1cJbrsKsef8owKBgQDqU8qgH1xHxQKJtkqOed7p6xfiukPn9wYV
1Fc9nNY9Id4vpJM7A0SiZOmmiyirHd8v9ZEnRxpgeIIbymYmOI7VcO7oB3RqISSa
XLRSnbgRueJrPv8zJrqks/EfFeRUt1rreBCG7u/tmWH3fPFpH1wC4fub+Hac2Ytk
+p2nKa5YjQKBgB3W7ZJ5UKr9pcfjp8Cnh9/H6pr27hFOYCdkw7pZX6u3UItsApXk
2ufbmu92yB6TwBjxcB+SZDlCFlbYKYr44rn8HnhRZsfRnIdIarXAdCtf/UILnZfR
LNKtqZf642e604eyXQfoFzXn5XCwf9sfeVxJaAj/7Xu5DO2nNNJV4CSZAoGAH+Lj
EcLytblzTPYHUzf2Q3KAP5QFJY2RwGqyrGmpJYx0RZtphYA+WLLOsKEDGbXo5wfN
hsDAMBx15/40xEKx/Q1vFRfemYqFBpRS3WMk5xSaYOmjpHxCraLmzsoV1glVT/F4
nkPpVjWnBRx1ZU6lIKdLq7+1tEZOF6GazmJ3nQkCgYBqb5qTDImHKW5Z21EiL/Ev
neh+fCQqJbfH0UqWsu99vIS9jNTX88zDTf1fE/s2q3VybCOvqZgedIt208K9x0TO
3ybnZb+myQyjNzQfoAvtLvlm8n3PqYkJuRm319pRvsvzTnKnsvfTfhO55Y0h0NQ/
4/bSa8nGT08Qh20R48eFEQ==
-----END PRIVATE KEY-----
"""
"""RSA key of every simulated node and member; it protects nothing."""


class SeededEntropy:
    """Implements ``base.clock.Entropy``, and repeats itself for equal seeds."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)  # noqa: S311

    def random_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        return self._chance.randbytes(count)


@dataclass(frozen=True, slots=True)
class SimulatedIdentity:
    """A node's key and certificates.

    Attributes:
        node_id: Its id.
        node: Its key, and what it shows before the service vouches for it.
        certificate: Endorsed by the service, PEM.
        signer: Signs roots for it and for the service.
    """

    node_id: NodeId
    node: NodeIdentity
    certificate: str
    signer: NodeSigner

    def row(self, status: NodeStatus) -> NodeInfo:
        """Return its row of the nodes table."""
        public = self.node.key.public
        evidence = PLATFORM.evidence(sha256(public.der))
        quote = canonical.b64encode(evidence.quote)
        return NodeInfo(
            node_to_node_interface={"published_address": peer_address(self.node_id)},
            rpc_interfaces={INTERFACE: {"published_address": f"{host_of(self.node_id)}:2"}},
            quote_info=QuoteInfo(format=evidence.format, quote=quote, endorsements=""),
            encryption_pub_key=encryption_key().public.pem,
            status=status,
            certificate_signing_request=self.node.request.pem,
            public_key=public.pem,
        )


def host_of(node_id: str) -> str:
    """Return the name of the machine that a node runs on."""
    return node_id[:16]


def peer_address(node_id: str) -> str:
    """Return where other nodes reach a node."""
    return f"{host_of(node_id)}:1"


@cache
def service() -> tuple[SigningKey, Certificate]:
    """Return key and certificate of every simulated service."""
    entropy = SeededEntropy(_SERVICE)
    key = SigningKey.generate(Curve.P256, entropy, deterministic=True)
    return key, self_signed_service(key, "CN=Simulated", DAYS, NOW - 10, entropy=entropy)


@cache
def identity(number: int) -> SimulatedIdentity:
    """Return the identity of the node created as the ``number``-th of its service."""
    service_key, certificate = service()
    entropy = SeededEntropy(number)
    key = SigningKey.generate(Curve.P256, entropy, deterministic=True)
    names = ("iPAddress:127.0.0.1",)
    request = certificate_request(key, "CN=Node", names)
    own = endorse(request, service_key, certificate, NOW - 10, DAYS, entropy=entropy)
    shown = self_signed_node(key, "CN=Node", names, DAYS, NOW - 10, entropy=entropy)
    signer = NodeSigner(key, service_key, "simulation", "ledger")
    node = NodeIdentity(key=key, self_signed=shown, request=request)
    return SimulatedIdentity(node.id, node, own.pem, signer)


@cache
def encryption_key() -> RsaPrivateKey:
    """Return the RSA key of everybody."""
    return RsaPrivateKey.from_pem(_ENCRYPTION_KEY)


def recovery_members() -> dict[MemberId, tuple[str, str]]:
    """Return the active recovery members as ``lifecycle`` wants them."""
    return {MEMBER: (encryption_key().public.pem, PARTICIPANT)}


def in_plain_cover(tx: Tx) -> None:
    """Replace what a transaction encrypted with RSA by the same in a cover without chance."""
    broadcast = tx.singleton(ENCRYPTED_LEDGER_SECRETS)
    if ENCRYPTED_LEDGER_SECRETS.name in tx.changes:
        value: dict[str, Any] = broadcast.get() or {}
        (secret,) = open_broadcast(value, next(iter(value)), encryption_key(), 1)
        row = {"version": None}
        broadcast.put(
            {
                node: [{**row, "encrypted_secret": _cover(node, secret.key)}]
                for node in nodes_taking_part(tx)
            }
        )
    if RECOVERY_SHARES.name in tx.changes:
        shares = tx.singleton(RECOVERY_SHARES)
        value = shares.get() or {}
        share = decrypt_share(value, MEMBER, encryption_key())
        value["encrypted_shares"] = {MEMBER: _cover(MEMBER, share)}
        shares.put(value)


def share_of_member(value: dict[str, Any]) -> bytes:
    """Return the member's share in a value of the table of shares."""
    return _uncover(MEMBER, value["encrypted_shares"][MEMBER])


def opener(node_id: NodeId) -> OpenBroadcast:
    """Return what finds a node's secret in a broadcast."""

    def opened(value: bytes, seqno: int) -> list[LedgerSecret]:
        return covered_secret(value, node_id, seqno)

    return opened


def covered_secret(value: bytes, node_id: str, seqno: int) -> list[LedgerSecret]:
    """Return the secret that a rekey at ``seqno`` hands to a node; none if it is not listed."""
    rows = msgspec.convert(canonical.loads(value), dict[str, list[dict[str, Any]]]).get(node_id, [])
    return [
        LedgerSecret(_uncover(node_id, row["encrypted_secret"]), seqno + 1, seqno) for row in rows
    ]


def _cover(reader: str, plain: bytes) -> str:
    return canonical.b64encode(_mixed(reader, plain))


def _uncover(reader: str, covered: str) -> bytes:
    return _mixed(reader, canonical.b64decode(covered))


def _mixed(reader: str, data: bytes) -> bytes:
    """Mix with 64 bytes that the reader's name gives; twice is not at all."""
    mask = sha256(b"0" + reader.encode()) + sha256(b"1" + reader.encode())
    assert len(data) <= len(mask), "secrets and shares are short"
    return bytes(one ^ other for one, other in zip(data, mask, strict=False))
