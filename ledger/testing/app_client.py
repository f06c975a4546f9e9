"""Call an application in process: no node, no sockets, the real pipeline.

Routing, authentication, body types, transactions, conflicts, commit waits and errors are the
node's own code on the node's own store. What is missing is the ledger: nothing is encrypted,
signed or replicated, and there are no receipts. A local log says when transactions commit.

Example::

    client = AppClient(app)
    alice = client.user({"role": "teller"})
    answer = alice.post("/log/private", json={"id": 42, "msg": "hi"})
    assert answer.status == 200 and answer.json() is True
    assert client.anonymous().get("/log/private?id=42").status == 401
"""

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack
from urllib.parse import urlencode

import msgspec
from typing_extensions import override

from ledger.app import App
from ledger.base.errors import MisuseError
from ledger.base.ids import TxId
from ledger.crypto.certs import Certificate, self_signed_caller
from ledger.crypto.keys import Curve, SigningKey
from ledger.endpoints.local_log import LocalLog
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.frontends.common import add_common
from ledger.tables.members import (
    MEMBER_CERTS,
    MEMBER_INFO,
    USER_CERTS,
    USER_INFO,
    MemberInfo,
    MemberStatus,
    UserInfo,
)

START_OF_TIME = 1_750_000_000
"""What the client's clock shows at first, in seconds since 1970."""
CERTIFICATE_DAYS = 90


class Options(TypedDict, total=False):
    """What a request may have beside verb and path.

    Attributes:
        json: Value of a JSON body; sets the content type.
        body: Body as bytes, instead.
        params: Query parameters, encoded for the caller.
        headers: Headers, names in any case.
    """

    json: Any
    body: bytes
    params: Mapping[str, str | int]
    headers: Mapping[str, str]


class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case and their values.
        body: The body; empty for a HEAD.
        tx_id: Transaction ID, None when the answer has none.
    """

    def __init__(self, request: Request, response: Response) -> None:
        self.status = response.status
        self.body = b"" if request.method == "HEAD" else response.body
        self.headers = {
            name.decode(): value.decode("latin-1") for name, value in response.headers or ()
        }
        if response.content_type is not None:
            self.headers["content-type"] = response.content_type.decode()
        self.tx_id = None if response.tx_id is None else TxId.parse(response.tx_id.decode())

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:  # noqa: ANN401 - JSON has every shape
        """Return the body as a JSON value."""
        return msgspec.json.decode(self.body)

    @property
    def error_code(self) -> str | None:
        """Code of an error answer, None for any other."""
        return self.json()["error"]["code"] if self.status >= 400 and self.body else None

    @override
    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:200]!r}>"


class Call:
    """A request that was sent; its answer may come later."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._answer: Answer | None = None

    def done(self) -> bool:
        """Say whether the answer has come."""
        return self._answer is not None

    def result(self) -> Answer:
        """Return the answer.

        Raises:
            MisuseError: it has not come.
        """
        if self._answer is None:
            raise MisuseError(f"{self._name} waits: use start(), and commit() or advance()")
        return self._answer

    def complete(self, answer: Answer) -> None:
        """Take the answer; called once."""
        assert self._answer is None, "a request is answered once"
        self._answer = answer


class Caller:
    """Somebody with or without a certificate, on a connection of their own.

    Attributes:
        id: Hex SHA-256 of the certificate, None without one.
        certificate: The certificate as DER, or None.
        closed: Whether the node ended the connection; the next request opens a new one.
    """

    interface = "app_client"

    def __init__(self, pipeline: Pipeline, certificate: Certificate | None) -> None:
        self.id = None if certificate is None else certificate.id
        self.certificate = None if certificate is None else certificate.der
        self.closed = False
        self.pinned_view = 0
        self.forwarded = False
        self._pipeline = pipeline
        self._calls: dict[Request, Call] = {}

    def peer_certificate(self) -> bytes | None:
        """See ``Session``."""
        return self.certificate

    def complete(self, request: Request, response: Response) -> None:
        """See ``Session``."""
        self._calls.pop(request).complete(Answer(request, response))

    def close_after_response(self) -> None:
        """See ``Session``."""
        self.closed = True

    def reconnect(self) -> None:
        """Begin a new session: nothing is pinned any more."""
        self.closed = False
        self.pinned_view = 0

    def get(self, path: str, **options: Unpack[Options]) -> Answer:
        """Send a GET. See ``start`` for the options."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Unpack[Options]) -> Answer:
        """Send a POST. See ``start`` for the options."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[Options]) -> Answer:
        """Send a PUT. See ``start`` for the options."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Answer:
        """Send a PATCH. See ``start`` for the options."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Answer:
        """Send a DELETE. See ``start`` for the options."""
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str, **options: Unpack[Options]) -> Answer:
        """Send a request that is answered at once. See ``start`` for the options.

        Raises:
            MisuseError: the answer waits for something; use ``start``.
        """
        return self.start(method, path, **options).result()

    def start(
        self,
        method: str,
        path: str,
        **options: Unpack[Options],
    ) -> Call:
        """Send a request.

        Args:
            method: Verb.
            path: Path, percent-encoded, with or without a query.
            options: See ``Options``.
        """
        if self.closed:
            self.reconnect()
        request = self._request(method, path, options)
        call = self._calls[request] = Call(f"{method} {path}")
        response = self._pipeline.handle(request)
        if response is not None:
            del self._calls[request]
            call.complete(Answer(request, response))
        return call

    def _request(self, method: str, path: str, options: Options) -> Request:
        headers = {
            name.lower().encode(): value.encode("latin-1")
            for name, value in options.get("headers", {}).items()
        }
        body = options.get("body", b"")
        if "json" in options:
            body = msgspec.json.encode(options["json"])
            headers.setdefault(b"content-type", b"application/json")
        path, _, query = path.partition("?")
        if options.get("params"):
            query = "&".join(filter(None, (query, urlencode(options["params"]))))
        return Request(method, path, query, headers, body, self)


