"""HTTPS of a real node, asked with openssl, curl and bytes: callers, order of checks, limits."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.defaults import file_paths
from ledger.client.governance import Member
from ledger.client.identity import Identity, create_identity
from ledger.client.service import Service
from ledger.client.session import Session
from ledger.sandbox.configuration import INTERFACE, start_configuration
from ledger.sandbox.directory import SandboxDirectory
from ledger.sandbox.opening import agree
from ledger.sandbox.process import NodeProcess
from tests.e2e.node_kit import (
    TX_HEADER,
    Caller,
    Running,
    Wire,
    json_request,
    request,
    service,
    wait_until,
)

pytestmark = pytest.mark.e2e

OVERLAY = {
    "network": {
        "rpc_interfaces": {
            "plain": {
                "bind_address": "127.0.0.1:0",
                "endorsement": {"authority": "Unsecured"},
                "accepted_endpoints": ["/node/state", "/node/net.*", "/app/.*"],
            },
            "plain_closed": {
                "bind_address": "127.0.0.1:0",
                "endorsement": {"authority": "Unsecured"},
            },
            "own": {"bind_address": "127.0.0.1:0", "endorsement": {"authority": "Node"}},
            "small": {
                "bind_address": "127.0.0.1:0",
                "http_configuration": {
                    "max_body_size": "1KB",
                    "max_header_size": "1KB",
                    "max_headers_count": 10,
                },
                "accepted_endpoints": ["/app/log/.*", "/node/state"],
            },
            "large": {
                "bind_address": "127.0.0.1:0",
                "http_configuration": {"max_body_size": "80MB"},
            },
            "few": {
                "bind_address": "127.0.0.1:0",
                "max_open_sessions_soft": 2,
                "max_open_sessions_hard": 3,
            },
        }
    }
}
RECORD = "/app/log/private?id=1"
ALLOWED = "OPTIONS, DELETE, GET, POST"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("https") / "sandbox", OVERLAY) as made:
        with made.wire(user=0) as wire:
            body = {"id": 1, "msg": "hi"}
            reply = wire.ask_json("POST", "/app/log/private", body, prefer="wait-for-commit")
            assert reply.status == 200
        yield made
    assert made.complaints == ""
    failures = [line for line in made.log.splitlines() if "[fail ]" in line]
    assert all("EntrySizeError" in line for line in failures), failures
    assert "[fatal]" not in made.log


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Caller]:
    """Certificates that the service has never seen, by kind of key; one is out of date."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("strangers")
    made = {}
    for name, options in {
        "p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        "p521": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"],
        "rsa": ["-newkey", "rsa:2048"],
        "ed25519": ["-newkey", "ed25519"],
    }.items():
        certificate, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
        command = ["openssl", "req", "-x509", "-nodes", "-subj", f"/CN={name}", "-days", "2"]
        subprocess.run(
            [*command, *options, "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        made[name] = Caller(certificate, key)
    old = create_identity(folder, "old", 1_500_000_000, days=1)
    made["out of date"] = Caller(str(old.certificate_file), str(old.key_file))
    return made


# -- callers -------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("who", "status", "said"),
    [
        ("nobody", 401, "No caller user certificate."),
        ("p256", 401, "Could not find matching user certificate."),
        ("rsa", 401, "Could not find matching user certificate."),
        ("user", 200, '{"msg":"hi"}'),
    ],
)
def test_openssl_client(
    running: Running, strangers: dict[str, Caller], version: str, who: str, status: int, said: str
) -> None:
    command = ["openssl", "s_client", "-connect", running.address, "-quiet", version]
    command += ["-CAfile", str(running.service_certificate), "-verify_return_error"]
    caller = running.users[0] if who == "user" else strangers.get(who)
    if caller is not None:
        command += ["-cert", caller.certificate, "-key", caller.key]
    data = request("GET", RECORD, headers={"connection": "close"})
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)
    assert done.stdout.startswith(b"HTTP/1.1 %d " % status), done
    assert said.encode() in done.stdout


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_versions_before_tls_1_2_are_refused(running: Running) -> None:
    command = ["openssl", "s_client", "-connect", running.address, "-tls1_1"]
    command += ["-cipher", "DEFAULT@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    assert b"alert protocol version" in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("nobody", 401),
        ("p256", 401),
        ("p521", 401),
        ("rsa", 401),
        ("ed25519", 401),
        ("out of date", 401),
        ("member", 401),
        ("user", 200),
    ],
)
def test_curl(running: Running, strangers: dict[str, Caller], who: str, status: int) -> None:
    callers = {**strangers, "user": running.users[0], "member": running.members[0]}
    command = ["curl", "-sS", "-i", "--cacert", str(running.service_certificate)]
    if who in callers:
        command += ["--cert", callers[who].certificate, "--key", callers[who].key]
    command.append(f"https://{running.address}{RECORD}")
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    head, _, body = done.stdout.partition("\n\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    if status == 200:
        assert f"\n{TX_HEADER}: 2." in head
        return
    assert "\ncontent-type: application/json" in head
    assert TX_HEADER not in head
    error = json.loads(body)["error"]
    assert error["code"] == "InvalidAuthenticationInfo"
    assert error["message"] == "Invalid authentication credentials."
    assert {detail["code"] for detail in error["details"]} == {"InvalidAuthenticationInfo"}
    assert "user_cert" in [detail["auth_policy"] for detail in error["details"]]


def test_identity_is_looked_up_for_every_request(running: Running) -> None:
    """A user who is removed is unknown at once, on a connection that is open and on a resumed."""

    said: list[str] = []

    async def change(name: str, arguments: dict[str, str]) -> None:
        certificate = running.service_certificate.read_text()
        async with Session(running.address, certificate) as session:
            identities = [
                Identity.load(Path(each.certificate), Path(each.key)) for each in running.members
            ]
            members = [Member(session, identity) for identity in identities]
            await agree(members, [{"name": name, "args": arguments}], said.append)

    now = int(running.service_certificate.stat().st_mtime)
    added = create_identity(running.directory, "passing", now)
    caller = Caller(str(added.certificate_file), str(added.key_file))
    with running.wire(caller=caller) as wire:
        assert wire.ask("GET", RECORD).status == 401
        asyncio.run(change("set_user", {"cert": added.certificate.pem}))
        assert wire.ask("GET", RECORD).status == 200
        tls = wire.socket
        assert isinstance(tls, ssl.SSLSocket)
        session, context = tls.session, tls.context
        asyncio.run(change("remove_user", {"user_id": added.id}))
        assert wire.ask("GET", RECORD).status == 401
    host, _, port = running.address.rpartition(":")
    plain = socket.create_connection((host, int(port)))
    resumed = context.wrap_socket(plain, server_hostname=host, session=session)
    with Wire(resumed) as wire:
        reply = wire.ask("GET", RECORD)
        assert resumed.session_reused
    assert reply.status == 401
    assert b"Could not find matching user certificate." in reply.body


def test_certificates_of_interfaces(running: Running) -> None:
    """``Service`` shows the endorsed certificate, ``Node`` the node's own."""
    with pytest.raises(ssl.SSLCertVerificationError):
        running.wire(interface="own")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(running.node_directory / "nodecert.pem")
    host, _, port = running.addresses()["own"].rpartition(":")
    with Wire(
        context.wrap_socket(socket.create_connection((host, int(port))), False, True, True, host)
    ) as wire:
        assert wire.ask("GET", "/node/state").status == 200


# -- routing and the order of checks -------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "ResourceNotFound"),
        ("GET", "/app/../node/state", 404, "ResourceNotFound"),
        ("GET", "/app%2Flog/private?id=1", 404, "ResourceNotFound"),
        ("GET", "//app/log/private?id=1", 404, "ResourceNotFound"),
        ("GET", "/node/log/private", 404, "ResourceNotFound"),
        ("GET", "/gov/nowhere", 404, "ResourceNotFound"),
        ("PUT", "/app/log/private", 405, "UnsupportedHttpVerb"),
        ("POST", "/node/state", 405, "UnsupportedHttpVerb"),
        ("GET", "/gov/service/info", 400, "MissingApiVersionParameter"),
        ("GET", "/gov/service/info?api-version=1999", 400, "UnsupportedApiVersionValue"),
        ("GET", "/app/log/private?id=2", 404, "ResourceNotFound"),
        ("GET", "/app/log/private?id=x", 400, "InvalidQueryParameterValue"),
        ("GET", "/app/log/private", 400, "InvalidQueryParameterValue"),
        ("GET", "/app/tx?transaction_id=x", 400, "InvalidQueryParameterValue"),
        ("GET", "/app/receipt?transaction_id=2.999999", 404, "TransactionPendingOrUnknown"),
        ("GET", "/app/receipt?transaction_id=9.1", 404, "TransactionInvalid"),
        ("GET", "/node/network/nodes?status=x", 400, "InvalidQueryParameterValue"),
    ],
)
def test_refusals(running: Running, method: str, path: str, status: int, code: str) -> None:
    with running.wire(user=0) as wire:
        reply = wire.ask(method, path)
    assert (reply.status, reply.code) == (status, code)
    assert reply.headers["content-type"] == "application/json"
    assert TX_HEADER not in reply.headers


