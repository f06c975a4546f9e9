"""The client's session against small TLS servers that answer what they are told."""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.base.errors import FormatError, LedgerError, UnavailableError, VerificationError
from ledger.base.ids import TxId
from ledger.client import session as session_module
from ledger.client.identity import Identity, create_identity
from ledger.client.service import Service
from ledger.client.session import RefusedError, Session
from ledger.crypto.certs import certificate_request, endorse, self_signed_service
from ledger.crypto.keys import Curve, SigningKey

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue"


@dataclass
class Keys:
    """A service with one node, and a foreign one."""

    directory: Path
    service: str
    foreign: str
    user: Identity
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    directory = tmp_path_factory.mktemp("keys")
    now = int(time.time())
    service_key = SigningKey.generate(Curve.P256)
    service = self_signed_service(service_key, "CN=Service", 2, now)
    foreign = self_signed_service(SigningKey.generate(Curve.P256), "CN=Service", 2, now)
    node_key = SigningKey.generate(Curve.P256)
    request = certificate_request(node_key, "CN=Node", ["iPAddress:127.0.0.1"])
    node = endorse(request, service_key, service, now, 1)
    (directory / "node_cert.pem").write_text(node.pem)
    (directory / "node_key.pem").write_text(node_key.to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "node_cert.pem", directory / "node_key.pem")
    user = create_identity(directory, "user0", now, curve=Curve.P256)
    return Keys(directory, service.pem, foreign.pem, user, context)


@dataclass
class Server:
    """Answers every request with the next of its answers, the last one again and again."""

    answers: list[bytes]
    requests: list[bytes] = field(default_factory=list)
    address: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        size = int(line.partition(b":")[2])
                self.requests.append(head + await reader.readexactly(size))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer.lower() or not answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def run(
    keys: Keys,
    servers: list[Server],
    scenario: Callable[[Session], Awaitable[None]],
    *,
    trust: str | None = None,
    identity: Identity | None = None,
    timeout_s: float = 10.0,
) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            for server in servers:
                listening = await asyncio.start_server(
                    server.serve, "127.0.0.1", 0, ssl=keys.context
                )
                stack.push_async_callback(listening.wait_closed)
                stack.callback(listening.close)
                server.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            session = Session(
                servers[0].address, trust or keys.service, identity, timeout_s=timeout_s
            )
            await stack.enter_async_context(session)
            await scenario(session)

    asyncio.run(main())


def test_json_goes_out_and_comes_back(keys: Keys) -> None:
    answer_bytes = (
        b"HTTP/1.1 200 OK\r\nX-MS-CCF-Transaction-Id: 2.17\r\ncontent-length: 12\r\n\r\n"
        b'{"msg":"hi"}'
    )
    server = Server([answer_bytes])

    async def scenario(session: Session) -> None:
        answer = await session.post("/app/log/private?scope=a%2Fb", json={"b": 1, "a": "é"})
        assert answer.expect(200).json() == {"msg": "hi"}
        assert answer.tx_id == TxId(2, 17)
        assert answer.address == server.address

    run(keys, [server], scenario, identity=keys.user)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /app/log/private?scope=a%2Fb HTTP/1.1\r\n")
    assert b"content-type: application/json" in head.lower()
    assert body == '{"a":"é","b":1}'.encode()


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 307 x\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()


def test_redirects_keep_verb_and_body(keys: Keys) -> None:
    first, second = Server([]), Server([OK])

    async def scenario(session: Session) -> None:
        first.answers.append(redirect(f"https://{second.address}/app/x?y=1"))
        answer = await session.request("PUT", "/app/x?y=1", body=b"payload")
        assert answer.expect().json() is True
        assert answer.address == second.address

    run(keys, [first, second], scenario)
    assert first.requests[0].endswith(b"payload")
    assert second.requests[0].startswith(b"PUT /app/x?y=1 ")
    assert second.requests[0].endswith(b"payload")


def test_relative_redirect_stays_on_the_node(keys: Keys) -> None:
    server = Server([redirect("/node/other"), OK])

    async def scenario(session: Session) -> None:
        assert (await session.get("/node/one")).status == 200

    run(keys, [server], scenario)
    assert server.requests[1].startswith(b"GET /node/other ")


def test_redirects_without_end_are_given_up(keys: Keys) -> None:
    server = Server([redirect("/again")])

    async def scenario(session: Session) -> None:
        with pytest.raises(UnavailableError, match="more than 8 redirects"):
            await session.get("/again")

    run(keys, [server], scenario)
    assert len(server.requests) == 9


@pytest.mark.parametrize("location", ["http://127.0.0.1/x", "ftp://x", "", "x"])
def test_redirects_off_https_are_refused(keys: Keys, location: str) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(FormatError, match="want an https address"):
            await session.get("/x")

    run(keys, [Server([redirect(location)])], scenario)


def test_refusals_carry_code_and_message(keys: Keys) -> None:
    body = b'{"error":{"code":"ResourceNotFound","message":"Unknown path: /x."}}'
    data = b"HTTP/1.1 404 x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def scenario(session: Session) -> None:
        with pytest.raises(RefusedError, match="got 404 ResourceNotFound: Unknown path") as caught:
            (await session.get("/x")).expect(200)
        assert (caught.value.status, caught.value.code) == (404, "ResourceNotFound")

    run(keys, [Server([data])], scenario)


