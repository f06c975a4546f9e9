"""A joiner asks, is told to wait or go elsewhere, is refused, is trusted, and makes sure of it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ledger.boundary.settings import JoinSettings
from ledger.codec import canonical
from ledger.crypto.certs import certificate_request, endorse, self_signed_node
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey
from ledger.enclave.outbound import Answer, AnswerDone
from ledger.enclave.tls_stdlib import StdlibBackend
from ledger.enclave.tls_types import ClientContext
from ledger.launch.identity import NodeIdentity
from ledger.launch.joining import Joined, Joining
from ledger.launch.keys import Keys
from ledger.lifecycle.join import Refusal
from tests.unit.replica.harness import NOW, ManualClock, Service, node_info

if TYPE_CHECKING:
    from ledger.secrets.chain import SecretChain

TARGET = "127.0.0.1:8000"
ENCRYPTION = RsaPrivateKey.generate()
SECRET = {"secret": canonical.b64encode(bytes(32)), "version": 1}


def new_keys() -> Keys:
    key = SigningKey.generate(Curve.P256)
    names = ["iPAddress:127.0.0.1"]
    identity = NodeIdentity(
        key=key,
        self_signed=self_signed_node(key, "CN=Node", names, 30, NOW),
        request=certificate_request(key, "CN=Node", names),
    )
    return Keys(identity, ENCRYPTION)


class Log:
    """Keeps what the operator would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)


class Joiner:
    """A joiner and the service that it talks to."""

    def __init__(self, *, follow_redirect: bool = True) -> None:
        self.service = Service()
        self.clock = ManualClock()
        self.keys = new_keys()
        self.log = Log()
        self.asked: list[tuple[str, bytes]] = []
        self.waiting: list[AnswerDone] = []
        self.joined: list[Joined] = []
        self.secrets: list[SecretChain] = []
        self.peers: list[Mapping[str, str]] = []
        self.failures: list[str] = []
        self.settled = False
        settings = JoinSettings(
            target_rpc_address=TARGET,
            service_certificate=self.service.certificate.pem,
            retry_timeout_ms=1000,
            follow_redirect=follow_redirect,
            fetch_recent_snapshot=False,
            fetch_snapshot_max_attempts=1,
            fetch_snapshot_retry_interval_ms=1000,
            fetch_snapshot_max_size=1,
        )
        self.joining = Joining(
            settings,
            self.keys,
            node_info(),
            backend=StdlibBackend(),
            send=self._send,
            clock=self.clock,
            log=self.log,  # type: ignore[arg-type]  # only ``info`` is used
            joined=self.joined.append,
            secrets=self.secrets.append,
            peers=self.peers.append,
            settled=lambda: self.settled,
            failed=self.failures.append,
        )

    def _send(
        self, address: str, context: ClientContext, request: bytes, size: int, done: AnswerDone
    ) -> None:
        assert context is not None
        assert size > 0
        self.asked.append((address, request))
        self.waiting.append(done)

    def answer(self, outcome: Answer | str) -> None:
        """Let time pass until it asks, and answer."""
        self.clock.ms += 1000
        self.joining.tick()
        (done,) = self.waiting
        self.waiting.clear()
        done(outcome)

    def trusted(self, **changes: object) -> Answer:
        """Return what the service says to a node that it trusts."""
        key = self.service.key
        certificate = endorse(self.keys.node.request, key, self.service.certificate, NOW, 30)
        network: dict[str, Any] = {
            "public_only": False,
            "last_recovered_signed_idx": 0,
            "ledger_secrets": [SECRET],
            "identity": {"cert": self.service.certificate.pem, "priv_key": key.to_pem()},
            "endorsed_certificate": certificate.pem,
            "cose_signatures_config": {"issuer": "issuer", "subject": "subject"},
            "peers": {"a" * 64: "127.0.0.1:1"},
        }
        body = {"node_status": "Trusted", "network_info": {**network, **changes}}
        return Answer(200, {}, canonical.dumps(body), None)


PENDING = Answer(200, {}, canonical.dumps({"node_status": "Pending"}), None)


def redirect(location: str) -> Answer:
    return Answer(308, {b"location": location.encode()}, b"", None)


