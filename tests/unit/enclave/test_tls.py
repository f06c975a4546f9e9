"""TLS in memory: who is accepted where, what a broken peer leads to, what resumption keeps."""

import ssl
import subprocess
import sys

import pytest

from ledger.base.errors import FormatError, UnavailableError
from ledger.crypto.keys import Curve
from ledger.enclave import tls, tls_libssl
from ledger.enclave.tls_types import Expiry, Identity, TlsBackend, TlsSession
from tests.unit.enclave.edge_support import (
    BACKEND_IDS,
    BACKENDS,
    Service,
    caller_identity,
    der_of,
    expired_identity,
    node_identity,
    pump,
)

backends = pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)


def client(
    backend: TlsBackend, ca: Identity | bytes, identity: Identity | None = None
) -> TlsSession:
    ca_pem = ca.chain_pem if isinstance(ca, Identity) else ca
    return backend.client(ca_pem, identity, expiry=Expiry.IGNORED, alpn=True).session()


def connected(backend: TlsBackend, identity: Identity | None = None) -> tuple[TlsSession, ...]:
    server = backend.rpc_server(node_identity()).session()
    other = client(backend, node_identity(), identity)
    pump(server, other)
    assert server.established
    assert other.established
    return server, other


class Standard:
    """A client of the standard library over memory, with all its knobs."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, session=session)
        self.done = False

    def connect(self, server: TlsSession) -> None:
        for _ in range(6):
            try:
                if not self.done:
                    self.tls.do_handshake()
                    self.done = True
                else:
                    self.tls.read(1)
            except ssl.SSLWantReadError:
                pass
            server.feed(self.outgoing.read())
            self.incoming.write(server.output())

    @staticmethod
    def context(
        version: ssl.TLSVersion | None = None, identity: Identity | None = None
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=node_identity().chain_pem.decode())
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if identity is not None:
            tls_libssl.load_identity(context, identity)
        return context


@backends
def test_self_test_holds(backend: TlsBackend) -> None:
    assert tls.self_test(backend) is None


@pytest.mark.parametrize("broken", ["strict", "blind", "open"])
def test_self_test_notices(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = BACKENDS[0]
    real = tls_libssl.accept_any_client
    if broken == "strict":
        monkeypatch.setattr(tls_libssl, "accept_any_client", lambda _context: None)
    elif broken == "blind":

        def blind(context: ssl.SSLContext) -> None:
            context.verify_mode = ssl.CERT_NONE

        monkeypatch.setattr(tls_libssl, "accept_any_client", blind)
    else:
        load = tls_libssl.load_identity

        def accept_everywhere(context: ssl.SSLContext, identity: Identity) -> None:
            real(context)
            load(context, identity)

        monkeypatch.setattr(tls_libssl, "load_identity", accept_everywhere)
    assert tls.self_test(backend) is not None


def test_backend_is_the_fallback_when_the_standard_one_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tls.choose_backend().name.startswith("ssl")
    monkeypatch.setattr(tls_libssl, "accept_any_client", lambda _context: None)
    assert tls.choose_backend().name.startswith("pyOpenSSL")
    monkeypatch.setitem(sys.modules, "ledger.enclave.tls_pyopenssl", None)
    with pytest.raises(UnavailableError, match="unknown client certificate breaks the handshake"):
        tls.choose_backend()


def test_unknown_interpreter_is_not_poked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tls_libssl.available()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not tls_libssl.available()


GCM = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
REFUSED = [
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
]


def servers(backend: TlsBackend) -> list[TlsSession]:
    """Return the server's end for a client, and that for another node."""
    identity = node_identity()
    return [
        backend.rpc_server(identity).session(),
        backend.peer_server(identity, identity.chain_pem).session(),
    ]


def tls12(context: ssl.SSLContext, suite: str) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    return context