def test_prefix_of_the_application_may_be_left_out(running: Running) -> None:
    with running.wire(user=0) as wire:
        for path in (RECORD, RECORD.removeprefix("/app"), RECORD.replace("=1", "=%31")):
            assert wire.ask("GET", path).json() == {"msg": "hi"}


def test_verbs(running: Running) -> None:
    with running.wire(user=0) as wire:
        options = wire.ask("OPTIONS", "/app/log/private")
        assert (options.status, options.headers["allow"], options.body) == (204, ALLOWED, b"")
        put = wire.ask("PUT", "/app/log/private")
        assert (put.status, put.headers["allow"]) == (405, ALLOWED)
        assert wire.ask("OPTIONS", "/nowhere").status == 404
        assert wire.ask("HEAD", "/node/primary").status == 200
        head = wire.ask("HEAD", "/app/log/private?id=1")
        assert (head.status, head.headers["allow"]) == (405, ALLOWED)
        assert wire.ask("GET", RECORD).status == 200, "nothing of a HEAD's body was sent"


def test_interface_is_asked_after_dispatch_and_before_the_caller(running: Running) -> None:
    with running.wire(interface="small") as wire:
        assert wire.ask("GET", "/app/nowhere").status == 404
        assert wire.ask("PUT", "/app/commit").status == 405
        refused = wire.ask("GET", "/app/commit")
        assert (refused.status, refused.body) == (503, b"")
        assert wire.ask("GET", "/node/state").status == 200
        assert wire.ask("GET", RECORD).status == 401
        assert wire.ask("GET", "/log/private?id=1").status == 401, "the whole path is matched"