def refusal(code: str, status: int = 400) -> Answer:
    error = {"code": code, "message": "Do something about it."}
    return Answer(status, {}, canonical.dumps({"error": error}), None)


def test_the_first_request_says_who_asks() -> None:
    joiner = Joiner()
    joiner.joining.tick()
    ((address, request),) = joiner.asked
    assert address == TARGET
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /node/join HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n")
    asked = canonical.loads(body)
    assert set(asked["node_info_network"]) == {"node_to_node_interface", "rpc_interfaces"}
    joiner.joining.tick()
    assert len(joiner.asked) == 1, "one request at a time"


def test_a_pending_node_asks_again_and_says_so_once() -> None:
    joiner = Joiner()
    for _ in range(3):
        joiner.answer(PENDING)
    assert len(joiner.log.lines) == 1
    assert "transition_node_to_trusted" in joiner.log.lines[0]
    joiner.joining.tick()
    assert joiner.waiting == [], "not before the retry time"
    assert joiner.joined == []


def test_a_trusted_node_gets_what_it_needs() -> None:
    joiner = Joiner()
    joiner.answer(joiner.trusted())
    (joined,) = joiner.joined
    assert joined.service.key.public.id == joiner.service.key.public.id
    assert joined.chain.latest.first == 1
    assert (joined.issuer, joined.subject) == ("issuer", "subject")
    assert joiner.peers == [{"a" * 64: "127.0.0.1:1"}]


def test_a_trusted_node_asks_on_until_it_has_read_that_it_is_trusted() -> None:
    """An election may undo its admission; then it is admitted again, and gets no second key."""
    joiner = Joiner()
    joiner.answer(joiner.trusted())
    joiner.answer(PENDING)
    joiner.answer(joiner.trusted(peers={"b" * 64: "127.0.0.1:2"}))
    assert len(joiner.joined) == 1
    assert joiner.peers[-1] == {"b" * 64: "127.0.0.1:2"}
    asked = len(joiner.asked)
    joiner.settled = True
    joiner.clock.ms += 1000
    joiner.joining.tick()
    assert joiner.joining.is_over
    assert len(joiner.asked) == asked


def secret(first: int, filled_with: int) -> dict[str, object]:
    key = canonical.b64encode(bytes([filled_with]) * 32)
    return {"secret": key, "version": first, "previous_secret_stored_version": first - 1}


def test_the_secrets_of_every_answer_are_taken() -> None:
    """A rekey that was told of may be rolled back, and another one take its place."""
    joiner = Joiner()
    joiner.answer(joiner.trusted(ledger_secrets=[SECRET, secret(8, 1)]))
    assert joiner.secrets == [], "the first ones come with everything else"
    joiner.answer(joiner.trusted(ledger_secrets=[SECRET, secret(8, 2)]))
    assert [len(joined.chain) for joined in joiner.joined] == [2]
    (given,) = joiner.secrets
    assert (given.latest.first, given.latest.key) == (8, bytes([2]) * 32)


def test_redirects_are_followed_to_the_primary_at_once() -> None:
    joiner = Joiner()
    joiner.answer(redirect("https://127.0.0.1:9000/node/join"))
    joiner.joining.tick()
    assert [address for address, _ in joiner.asked] == [TARGET, "127.0.0.1:9000"]


@pytest.mark.parametrize(
    "outcome", ["connection refused", refusal("PrimaryNotFound", 503)], ids=["gone", "backup"]
)
def test_a_primary_that_is_none_any_more_is_not_asked_for_ever(outcome: Answer | str) -> None:
    joiner = Joiner()
    joiner.answer(redirect("https://127.0.0.1:9000/node/join"))
    joiner.answer(outcome)
    joiner.answer(PENDING)
    assert [address for address, _ in joiner.asked] == [TARGET, "127.0.0.1:9000", TARGET]


@pytest.mark.parametrize("location", ["", "http://x:1/node/join", "https://x/node/join", "/node"])
def test_other_redirects_are_not_followed(location: str) -> None:
    joiner = Joiner()
    joiner.answer(redirect(location))
    joiner.answer(PENDING)
    assert [address for address, _ in joiner.asked] == [TARGET, TARGET]
    assert any("redirected" in line for line in joiner.log.lines)


