"""Token keys follow a real HTTPS server; whatever it does wrong is told and changes nothing."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ledger.cli.audit_governance import replay_governance
from ledger.client.governance import Member
from ledger.client.service import Service
from ledger.client.session import Session
from ledger.sandbox.opening import agree
from ledger.sandbox.service import Sandbox, SandboxOptions
from tests.e2e.issuer_server import WELL_KNOWN, Issuer, respond
from tests.unit.endpoints.tokens import b64url, rsa_key, token

pytestmark = pytest.mark.e2e
DEADLINE_S = 60.0


def jwk(kid: str, key: rsa.RSAPrivateKey) -> dict[str, object]:
    numbers = key.public_key().public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    return {"kid": kid, "kty": "RSA", "n": b64url(modulus), "e": "AQAB"}


def quiet(line: str) -> None:
    del line


class Consortium:
    """The members of a sandbox, and what they see of tokens."""

    def __init__(self, session: Session, sandbox: Sandbox) -> None:
        self.session = session
        self.members = [Member(session, each.identity) for each in sandbox.files.members]

    async def decide(self, name: str, /, **args: object) -> None:
        await agree(self.members, [{"name": name, "args": args}], quiet)

    async def metrics(self) -> dict[str, Any]:
        answer = await self.session.get("/node/jwt_keys/refresh/metrics")
        document: dict[str, Any] = answer.expect(200).json()
        return document

    async def kids(self) -> set[str]:
        answer = await self.session.get("/gov/service/jwk?api-version=2024-07-01")
        return set(answer.expect(200).json()["keys"])

    async def until(self, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            metrics = await self.metrics()
            if holds(metrics):
                return metrics
            assert time.monotonic() < deadline, f"{what}: {metrics}"
            await asyncio.sleep(0.05)

    async def until_kids(self, wanted: set[str]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while await self.kids() != wanted:
            assert time.monotonic() < deadline, f"{wanted}: {await self.kids()}"
            await asyncio.sleep(0.05)

    async def failure(self, issuer: str, bundle: str = "ca") -> str:
        """Register an issuer that cannot be refreshed; return what is told of it."""
        before = (await self.metrics())["failures"]
        await self.decide(
            "set_jwt_issuer", issuer=issuer, auto_refresh=True, ca_cert_bundle_name=bundle
        )
        metrics = await self.until("failed", lambda now: now["failures"] > before)
        await self.decide("remove_jwt_issuer", issuer=issuer)
        error = str(metrics["last_error"])
        assert error.startswith(f"{issuer}: "), error
        return error


def options(directory: Path, interval: str) -> SandboxOptions:
    overlay = {"jwt": {"key_refresh_interval": interval}}
    return SandboxOptions(directory=directory, overlay=overlay)


async def follow(issuer: Issuer, directory: Path) -> Path:
    async with Sandbox(options(directory, "1s")) as sandbox:
        async with sandbox.session() as session:
            it = Consortium(session, sandbox)
            assert await it.metrics() == {
                "attempts": 0, "successes": 0, "failures": 0, "last_error": None,
            }  # fmt: skip
            await it.decide("set_ca_cert_bundle", name="ca", cert_bundle=issuer.ca_pem)
            issuer.keys = [jwk("one", rsa_key())]
            await it.decide(
                "set_jwt_issuer",
                issuer=issuer.url(),
                auto_refresh=True,
                ca_cert_bundle_name="ca",
            )
            await it.until_kids({"one"})
            await use_token(session, issuer.url(), "one", 200)
            issuer.keys = [jwk("two", rsa_key(1))]
            await it.until_kids({"two"})
            await use_token(session, issuer.url(), "one", 401)
            await nothing_is_written_when_nothing_changes(it)
        return sandbox.nodes[0].ledger


async def use_token(session: Session, issuer: str, kid: str, status: int) -> None:
    now = int(time.time())
    payload = {"iss": issuer, "exp": now + 600, "nbf": now - 600}
    made = token(rsa_key(), {"kid": kid}, payload)
    answer = await session.get(
        "/app/log/private/count", headers={"authorization": f"Bearer {made}"}
    )
    assert answer.status == status, answer.body


async def nothing_is_written_when_nothing_changes(it: Consortium) -> None:
    service = Service(it.session)
    last_change = await it.metrics()
    # A round later the last change is committed, too.
    begun = await it.until("a round", lambda now: now["successes"] > last_change["successes"])
    commit = (await it.session.get("/node/commit")).expect(200).json()["transaction_id"]
    await it.until("rounds", lambda now: now["successes"] >= begun["successes"] + 3)
    later = (await it.session.get("/node/commit")).expect(200).json()["transaction_id"]
    assert later == commit
    assert await service.status_of(commit) == "Committed"


def test_keys_follow_their_issuer_and_the_ledger_replays(tmp_path: Path) -> None:
    with Issuer(tmp_path / "issuer") as issuer:
        ledger = asyncio.run(follow(issuer, tmp_path / "sandbox"))
        assert issuer.asked[:2] == [WELL_KNOWN, "/keys"]
    report = replay_governance([ledger])
    assert report.difference is None
    assert report.unsigned["key refresh"] >= 2


def bad_documents(issuer: Issuer) -> dict[str, str]:
    """Prepare what goes wrong below paths; return a word of what is told of each."""

    def say(body: bytes, status: int = 200, extra: str = "") -> Callable[[Any, str], None]:
        return lambda tls, _path: respond(tls, body, status, extra)

    def keys_at(path: str) -> Callable[[Any, str], None]:
        return say(json.dumps({"jwks_uri": issuer.url(path)}).encode())

    elsewhere = json.dumps({"keys": [jwk("k", rsa_key()) | {"issuer": "https://evil"}]}).encode()
    issuer.replies = {
        "/redirect" + WELL_KNOWN: say(b"", 302, f"location: {issuer.url(WELL_KNOWN)}\r\n"),
        "/missing" + WELL_KNOWN: say(b"{}", 404),
        "/html" + WELL_KNOWN: say(b"<html>"),
        "/large" + WELL_KNOWN: say(b" " * 70_000),
        "/plain" + WELL_KNOWN: say(b'{"jwks_uri":"http://localhost/keys"}'),
        "/closed" + WELL_KNOWN: lambda tls, _path: tls.sendall(b"HTTP/1.1 200 X\r\ncontent-l"),
        "/nohttp" + WELL_KNOWN: lambda tls, _path: tls.sendall(b"SSH-2.0-x\r\n\r\n"),
        "/slow" + WELL_KNOWN: lambda _tls, _path: issuer.wait_until_stopped(),
        "/moved" + WELL_KNOWN: keys_at("/moved-keys"),
        "/moved-keys": say(b"", 307, f"location: {issuer.url('/keys')}\r\n"),
        "/empty" + WELL_KNOWN: keys_at("/empty-keys"),
        "/empty-keys": say(b'{"keys":[]}'),
        "/huge" + WELL_KNOWN: keys_at("/huge-keys"),
        "/huge-keys": say(b" " * (1 << 21)),
        "/broken" + WELL_KNOWN: keys_at("/broken-keys"),
        "/broken-keys": say(b'{"keys":[{"kid":"k","kty":"RSA"}]}'),
        "/foreign" + WELL_KNOWN: keys_at("/foreign-keys"),
        "/foreign-keys": say(elsewhere),
    }
    return {
        "/redirect": "redirects are not followed",
        "/missing": "got status 404",
        "/html": "not JSON",
        "/large": "larger than 65536 bytes",
        "/plain": "want an https address",
        "/closed": "closed before the answer was complete",
        "/nohttp": "not HTTP",
        "/moved": "redirects are not followed",
        "/empty": "without keys",
        "/huge": "larger than 1048576 bytes",
        "/broken": "key 'k'",
        "/foreign": "want the host of",
        "/slow": "no complete answer within 10 s",
    }


async def misbehave(issuer: Issuer, stranger: Issuer, directory: Path) -> None:
    async with Sandbox(options(directory, "30min")) as sandbox, sandbox.session() as session:
        it = Consortium(session, sandbox)
        await it.decide("set_ca_cert_bundle", name="ca", cert_bundle=issuer.ca_pem)
        await it.decide("set_ca_cert_bundle", name="other", cert_bundle=stranger.ca_pem)
        for path, words in bad_documents(issuer).items():
            assert words in await it.failure(issuer.url(path)), path
        refused = await it.failure(issuer.url("/unknown-ca"), "other")
        assert "CERTIFICATE_VERIFY_FAILED" in refused
        misnamed = await it.failure(issuer.url("/misnamed", host="127.0.0.1"))
        assert "IP address mismatch" in misnamed
        stranger.__exit__(None, None, None)
        gone = await it.failure(f"https://localhost:{stranger.port}")
        assert "cannot connect" in gone
        assert await it.kids() == set()
        metrics = await it.metrics()
        assert metrics["attempts"] == metrics["failures"]
        assert metrics["successes"] == 0
        answer = await session.get("/app/log/private/count")
        assert answer.status == 401


def test_whatever_a_server_does_wrong_is_told(tmp_path: Path) -> None:
    stranger = Issuer(tmp_path / "stranger")
    with Issuer(tmp_path / "issuer") as issuer:
        asyncio.run(misbehave(issuer, stranger, tmp_path / "sandbox"))
        assert "/unknown-ca" + WELL_KNOWN not in issuer.asked
        assert "/misnamed" + WELL_KNOWN not in issuer.asked
        assert WELL_KNOWN not in issuer.asked