def test_plain_interface_serves_what_it_lists_of_what_it_may(running: Running) -> None:
    def ask(interface: str, path: str) -> tuple[int, bytes]:
        host, _, port = running.addresses()[interface].rpartition(":")
        with Wire(socket.create_connection((host, int(port)))) as wire:
            reply = wire.ask("GET", path)
        return reply.status, reply.body

    assert ask("plain", "/node/state")[0] == 200
    for path in ("/node/network", "/node/commit", "/app/commit", RECORD):
        assert ask("plain", path) == (503, b""), path
    assert ask("plain_closed", "/node/state") == (503, b"")
    told = [line for line in running.log.splitlines() if "is plain TCP" in line]
    assert len(told) == 2, "one line for each, at the start"
    assert "Interface plain is" in told[0]
    assert "it serves only /node/state;" in told[0]
    assert "it serves nothing;" in told[1]


def test_frontends_open_one_after_the_other(tmp_path: Path) -> None:
    """Before the service is open, ``/app`` is not there; ``/node`` and ``/gov`` are."""

    async def scenario() -> None:
        files = SandboxDirectory.create(tmp_path / "d", members=1, users=1, now=1_700_000_000)
        node = NodeProcess(tmp_path / "n", start_configuration(files, 0, list(file_paths())))
        try:
            await node.wait_until_started()
            address = node.address(INTERFACE)
            certificate = files.service_certificate_file.read_text()
            async with Session(address, certificate, files.users[0]) as session:
                await Service(session).wait_until_governable()
                network = (await session.get("/node/network")).expect(200).json()
                assert network["service_status"] == "Opening"
                info = await session.get("/gov/service/info?api-version=2024-07-01")
                assert info.expect(200).json()["status"] == "Opening"
                for path in (RECORD, "/app/commit", "/log/private?id=1", "/app/nowhere"):
                    answer = await session.get(path)
                    assert answer.status == 404
                    assert answer.json()["error"]["code"] == "FrontendNotOpen"
                assert (await session.get("/node/ready/app")).status == 503
                assert (await session.get("/node/ready/gov")).status == 204
        finally:
            assert await node.stop() == 0

    asyncio.run(scenario())


# -- bodies, answers, limits ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"id":5,"msg":"x"}', 200),
        (b'{"id":5,"msg":"x","more":1}', 200),
        (b'{"id":5,"msg":""}', 400),
        (b'{"id":-5,"msg":"x"}', 400),
        (b'{"id":5.5,"msg":"x"}', 400),
        (b'{"id":"5","msg":"x"}', 400),
        (b'{"id":18446744073709551616,"msg":"x"}', 400),
        (b'{"id":5}', 400),
        (b"[]", 400),
        (b"", 400),
        (b"{", 400),
        (b'{"id":5,"msg":"\xff"}', 400),
        (b"[" * 100_000, 400),
    ],
)
def test_bodies(running: Running, body: bytes, status: int) -> None:
    with running.wire(user=0) as wire:
        count = "/app/log/private/count?scope=bodies"
        before = wire.ask("GET", count).json()
        reply = wire.ask("POST", "/app/log/private?scope=bodies", body)
        assert reply.status == status
        if status == 400:
            assert reply.code == "InvalidInput"
        assert wire.ask("GET", count).json() == (1 if status == 200 else before)