def standard_server(suite: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls_libssl.load_identity(context, node_identity())
    return tls12(context, suite)


def shake_with_server(context: ssl.SSLContext, other: TlsSession) -> str | None:
    """Let one of our clients shake hands with a server of the standard library.

    Returns:
        The suite that was agreed on, None when the server refused.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    for _ in range(6):
        incoming.write(other.output())
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
        other.feed(outgoing.read())
    suite = server.cipher()
    return suite[0] if suite is not None and other.established else None


@backends
@pytest.mark.parametrize("suite", GCM)
def test_tls_1_2_agrees_on_aes_gcm(backend: TlsBackend, suite: str) -> None:
    for server in servers(backend):
        context = tls12(Standard.context(identity=node_identity()), suite)
        other = Standard(context)
        other.connect(server)
        assert server.established
        assert other.tls.cipher() == (suite, "TLSv1.2", int(suite[suite.index("AES") + 3 :][:3]))
    assert shake_with_server(standard_server(suite), client(backend, node_identity())) == suite


@backends
@pytest.mark.parametrize("suite", REFUSED)
def test_tls_1_2_agrees_on_nothing_without_authenticated_encryption(
    backend: TlsBackend, suite: str
) -> None:
    for server in servers(backend):
        context = tls12(Standard.context(identity=node_identity()), suite)
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
            Standard(context).connect(server)
        assert server.failure is not None
    assert shake_with_server(standard_server(suite), client(backend, node_identity())) is None


@backends
def test_suites_of_tls_1_3_are_the_librarys(backend: TlsBackend) -> None:
    server = backend.rpc_server(node_identity()).session()
    other = Standard(Standard.context(ssl.TLSVersion.TLSv1_3))
    other.connect(server)
    assert other.tls.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)


@backends
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_any_client_certificate_is_accepted_and_seen(backend: TlsBackend, name: str) -> None:
    server, _ = connected(backend, caller_identity(name))
    assert server.peer_certificate() == der_of(caller_identity(name))


@backends
def test_expired_and_endorsed_client_certificates_are_accepted(backend: TlsBackend) -> None:
    for identity in (expired_identity("old"), Service("elsewhere").node()):
        server, _ = connected(backend, identity)
        assert server.peer_certificate() == der_of(identity)


@backends
def test_no_client_certificate_is_accepted(backend: TlsBackend) -> None:
    server, _ = connected(backend)
    assert server.peer_certificate() is None


@backends
def test_certificate_without_its_key_is_refused(backend: TlsBackend) -> None:
    # Accepting any certificate must not mean accepting one that the client does not own.
    alice, bob = caller_identity("alice"), caller_identity("bob")
    with pytest.raises(FormatError):
        client(backend, node_identity(), Identity(alice.chain_pem, bob.key_pem))
    server = backend.rpc_server(node_identity()).session()
    forger = client(backend, node_identity(), alice)
    server.feed(forger.output())
    forger.feed(server.output())
    flight = bytearray(forger.output())
    flight[-60] ^= 1
    server.feed(bytes(flight))
    assert not server.established
    assert server.failure is not None


@backends
@pytest.mark.parametrize("curve", [Curve.P256, Curve.P384, Curve.P521])
def test_node_keys_of_every_curve(backend: TlsBackend, curve: Curve) -> None:
    server = backend.rpc_server(node_identity(curve)).session()
    other = client(backend, node_identity(curve))
    pump(server, other)
    assert other.peer_certificate() == der_of(node_identity(curve))


@backends
def test_client_refuses_an_unknown_server(backend: TlsBackend) -> None:
    server = backend.rpc_server(node_identity()).session()
    other = client(backend, caller_identity("somebody"))
    pump(server, other)
    assert not other.established
    assert other.failure is not None
    assert server.failure is not None


@backends
def test_expiry_counts_only_where_it_is_asked_for(backend: TlsBackend) -> None:
    service = Service("service")
    old = service.node(days_ago=9)
    for expiry, accepted in ((Expiry.IGNORED, True), (Expiry.CHECKED, False)):
        server = backend.rpc_server(old).session()
        other = backend.client(service.ca_pem, None, expiry=expiry, alpn=False).session()
        pump(server, other)
        assert other.established is accepted


@backends
def test_nodes_accept_each_other_by_endorsement_whatever_the_date(backend: TlsBackend) -> None:
    service = Service("service")
    server = backend.peer_server(service.node(days_ago=9), service.ca_pem).session()
    other = client(backend, service.ca_pem, service.node(days_ago=30))
    pump(server, other)
    assert server.failure is None
    assert server.established
    assert other.established


@backends
def test_nodes_refuse_strangers(backend: TlsBackend) -> None:
    service = Service("service")
    strangers = [None, caller_identity("alice"), Service("service").node()]
    for stranger in strangers:
        server = backend.peer_server(service.node(), service.ca_pem).session()
        pump(server, client(backend, service.ca_pem, stranger))
        assert not server.established
        assert server.failure is not None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@backends
def test_resumed_session_keeps_the_certificate(
    backend: TlsBackend, version: ssl.TLSVersion
) -> None:
    alice = caller_identity("alice")
    server_context = backend.rpc_server(node_identity())
    context = Standard.context(version, alice)
    first = Standard(context)
    first.connect(server_context.session())
    server = server_context.session()
    second = Standard(context, first.tls.session)
    second.connect(server)
    assert second.tls.session_reused
    assert server.peer_certificate() == der_of(alice)


@backends
def test_old_protocol_is_refused(backend: TlsBackend) -> None:
    context = Standard.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = backend.rpc_server(node_identity()).session()
    old = Standard(context)
    with pytest.raises(ssl.SSLError):
        old.connect(server)
    assert server.failure is not None


@backends
@pytest.mark.parametrize("group", ["prime256v1", "secp384r1", "secp521r1"])
def test_key_exchange_groups(backend: TlsBackend, group: str) -> None:
    context = Standard.context()
    context.set_ecdh_curve(group)
    server = backend.rpc_server(node_identity()).session()
    other = Standard(context)
    other.connect(server)
    assert other.done


@backends
@pytest.mark.parametrize(
    ("offered", "selected"),
    [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)],
)
def test_application_protocol(
    backend: TlsBackend, offered: list[str], selected: str | None
) -> None:
    context = Standard.context()
    if offered:
        context.set_alpn_protocols(offered)
    server = backend.rpc_server(node_identity()).session()
    other = Standard(context)
    other.connect(server)
    assert other.done
    assert other.tls.selected_alpn_protocol() == selected


@backends
@pytest.mark.parametrize("size", [1, 100, 16 * 1024, 16 * 1024 + 1, 1 << 20])
def test_data_of_every_size_passes_in_any_pieces(backend: TlsBackend, size: int) -> None:
    server, other = connected(backend, caller_identity("alice"))
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    for sender, receiver in ((server, other), (other, server)):
        sender.send(data)
        wire = sender.output()
        step = 1 if size <= 100 else 9_973
        got = b"".join(receiver.feed(wire[at : at + step]) for at in range(0, len(wire), step))
        assert got == data
        sender.send(data)
        assert receiver.feed(sender.output()) == data


@backends
def test_handshake_byte_by_byte(backend: TlsBackend) -> None:
    server = backend.rpc_server(node_identity()).session()
    other = client(backend, node_identity(), caller_identity("alice"))
    for _ in range(8):
        for source, sink in ((other, server), (server, other)):
            for byte in source.output():
                assert sink.feed(bytes([byte])) == b""
    assert server.established
    assert other.established


@backends
def test_data_together_with_the_end_of_the_handshake(backend: TlsBackend) -> None:
    server = backend.rpc_server(node_identity()).session()
    other = client(backend, node_identity())
    server.feed(other.output())
    other.feed(server.output())
    assert other.established
    other.send(b"early")
    assert server.feed(other.output()) == b"early"


@backends
def test_end_of_the_other_side_is_seen_behind_its_data(backend: TlsBackend) -> None:
    server, other = connected(backend)
    other.send(b"last words")
    other.close()
    data = [server.feed(other.output()), server.feed(b"")]
    assert data == [b"last words", b""]
    assert server.ended
    server.send(b"answer")
    server.close()
    assert other.feed(server.output()) == b"answer"
    assert server.failure is None


@backends
def test_close_before_the_handshake_is_harmless(backend: TlsBackend) -> None:
    server = backend.rpc_server(node_identity()).session()
    server.close()
    assert server.output() == b""


GARBAGE = [
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"\x16\x03\x01\xff\xff" + b"\x00" * 100,
    b"\x17\x03\x03\x00\x10" + b"\x00" * 16,
    b"\x80\x2e\x01\x00\x02" + b"\x00" * 50,
    b"\xff" * 300,
    b"\x00" * 300,
]


@backends
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_a_failure_and_not_an_exception(backend: TlsBackend, garbage: bytes) -> None:
    server = backend.rpc_server(node_identity()).session()
    assert server.feed(garbage) == b""
    server.feed(garbage)
    assert server.failure is not None
    assert server.feed(b"more") == b""
    server.output()
    server.close()


@backends
def test_any_flipped_byte_of_the_handshake_fails_it(backend: TlsBackend) -> None:
    # The first flight of the client; what it does not protect by itself, the finish does.
    flight = client(backend, node_identity()).output()
    for position in range(0, len(flight), 7):
        server = backend.rpc_server(node_identity()).session()
        other = client(backend, node_identity())
        broken = bytearray(other.output())
        if position >= len(broken):
            break
        broken[position] ^= 0x55
        server.feed(bytes(broken))
        other.feed(server.output())
        server.feed(other.output())
        assert not (server.established and other.established)


@backends
def test_flipped_byte_of_a_record_is_a_failure_with_an_alert(backend: TlsBackend) -> None:
    server, other = connected(backend)
    other.send(b"hello")
    wire = bytearray(other.output())
    wire[-1] ^= 1
    assert server.feed(bytes(wire)) == b""
    assert server.failure is not None
    alert = server.output()
    assert alert
    other.feed(alert)
    assert other.failure is not None


@backends
def test_bad_certificates_and_keys_are_format_errors(backend: TlsBackend) -> None:
    good = node_identity()
    other = caller_identity("alice")
    cases = [
        Identity(b"", good.key_pem),
        Identity(good.chain_pem[:100], good.key_pem),
        Identity(good.chain_pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n", good.key_pem),
        Identity(good.chain_pem, b""),
        Identity(good.chain_pem, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        Identity(good.chain_pem, other.key_pem),
        Identity(good.key_pem, good.chain_pem),
        Identity(good.chain_pem, ENCRYPTED_KEY),
    ]
    for case in cases:
        with pytest.raises(FormatError):
            backend.rpc_server(case)
    for ca_pem in (b"", b"nothing", b"\xff\xfe", good.key_pem):
        with pytest.raises(FormatError):
            backend.peer_server(good, ca_pem)


# A P-256 key made for this test, password "x".
ENCRYPTED_KEY = b"""-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjC7Rcm+zG72wICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKaumyfMQkdBHbezWkfhPo4EgZDq
hAWtCuJXCDYdp4pUaZD8Ic7H2kVC5cjwfYjlYRCKx/atC2lrio5k5ul83BPUP8Ku
fdL6mPpn48X3ItUJ7eLbUlzFHVIkBz45Fj1ynCPZ1EGif7RzZ+mbbLFQ/3+uhL+i
+pKBBpWwdRhzqqfzRQcopAyLJXsRkgQMfUHjEfhyhf8sHfJ3yPWuZU3GFctKdvY=
-----END ENCRYPTED PRIVATE KEY-----
"""


@backends
def test_certificate_is_replaced_for_new_sessions_only(backend: TlsBackend) -> None:
    context = tls.TlsContext(backend)
    assert context.session() is None
    context.replace(node_identity())
    old = context.session()
    assert old is not None
    with pytest.raises(FormatError):
        context.replace(Identity(b"", b""))
    context.replace(node_identity(Curve.P384))
    new = context.session()
    assert new is not None
    for session, identity in ((old, node_identity()), (new, node_identity(Curve.P384))):
        other = client(backend, identity)
        pump(session, other)
        assert other.established


def test_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(node_identity())
    assert "key" not in repr(node_identity())


def test_nothing_touches_the_file_system() -> None:
    # Keys must not be written anywhere, and a process without open() must still renew them.
    program = """
import sys
from tests.unit.enclave.edge_support import BACKENDS, caller_identity, node_identity
from ledger.enclave import tls
identities = [node_identity(), caller_identity("alice")]
for backend in BACKENDS:
    assert tls.self_test(backend) is None
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(("open", "os.")) else None)
for backend in BACKENDS:
    for identity in identities:
        tls.TlsContext(backend).replace(identity)
    assert tls.self_test(backend) is None
assert not seen, seen
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