def test_refusals_say_why_nobody_was_recognised(keys: Keys) -> None:
    body = json.dumps(
        {
            "error": {
                "code": "InvalidAuthenticationInfo",
                "message": "Invalid authentication credentials.",
                "details": [{"message": "Signer is not an active member."}, {"code": "x"}, 3],
            }
        }
    ).encode()
    data = b"HTTP/1.1 401 x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def scenario(session: Session) -> None:
        with pytest.raises(RefusedError, match="Signer is not an active member") as caught:
            (await session.get("/x")).expect(200)
        assert caught.value.reasons == ("Signer is not an active member.",)
        assert caught.value.message == "Invalid authentication credentials."

    run(keys, [Server([data])], scenario)


def test_refusals_without_json_show_the_text(keys: Keys) -> None:
    data = b"HTTP/1.1 400 x\r\ncontent-length: 11\r\n\r\nnot parsed."

    async def scenario(session: Session) -> None:
        answer = await session.get("/x")
        with pytest.raises(RefusedError, match="got 400 : not parsed"):
            answer.expect()
        with pytest.raises(FormatError, match="without a transaction ID"):
            _ = answer.tx_id

    run(keys, [Server([data])], scenario)


def test_another_service_is_noticed(keys: Keys) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(VerificationError, match="does not belong to the service"):
            await session.get("/x")

    run(keys, [Server([OK])], scenario, trust=keys.foreign)


BROKEN: list[tuple[bytes, type[LedgerError]]] = [
    (b"nonsense\r\n\r\n", FormatError),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntrue", UnavailableError),
    (b"", UnavailableError),
]


@pytest.mark.parametrize(("data", "error"), BROKEN)
def test_broken_answers(keys: Keys, data: bytes, error: type[LedgerError]) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(error):
            await session.get("/x")

    run(keys, [Server([data])], scenario)


def test_silence_times_out(keys: Keys) -> None:
    silent = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ntr"

    async def scenario(session: Session) -> None:
        with pytest.raises(UnavailableError, match="Timeout"):
            await session.get("/x")

    run(keys, [Server([silent])], scenario, timeout_s=0.2)


def test_large_answers_are_refused(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "BODY_SIZE_MAX", 1000)
    data = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + bytes(5000)

    async def scenario(session: Session) -> None:
        with pytest.raises(FormatError, match="more than 1000 bytes"):
            await session.get("/x")

    run(keys, [Server([data])], scenario)


def test_nobody_listens(keys: Keys) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(UnavailableError, match=r"no answer from https://127\.0\.0\.1:1/x"):
            await session.request("GET", "/x", address="127.0.0.1:1")

    run(keys, [Server([OK])], scenario)


def status(value: str) -> bytes:
    body = f'{{"transaction_id":"2.5","status":"{value}"}}'.encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def test_waiting_for_commit(keys: Keys) -> None:
    server = Server([status("Unknown"), status("Pending"), status("Committed")])

    async def scenario(session: Session) -> None:
        await Service(session).wait_for_commit(TxId(2, 5))

    run(keys, [server], scenario)
    assert len(server.requests) == 3


def test_waiting_for_commit_ends_when_it_cannot_come(keys: Keys) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(VerificationError, match=r"transaction 2\.5 is invalid"):
            await Service(session).wait_for_commit(TxId(2, 5))

    run(keys, [Server([status("Pending"), status("Invalid")])], scenario)


def test_waiting_for_commit_gives_up(keys: Keys) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(UnavailableError, match=r"gave up waiting: transaction 2\.5 is Pending"):
            await Service(session).wait_for_commit(TxId(2, 5), timeout_s=0.05)

    run(keys, [Server([status("Pending")])], scenario)


def test_receipts_are_waited_for(keys: Keys) -> None:
    later = b"HTTP/1.1 202 x\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"

    async def scenario(session: Session) -> None:
        assert await Service(session).receipt(TxId(2, 5)) == b"true"

    run(keys, [Server([later, later, OK])], scenario)


def test_certificate_that_is_none(keys: Keys) -> None:
    async def scenario() -> None:
        with pytest.raises(FormatError, match="no PEM certificate"):
            async with Session("127.0.0.1:1", "nonsense", keys.user):
                pass

    asyncio.run(scenario())


def test_key_of_another_certificate_is_noticed(keys: Keys, tmp_path: Path) -> None:
    other = create_identity(tmp_path, "other", int(time.time()), curve=Curve.P256)
    with pytest.raises(VerificationError, match="is not the key of"):
        Identity.load(keys.user.certificate_file, other.key_file)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:99999", "127.0.0.1:80x0", "127.0.0.1:", "[::1", "a..b:1", "ä:1", "u@h:1", ":1", ""],
)
def test_an_address_that_is_none_is_said(keys: Keys, address: str) -> None:
    async def ask() -> None:
        async with Session(address, keys.service) as session:
            await session.get("/node/state")

    with pytest.raises(FormatError, match="want host:port") as caught:
        asyncio.run(ask())
    assert f"got address {address!r}" in str(caught.value)