def test_answers_come_in_order_and_after_commit_when_asked(running: Running) -> None:
    with running.wire(user=0) as wire:
        body = {"id": 9, "msg": "x"}
        writes = [json_request("POST", "/app/log/private", body)] * 3
        waiting = json_request("POST", "/app/log/private", body, prefer="wait-for-commit")
        wire.send(b"".join([*writes, waiting, *writes]))
        replies = [wire.reply() for _ in range(7)]
        assert [reply.status for reply in replies] == [200] * 7
        seqnos = [reply.tx_id.seqno for reply in replies]
        assert seqnos == sorted(set(seqnos))
        assert replies[3].headers["preference-applied"] == "wait-for-commit"
        assert "preference-applied" not in replies[2].headers
        status = wire.ask("GET", f"/app/tx?transaction_id={replies[3].tx_id}").json()
        assert status == {"status": "Committed", "transaction_id": str(replies[3].tx_id)}
        soon = wire.ask_json("POST", "/app/log/private", body, prefer="wait-for-commit; wait=0")
        assert soon.status == 202
        assert soon.json() == {"status": "Pending", "transaction_id": str(soon.tx_id)}


def test_limits_end_the_connection(running: Running) -> None:
    cases: list[tuple[bytes, int, str]] = [
        (request("POST", "/app/log/private", bytes(1025)), 413, "RequestBodyTooLarge"),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n401\r\n" + bytes(1025),
            413,
            "RequestBodyTooLarge",
        ),
        (request("GET", "/", headers={"x": "y" * 1025}), 431, "RequestHeaderTooLarge"),
        (
            request("GET", "/", headers={f"x{n}": "y" for n in range(9)}),
            431,
            "RequestHeaderTooLarge",
        ),
    ]
    for data, status, code in cases:
        with running.wire(user=0, interface="small") as wire:
            wire.send(data)
            reply = wire.reply()
            assert (reply.status, reply.code) == (status, code)
            assert wire.at_end()
    with running.wire(user=0, interface="small") as wire:
        body = json.dumps({"id": 1, "msg": "x" * 1004}).encode()
        assert len(body) == 1024
        assert wire.ask("POST", "/app/log/private?scope=limits", body).status == 200


def test_a_write_too_large_for_the_ledger_fails_alone(running: Running) -> None:
    with running.wire(user=0, interface="large") as wire:
        for size, status in ((60 << 20, 200), (64 << 20, 500), (1, 200)):
            body = {"id": 1, "msg": "x" * size}
            reply = wire.ask_json("POST", "/app/log/public?scope=large", body)
            assert reply.status == status, reply
        assert wire.ask("GET", "/app/log/public?scope=large&id=1").json() == {"msg": "x"}
        last = wire.ask_json(
            "POST", "/app/log/public", {"id": 1, "msg": "x"}, prefer="wait-for-commit"
        )
        assert last.headers["preference-applied"] == "wait-for-commit"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00",
        b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\na : b\r\n\r\n",
        b"GET /app/\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_ends_the_connection(running: Running, data: bytes) -> None:
    with running.wire() as wire:
        wire.send(data + b"\r\n\r\n")
        reply = wire.reply()
        assert reply.status == 400
        assert reply.headers["content-type"] == "text/plain"
        assert wire.at_end()


def test_caps_of_sessions(running: Running) -> None:
    wires = [running.wire(interface="few") for _ in range(2)]
    assert [wire.ask("GET", "/node/commit").status for wire in wires] == [200, 200]
    with running.wire(interface="few") as third:
        refused = third.ask("GET", "/node/commit")
        assert (refused.status, refused.code) == (503, "SessionCapExhausted")
        assert third.at_end()
    held = running.wire(interface="few")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        running.wire(interface="few")
    for wire in (*wires, held):
        wire.socket.close()

    def is_free() -> bool:
        try:
            with running.wire(interface="few") as wire:
                return wire.ask("GET", "/node/commit").status == 200
        except (ssl.SSLError, ConnectionError):
            return False

    wait_until("the places of closed sessions are free", is_free)
