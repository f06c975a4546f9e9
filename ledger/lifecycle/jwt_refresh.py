"""Fetching the keys of token issuers: what to ask for, what answers mean, and when.

An issuer that is refreshed automatically publishes a document (OpenID Connect Discovery 1.0,
section 4) at ``<issuer>/.well-known/openid-configuration``, which says where its key set is::

    issuer ──▶ metadata_target ──GET──▶ read_metadata ──▶ Metadata.keys ──GET──▶ read_keys

Redirects are refused: where keys come from is what the document says, over a connection that the
issuer's own CA bundle vouches for. Nothing here connects; the shell carries requests and reports.
"""

import re
from dataclasses import dataclass
from typing import Any

from ledger.base.errors import FormatError
from ledger.codec import canonical

METADATA_PATH = "/.well-known/openid-configuration"
METADATA_SIZE_MAX = 64 * 1024
"""Longest document that is read; those of large providers take 2 KiB."""
KEYS_SIZE_MAX = 1 << 20
"""Longest key set that is read: some hundred keys with their certificates."""
REFRESHES_MAX = 8
"""Issuers that are asked at the same time."""
ERROR_SIZE_MAX = 500
"""Longest error that is kept, in characters."""

_URL = re.compile(
    r"https://(?P<host>[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?"
    r"(?P<query>\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?",
    re.ASCII,
)
_DEFAULT_PORT = 443


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask for, and of whom.

    Attributes:
        host: Host name, or IP address without brackets: what the certificate has to be for.
        port: TCP port.
        path: Path and query, as they are sent.
    """

    host: str
    port: int
    path: str

    @property
    def address(self) -> str:
        """Where to connect, ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the host header says: without the port when it is the usual one."""
        usual = self.port == _DEFAULT_PORT
        return self.address.rpartition(":")[0] if usual else self.address


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer's document says.

    Attributes:
        keys: Where its key set is.
        issuer: What its tokens name as issuer; None when nothing is said.
    """

    keys: Target
    issuer: str | None


def metadata_target(issuer: str) -> Target:
    """Return where an issuer's document is.

    Raises:
        FormatError: the issuer is no https address without a query.
    """
    if "?" in issuer:
        raise FormatError(f"got issuer {issuer[:120]!r}, want an https address without a query")
    return parse_target(issuer.rstrip("/") + METADATA_PATH)


def parse_target(url: str) -> Target:
    """Read an https address.

    Raises:
        FormatError: it is another kind of address, or has a user or a fragment.
    """
    match = _URL.fullmatch(url)
    port = _DEFAULT_PORT if match is None else int(match["port"] or _DEFAULT_PORT)
    if match is None or not 0 < port < 1 << 16:
        raise FormatError(f"got address {url[:120]!r}, want an https address")
    path = (match["path"] or "/") + (match["query"] or "")
    return Target(match["host"].strip("[]"), port, path)


def read_metadata(status: int, body: bytes) -> Metadata:
    """Read the answer with an issuer's document.

    Raises:
        FormatError: another status than 200, or no such document.
    """
    document = _object(status, body, "the OpenID metadata")
    keys, issuer = document.get("jwks_uri"), document.get("issuer")
    if not isinstance(keys, str):
        raise FormatError("the OpenID metadata has no jwks_uri")
    if issuer is not None and not isinstance(issuer, str):
        raise FormatError("the OpenID metadata has an issuer that is no text")
    return Metadata(parse_target(keys), issuer)


def read_keys(status: int, body: bytes, issuer: str | None) -> dict[str, Any]:
    """Read the answer with a key set.

    Args:
        status: HTTP status.
        body: The body.
        issuer: What tokens name as issuer, for keys that name none of their own.

    Returns:
        The key set; whether its keys are keys is not looked at.

    Raises:
        FormatError: another status than 200, or no key set.
    """
    document = _object(status, body, "the key set")
    keys = document.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise FormatError("the key set has no list of keys")
    if issuer is not None:
        keys = [{"issuer": issuer} | key for key in keys]
    return {"keys": keys}


def _object(status: int, body: bytes, what: str) -> dict[str, Any]:
    if 300 <= status < 400:
        raise FormatError(f"{what} is somewhere else (status {status}), redirects are not followed")
    if status != 200:
        raise FormatError(f"{what}: got status {status}, want 200")
    try:
        document = canonical.loads(body)
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from error
    if not isinstance(document, dict):
        raise FormatError(f"{what} is no JSON object")
    return document


class Schedule:
    """Which issuers to ask now.

    An issuer is asked when it was set, even to what it was before, then every interval. A node
    that is not primary asks nobody, and forgets; so the next primary asks everybody at once.

    Args:
        interval_ms: Time between two rounds.
    """

    def __init__(self, interval_ms: float) -> None:
        self._interval_ms = interval_ms
        self._waited_ms = 0.0
        self._known: dict[str, int] = {}
        self._queue: dict[str, None] = {}

    def forget(self) -> None:
        """Ask nobody any more."""
        self._waited_ms = 0.0
        self._known = {}
        self._queue = {}

    def wait(self, elapsed_ms: float) -> None:
        """Let time pass."""
        self._waited_ms += elapsed_ms
        if self._waited_ms >= self._interval_ms:
            self._waited_ms = 0.0
            self._queue |= dict.fromkeys(self._known)

    def see(self, issuers: dict[str, int]) -> None:
        """Take in the issuers that are refreshed automatically now.

        Args:
            issuers: Issuer to the seqno at which it was last set.
        """
        for name, seqno in issuers.items():
            if self._known.get(name) != seqno:
                self._queue[name] = None
        self._known = dict(issuers)
        self._queue = {name: None for name in self._queue if name in issuers}

    def take(self, running: set[str]) -> list[str]:
        """Return who is asked next, and no longer have them in the queue.

        Args:
            running: Issuers that are being asked: not asked twice, and they count.
        """
        free = REFRESHES_MAX - len(running)
        chosen = [name for name in self._queue if name not in running][: max(0, free)]
        for name in chosen:
            del self._queue[name]
        return chosen


@dataclass(slots=True)
class RefreshMetrics:
    """How refreshing went on this node, since it started.

    Attributes:
        attempts: Issuers asked.
        successes: Of them, whose keys are now as they publish them.
        failures: Of them, whose keys stayed as they were.
        last_error: Why the last one failed, with its issuer; None before one did.
    """

    attempts: int = 0
    successes: int = 0
    failures: int = 0
    last_error: str | None = None

    def begun(self) -> None:
        """Count an issuer that is asked."""
        self.attempts += 1

    def succeeded(self) -> None:
        """Count an issuer whose keys are up to date."""
        self.successes += 1

    def failed(self, issuer: str, problem: str) -> None:
        """Count an issuer whose keys could not be had."""
        self.failures += 1
        self.last_error = f"{issuer}: {problem}"[:ERROR_SIZE_MAX]
