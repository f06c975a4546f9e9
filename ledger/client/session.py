"""HTTPS with one service: one trust root, redirects followed, errors typed."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import yarl

from ledger.base.errors import FormatError, LedgerError, UnavailableError, VerificationError
from ledger.base.ids import TxId
from ledger.client.identity import Identity
from ledger.codec import canonical

REDIRECTS_MAX = 8
"""Redirects followed for one request; a service that elects needs a few."""
BODY_SIZE_MAX = 64 << 20
"""Largest answer that is read."""
DEFAULT_TIMEOUT_S = 30.0
_READ_SIZE = 64 << 10
_REDIRECTS = frozenset({307, 308})
_AUTHORITY = re.compile(
    r"([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?\])(:[0-9]+)?"
)
_TX_HEADER = "x-ms-ccf-transaction-id"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Body bytes.
        address: ``host:port`` of the node that answered, after redirects.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    address: str

    @property
    def tx_id(self) -> TxId:
        """The transaction the answer belongs to.

        Raises:
            FormatError: the answer names none.
        """
        text = self.headers.get(_TX_HEADER)
        if text is None:
            raise FormatError(f"got an answer {self.status} without a transaction ID")
        return TxId.parse(text)

    def json(self) -> Any:  # noqa: ANN401  (JSON from outside has every shape)
        """Return the body as JSON.

        Raises:
            FormatError: it is not.
        """
        return canonical.loads(self.body)

    def expect(self, *statuses: int) -> "Answer":
        """Return the answer itself when its status is one of these (2xx without any).

        Raises:
            RefusedError: another status; the service's code and message are in it.
        """
        expected = self.status in statuses if statuses else 200 <= self.status < 300
        if not expected:
            raise RefusedError(self)
        return self


class RefusedError(LedgerError):
    """The service refused a request.

    Attributes:
        status: HTTP status.
        code: Error code of the body, or empty.
        message: Message of the body, or its beginning.
        reasons: What the details of the body say; why nobody was recognised, for a 401.
    """

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.code, self.message, self.reasons = _error_of(answer)
        told = [reason for reason in self.reasons if reason not in self.message]
        because = f" ({'; '.join(told)})" if told else ""
        super().__init__(f"got {self.status} {self.code}: {self.message}{because}")


class Session:
    """Connections to the nodes of one service, as one caller. Use it with ``async with``.

    Args:
        address: ``host:port`` of a node.
        service_certificate: PEM of the service's certificate; nothing else is trusted.
        identity: Who calls; None calls without a client certificate.
        timeout_s: For one request, redirects not counted together.
    """

    def __init__(
        self,
        address: str,
        service_certificate: str,
        identity: Identity | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.address = address
        self.service_certificate = service_certificate
        self.identity = identity
        self._timeout_s = timeout_s
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        context = tls_context(self.service_certificate, self.identity)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def get(self, path: str, **options: Any) -> Answer:  # noqa: ANN401  (as ``request``)
        """``request`` with the verb GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:  # noqa: ANN401  (as ``request``)
        """``request`` with the verb POST."""
        return await self.request("POST", path, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        address: str | None = None,
    ) -> Answer:
        """Send a request and return whatever is answered, after redirects.

        Args:
            method: Verb.
            path: Path with its query, percent-encoded.
            json: Value to send as JSON, instead of ``body``.
            body: Bytes to send.
            headers: Further headers.
            address: Another node of the service than the session's.

        Raises:
            UnavailableError: no connection, no answer in time, or redirects without end.
            VerificationError: whoever answers does not belong to the service.
            FormatError: the address is none; or the answer is no HTTP, far too large, or redirects
                off HTTPS.
        """
        sent = dict(headers or {})
        if json is not None:
            body = canonical.dumps(json)
            sent.setdefault("content-type", "application/json")
        where = address or self.address
        url = f"https://{where}{path}"
        for _ in range(REDIRECTS_MAX + 1):
            answer = await self._once(method, url, body, sent)
            if answer.status not in _REDIRECTS:
                return answer
            url = _target(answer, url)
        raise UnavailableError(f"got more than {REDIRECTS_MAX} redirects for {method} {path}")

    async def _once(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        assert self._http is not None, "a session is used within ``async with``"
        target = _parsed(url)
        try:
            async with self._http.request(
                method, target, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                content = bytearray()
                async for piece in response.content.iter_chunked(_READ_SIZE):
                    content += piece
                    if len(content) > BODY_SIZE_MAX:
                        raise FormatError(f"got an answer of more than {BODY_SIZE_MAX} bytes")
        except aiohttp.ClientConnectorCertificateError as error:
            raise VerificationError(f"{url} does not belong to the service: {error}") from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
            raise FormatError(f"got no HTTP answer from {url}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(
                f"no answer from {url}: {type(error).__name__} {error}"
            ) from error
        received = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, received, bytes(content), target.authority)


def tls_context(service_certificate: str, identity: Identity | None) -> ssl.SSLContext:
    """Return a client context that trusts one service and shows one identity.

    Raises:
        FormatError: the service certificate is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=service_certificate)
    except (ssl.SSLError, ValueError) as error:
        raise FormatError(f"got no PEM certificate of a service: {error}") from error
    if identity is not None:
        context.load_cert_chain(identity.certificate_file, identity.key_file)
    return context


def _parsed(url: str) -> yarl.URL:
    """Return a URL of ours or of a redirect.

    Raises:
        FormatError: the host or the port in it is none.
    """
    authority = url.removeprefix("https://").partition("/")[0]
    try:
        parsed = yarl.URL(url, encoded=True)
        if _AUTHORITY.fullmatch(authority) and parsed.port is not None:  # the port is read here
            return parsed
    except ValueError:
        pass
    raise FormatError(
        f"got address {authority[:200]!r}, want host:port, the port from 0 to 65535 "
        "(IPv6 in brackets)"
    )


def _target(answer: Answer, url: str) -> str:
    location = answer.headers.get("location", "")
    if location.startswith("/"):
        return "https://" + url.removeprefix("https://").partition("/")[0] + location
    if not location.startswith("https://"):
        raise FormatError(f"got a redirect to {location[:200]!r}, want an https address")
    return location


def _error_of(answer: Answer) -> tuple[str, str, tuple[str, ...]]:
    try:
        value = answer.json()
    except FormatError:
        value = None
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return "", answer.body[:200].decode(errors="replace"), ()
    details = error.get("details")
    reasons = tuple(
        str(each["message"])
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, dict) and "message" in each
    )
    return str(error.get("code", "")), str(error.get("message", "")), reasons
