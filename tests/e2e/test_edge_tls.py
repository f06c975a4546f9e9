"""TLS on real sockets, with the clients that people have: curl and openssl."""

import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from ledger.crypto.keys import Curve
from ledger.enclave.session_limits import SessionLimits
from ledger.enclave.tls_types import Identity, TlsBackend
from tests.unit.enclave.edge_server import Server, read_response, read_to_end, running
from tests.unit.enclave.edge_support import (
    BACKEND_IDS,
    BACKENDS,
    caller_identity,
    der_of,
    get,
    node_identity,
)

pytestmark = pytest.mark.e2e

CURL, OPENSSL = shutil.which("curl"), shutil.which("openssl")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
backends = pytest.mark.parametrize("backend", BACKENDS, ids=BACKEND_IDS)


class Files:
    """PEM files for command-line clients."""

    def __init__(self, directory: Path, server: Server) -> None:
        self._directory = directory
        self.ca = self.write("service_cert.pem", server.identity.chain_pem)

    def write(self, name: str, data: bytes) -> str:
        path = self._directory / name
        path.write_bytes(data)
        return str(path)

    def identity(self, name: str, identity: Identity) -> tuple[str, str]:
        return (
            self.write(f"{name}_cert.pem", identity.chain_pem),
            self.write(f"{name}_privk.pem", identity.key_pem),
        )


def run(*command: str, data: bytes = b"") -> bytes:
    done = subprocess.run(command, input=data, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@needs_curl
@backends
def test_curl_with_and_without_certificates(backend: TlsBackend, tmp_path: Path) -> None:
    with running(backend=backend) as server:
        files = Files(tmp_path, server)
        base = f"https://127.0.0.1:{server.port}"
        curl = ("curl", "-sS", "--cacert", files.ca)
        assert run(*curl, f"{base}/app/x") == b"/app/x"
        answer = run(*curl, "-i", f"{base}/who")
        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert b"InvalidAuthenticationInfo" in answer
        for name in ("alice", "nobody knows me"):
            certificate, key = files.identity("user", caller_identity(name))
            answer = run(*curl, "--cert", certificate, "--key", key, f"{base}/who")
            assert answer == der_of(caller_identity(name)).hex().encode()


@needs_curl
def test_curl_keeps_the_connection_and_sends_all_kinds_of_bodies(tmp_path: Path) -> None:
    with running(SessionLimits(max_body_size=4 << 20)) as server:
        files = Files(tmp_path, server)
        url = f"https://127.0.0.1:{server.port}/x"
        curl = ("curl", "-sS", "--cacert", files.ca)
        body = files.write("body", bytes(range(256)) * 8192)
        count = ("-w", "%{num_connects}")
        assert run(*curl, *count, url, url, url, url) == b"/x1/x0/x0/x0"
        assert run(*curl, "--data-binary", '{"id":42}', url) == b'{"id":42}'
        # curl waits for 100-continue before a body of this size.
        sent = run(*curl, "--data-binary", f"@{body}", url)
        assert sent == Path(body).read_bytes()
        chunked = ("-H", "transfer-encoding: chunked", "-H", "expect:")
        assert run(*curl, *chunked, "--data-binary", f"@{body}", url) == sent
        assert run(*curl, "-X", "PUT", "-T", body, url) == sent
        assert run(*curl, "-I", url).startswith(b"HTTP/1.1 200 OK\r\n")
        assert run(*curl, "--http1.0", url) == b"/x"
        assert run(*curl, "--http2", url) == b"/x"
        answer = run(*curl, "-i", "-H", "a: " + "x" * 20_000, url)
        assert answer.startswith(b"HTTP/1.1 431 ")


@needs_curl
def test_curl_is_told_that_a_body_is_too_large(tmp_path: Path) -> None:
    with running() as server:
        files = Files(tmp_path, server)
        body = files.write("body", bytes(5 << 20))
        url = f"https://127.0.0.1:{server.port}/x"
        for options in ((), ("-H", "expect:"), ("-H", "transfer-encoding: chunked")):
            answer = run(
                "curl", "-sS", "--cacert", files.ca, "-o", "-", "-w", "%{http_code}", *options,
                "--data-binary", f"@{body}", url,
            )  # fmt: skip
            assert b"RequestBodyTooLarge" in answer
            assert answer.endswith(b"413")


@needs_curl
def test_curl_on_plain_tcp(tmp_path: Path) -> None:
    del tmp_path
    with running() as server:
        url = f"http://127.0.0.1:{server.addresses['plain'][1]}/x"
        assert run("curl", "-sS", url, url) == b"/x/x"
        assert run("curl", "-sS", "--http2", url) == b"/x"
        assert b"401" in run("curl", "-sS", "-i", url.replace("/x", "/who"))


@needs_openssl
@backends
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("curve", [Curve.P256, Curve.P384])
def test_openssl_client(backend: TlsBackend, version: str, curve: Curve, tmp_path: Path) -> None:
    with running(backend=backend, identity=node_identity(curve)) as server:
        files = Files(tmp_path, server)
        certificate, key = files.identity("user", caller_identity("alice"))
        output = run(
            "openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version,
            "-CAfile", files.ca, "-verify_return_error", "-alpn", "http/1.1", "-cert", certificate,
            "-key", key, "-ign_eof",
            data=get("/who", "connection: close"),
        )  # fmt: skip
        assert b"Verification: OK" in output
        assert b"ALPN protocol: http/1.1" in output
        assert der_of(caller_identity("alice")).hex().encode() in output


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_openssl_client_of_an_old_version_is_refused(version: str, tmp_path: Path) -> None:
    with running() as server:
        files = Files(tmp_path, server)
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version,
             "-cipher", "ALL:@SECLEVEL=0", "-CAfile", files.ca],
            input=b"", capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert b"alert protocol version" in done.stderr


