"""Certificates of dialled servers: for which names they count, in both TLS implementations."""

import pytest

from ledger.crypto.certs import self_signed_node
from ledger.crypto.keys import Curve, SigningKey
from ledger.enclave.server_names import certificate_is_for
from ledger.enclave.tls_types import Expiry, Identity, TlsBackend
from tests.unit.enclave.edge_support import BACKEND_IDS, BACKENDS, pump

KEY = SigningKey.generate(Curve.P256)
BEGIN = 1_700_000_000

CASES = [
    ("issuer.example.com", ["dNSName:issuer.example.com"], True),
    ("ISSUER.example.com", ["dNSName:issuer.Example.com"], True),
    ("other.example.com", ["dNSName:issuer.example.com"], False),
    ("example.com", ["dNSName:issuer.example.com"], False),
    ("issuer.example.com", ["dNSName:other.example.com", "dNSName:issuer.example.com"], True),
    ("issuer.example.com", ["dNSName:*.example.com"], True),
    ("a.issuer.example.com", ["dNSName:*.example.com"], False),
    ("example.com", ["dNSName:*.example.com"], False),
    ("issuer.example.com", ["iPAddress:127.0.0.1"], False),
    ("issuer.example.com", [], False),
    ("127.0.0.1", ["iPAddress:127.0.0.1"], True),
    ("127.0.0.2", ["iPAddress:127.0.0.1"], False),
    ("127.0.0.1", ["dNSName:127.0.0.1"], False),
    ("::1", ["iPAddress:::1"], True),
    ("0:0:0:0:0:0:0:1", ["iPAddress:::1"], True),
]


def identity(sans: list[str]) -> tuple[Identity, bytes]:
    certificate = self_signed_node(KEY, "CN=issuer.example.com", sans, 36_500, BEGIN)
    return Identity(certificate.pem.encode(), KEY.to_pem().encode()), certificate.der


@pytest.mark.parametrize(("name", "sans", "counts"), CASES)
def test_a_certificate_counts_for_its_alternative_names(
    name: str, sans: list[str], counts: bool
) -> None:
    assert certificate_is_for(identity(sans)[1], name) is counts


def test_what_is_no_certificate_counts_for_nobody() -> None:
    assert not certificate_is_for(b"", "issuer.example.com")


@pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)
@pytest.mark.parametrize(("name", "sans", "counts"), CASES)
def test_both_implementations_agree(
    backend: TlsBackend, name: str, sans: list[str], counts: bool
) -> None:
    shown, _ = identity(sans)
    server = backend.rpc_server(shown).session()
    context = backend.client(
        shown.chain_pem, None, expiry=Expiry.CHECKED, alpn=True, server_name=name
    )
    client = context.session()
    pump(server, client)
    assert client.established is counts
    assert (client.failure is None) is counts
    if not counts:
        assert "certificate verify failed" in str(client.failure).lower().replace("_", " ")
        assert client.feed(b"more") == b""


@pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)
def test_the_name_is_asked_for(backend: TlsBackend) -> None:
    shown, _ = identity([])
    for name, is_asked in (("issuer.example.com", True), ("127.0.0.1", False), (None, False)):
        context = backend.client(
            shown.chain_pem, None, expiry=Expiry.CHECKED, alpn=True, server_name=name
        )
        hello = context.session().output()
        assert (b"issuer.example.com" in hello) is is_asked


@pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)
def test_without_a_name_none_is_compared(backend: TlsBackend) -> None:
    shown, _ = identity([])
    server = backend.rpc_server(shown).session()
    client = backend.client(shown.chain_pem, None, expiry=Expiry.CHECKED, alpn=True).session()
    pump(server, client)
    assert client.established