def test_redirects_can_be_switched_off() -> None:
    joiner = Joiner(follow_redirect=False)
    joiner.answer(redirect("https://127.0.0.1:9000/node/join"))
    joiner.answer(PENDING)
    assert [address for address, _ in joiner.asked] == [TARGET, TARGET]


@pytest.mark.parametrize("why", [each for each in Refusal if each is not Refusal.TOO_MANY])
def test_refusals_that_waiting_cannot_mend_end_the_node(why: Refusal) -> None:
    joiner = Joiner()
    joiner.answer(refusal(why.value))
    (failure,) = joiner.failures
    assert why.value in failure
    assert "Do something about it." in failure
    assert joiner.joining.is_over


TRANSIENT: list[Answer | str] = [
    "timed out",
    refusal("TooManyPendingNodes", 503),
    refusal("FrontendNotOpen", 404),
    refusal("PrimaryNotFound", 503),
    Answer(500, {}, b"no JSON", None),
    Answer(500, {}, b"[]", None),
    Answer(503, {}, b"", None),
]


@pytest.mark.parametrize("outcome", TRANSIENT)
def test_everything_else_is_tried_again(outcome: Answer | str) -> None:
    joiner = Joiner()
    joiner.answer(outcome)
    assert joiner.failures == []
    joiner.answer(joiner.trusted())
    assert len(joiner.joined) == 1


def test_another_service_at_the_address_is_explained() -> None:
    joiner = Joiner()
    joiner.answer("TLS failed: CERTIFICATE_VERIFY_FAILED")
    (line,) = joiner.log.lines
    assert "invalid cert on handshake" in line
    assert "command.service_certificate_file" in line


OTHER = Service()
UNTRUE: dict[str, Callable[[Joiner], dict[str, Any]]] = {
    "another service's key": lambda joiner: {
        "identity": {"cert": joiner.service.certificate.pem, "priv_key": OTHER.key.to_pem()}
    },
    "another service": lambda joiner: {  # noqa: ARG005
        "identity": {"cert": OTHER.certificate.pem, "priv_key": OTHER.key.to_pem()}
    },
    "no certificate": lambda joiner: {"endorsed_certificate": None},  # noqa: ARG005
    "another node's certificate": lambda joiner: {
        "endorsed_certificate": endorse(
            new_keys().node.request, joiner.service.key, joiner.service.certificate, NOW, 1
        ).pem
    },
    "a certificate of another service": lambda joiner: {
        "endorsed_certificate": endorse(
            joiner.keys.node.request, OTHER.key, OTHER.certificate, NOW, 1
        ).pem
    },
    "a short secret": lambda joiner: {  # noqa: ARG005
        "ledger_secrets": [{"secret": canonical.b64encode(b"short"), "version": 1}]
    },
    "no secret": lambda joiner: {"ledger_secrets": []},  # noqa: ARG005
}


@pytest.mark.parametrize("name", UNTRUE)
def test_what_is_given_is_checked_before_it_is_used(name: str) -> None:
    joiner = Joiner()
    joiner.answer(joiner.trusted(**UNTRUE[name](joiner)))
    assert joiner.joined == []
    (failure,) = joiner.failures
    assert failure.startswith("The service's answer to the join request cannot be used: ")
    assert "PRIVATE KEY" not in failure


@pytest.mark.parametrize("name", UNTRUE)
def test_later_answers_are_checked_as_the_first(name: str) -> None:
    joiner = Joiner()
    joiner.answer(joiner.trusted())
    joiner.answer(joiner.trusted(**UNTRUE[name](joiner)))
    assert joiner.secrets == []
    (failure,) = joiner.failures
    assert failure.startswith("The service's answer to the join request cannot be used: ")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"node_status": 1}', b'{"network_info": null}'])
def test_an_answer_that_is_none_ends_the_node(body: bytes) -> None:
    joiner = Joiner()
    joiner.answer(Answer(200, {}, body, None))
    assert len(joiner.failures) == 1