@needs_openssl
@backends
def test_openssl_client_of_tls_1_2_gets_aes_gcm_and_no_cbc(
    backend: TlsBackend, tmp_path: Path
) -> None:
    with running(backend=backend) as server:
        command = [
            "openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2",
            "-CAfile", Files(tmp_path, server).ca, "-cipher",
        ]  # fmt: skip
        agreed = run(*command, "ECDHE-ECDSA-AES128-GCM-SHA256")
        assert b"Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in agreed
        refused = subprocess.run(
            [*command, "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256"],
            input=b"", capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert refused.returncode != 0
        assert b"alert handshake failure" in refused.stderr


@needs_openssl
@backends
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_client_resumes_and_stays_who_it_is(
    backend: TlsBackend, version: str, tmp_path: Path
) -> None:
    with running(backend=backend) as server:
        files = Files(tmp_path, server)
        certificate, key = files.identity("user", caller_identity("alice"))
        session = str(tmp_path / "session.pem")
        base = (
            "openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version, "-CAfile",
            files.ca, "-ign_eof",
        )  # fmt: skip
        who = get("/who", "connection: close")
        run(*base, "-cert", certificate, "-key", key, "-sess_out", session, data=who)
        output = run(*base, "-sess_in", session, data=who)
        assert re.search(rb"^Reused, ", output, re.MULTILINE)
        assert der_of(caller_identity("alice")).hex().encode() in output


@backends
def test_stdlib_client_resumes_and_stays_who_it_is(backend: TlsBackend) -> None:
    with running(backend=backend) as server:
        context = server.client(caller_identity("alice"))
        session = None
        for attempt in range(3):
            with context.wrap_socket(server.connect(), session=session) as connection:
                assert connection.session_reused is (attempt > 0)
                connection.sendall(get("/who"))
                body = read_response(connection, bytearray())[2]
                assert body == der_of(caller_identity("alice")).hex().encode()
                session = connection.session


def test_certificate_is_replaced_while_serving() -> None:
    with running() as server, server.connect_tls() as old:
        der = old.getpeercert(binary_form=True)
        other = node_identity(Curve.P384)
        server.link.set_certificate("tls", other)
        server.identity = other
        with server.connect_tls() as new:
            assert new.getpeercert(binary_form=True) == der_of(other) != der
            for connection in (old, new):
                connection.sendall(get("/1"))
                assert read_response(connection, bytearray())[0] == 200


def test_interface_without_certificate_closes_before_the_handshake() -> None:
    with running() as server:
        with server.connect("late") as connection:
            assert read_to_end(connection) == b""
        server.link.set_certificate("late", server.identity)
        with server.client().wrap_socket(server.connect("late")) as connection:
            connection.sendall(get("/1"))
            assert read_response(connection, bytearray())[0] == 200


GARBAGE = {
    "HTTP": get("/"),
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "cut hello": b"\x16\x03\x01\x02\x00\x01\x00",
    "huge record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "data": b"\x17\x03\x03\x00\x20" + bytes(32),
}


@backends
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_instead_of_tls(backend: TlsBackend, data: bytes) -> None:
    with running(SessionLimits(idle_timeout_ms=400), backend) as server:
        with server.connect() as connection:
            connection.sendall(data)
            assert b"HTTP" not in read_to_end(connection)
        with server.connect_tls() as connection:
            connection.sendall(get("/1"))
            assert read_response(connection, bytearray())[0] == 200
        assert server.site.handled == 1


@backends
def test_half_handshakes(backend: TlsBackend) -> None:
    with running(SessionLimits(idle_timeout_ms=400), backend) as server:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = server.client().wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        flight = outgoing.read()
        for cut in (0, 1, 5, 50, len(flight) - 1, len(flight)):
            with server.connect() as connection:
                connection.sendall(flight[:cut])
                connection.settimeout(20)
                read_to_end(connection)
            with server.connect() as connection:
                connection.sendall(flight[:cut])
                connection.shutdown(socket.SHUT_WR)
                read_to_end(connection)
        assert server.site.handled == 0