class AppClient:
    """An application, open for calls.

    Args:
        app: The application.
        commits_at_once: Whether transactions commit as they are ordered; else with ``commit``.

    Attributes:
        log: What orders the transactions; its fields stage back-pressure or a lost primary.
        failures: One line for every exception that an endpoint let through.
        now: What the node's clock shows, in seconds since 1970. Stands still by itself.
        open: Whether the frontend is open.
    """

    def __init__(self, app: App, *, commits_at_once: bool = True) -> None:
        self.log = LocalLog(commits_at_once=commits_at_once)
        self.failures: list[str] = []
        self.now = float(START_OF_TIME)
        self.open = True
        registry = app.build()
        add_common(registry, self.log, None)
        self.pipeline = Pipeline(
            self.log,
            [Frontend(registry, lambda: self.open, back_pressured=True)],
            now=lambda: self.now,
            on_failure=self.failures.append,
            tell_messages=True,
        )
        self._strangers = 0

    def user(self, data: Any = None, *, days: int = CERTIFICATE_DAYS) -> Caller:  # noqa: ANN401
        """Return a registered user with a certificate of their own.

        Args:
            data: The user's ``user_data``.
            days: How long the certificate is valid from now on.
        """
        return Caller(self.pipeline, self.user_certificate(data, days=days))

    def user_certificate(self, data: Any = None, *, days: int = CERTIFICATE_DAYS) -> Certificate:  # noqa: ANN401
        """Register a user and return only the certificate; see ``user``."""
        certificate = self._certificate(days)
        tx = self.log.begin()
        tx.table(USER_CERTS).put(certificate.id, certificate.pem)
        if data is not None:
            tx.table(USER_INFO).put(certificate.id, UserInfo(user_data=data))
        self.log.commit(tx, None)
        return certificate

    def member(self, data: Any = None, *, days: int = CERTIFICATE_DAYS) -> Caller:  # noqa: ANN401
        """Return an active member with a certificate of their own; see ``user``."""
        certificate = self._certificate(days)
        info = MemberInfo(status=MemberStatus.ACTIVE, member_data=data)
        tx = self.log.begin()
        tx.table(MEMBER_CERTS).put(certificate.id, certificate.pem)
        tx.table(MEMBER_INFO).put(certificate.id, info)
        self.log.commit(tx, None)
        return Caller(self.pipeline, certificate)

    def stranger(self, *, days: int = CERTIFICATE_DAYS) -> Caller:
        """Return somebody with a certificate that nobody registered."""
        return Caller(self.pipeline, self._certificate(days))

    def anonymous(self) -> Caller:
        """Return somebody without a certificate."""
        return Caller(self.pipeline, None)

    def commit(self) -> None:
        """Commit every transaction so far; answers that waited for it come."""
        self.log.commit_all()

    def lose_uncommitted(self) -> None:
        """Undo what is not committed and begin a new view, as an election may."""
        self.log.lose_uncommitted()

    def advance(self, seconds: float) -> None:
        """Let time pass; answers that waited too long come."""
        self.now += seconds
        self.pipeline.tick((self.now - START_OF_TIME) * 1000)

    def _certificate(self, days: int) -> Certificate:
        self._strangers += 1
        key = SigningKey.generate(Curve.P256)
        return self_signed_caller(key, f"CN=caller{self._strangers}", days, int(self.now))
