"""What an RPC interface lets through, before anything runs."""

import re
from collections.abc import Sequence

from ledger.base.errors import MisuseError

UNSECURED_PATHS = frozenset(
    {
        "/node/backup",
        "/node/commit",
        "/node/memory",
        "/node/metrics",
        "/node/primary",
        "/node/ready/app",
        "/node/ready/gov",
        "/node/state",
        "/node/version",
    }
)
"""All that a plain-TCP interface can serve: probes and figures that nobody has to trust.

Nothing that a client could take for the service's word (certificates, records, receipts) and
nothing that takes credentials may be here: anybody on the way can change it.
"""


class Interface:
    """The paths that one interface accepts.

    Args:
        name: Name of the interface in the configuration.
        accepted: Regular expressions, one of which has to match the whole path; None accepts all.
        unsecured: Plain TCP: refuses everything without expressions, and everything that
            ``UNSECURED_PATHS`` does not list.

    Raises:
        MisuseError: an expression does not compile.
    """

    def __init__(
        self, name: str, accepted: Sequence[str] | None = None, *, unsecured: bool = False
    ) -> None:
        self.name = name
        self.unsecured = unsecured
        if accepted is None and unsecured:
            accepted = ()
        self._patterns: tuple[re.Pattern[str], ...] | None = None
        if accepted is not None:
            self._patterns = tuple(_compiled(name, text) for text in accepted)

    @property
    def restricted(self) -> bool:
        """Whether there is anything it would refuse."""
        return self._patterns is not None

    def accepts(self, path: str) -> bool:
        """Say whether a path, with its frontend's prefix and as sent, may be asked for."""
        if self._patterns is None:
            return True
        if self.unsecured and path not in UNSECURED_PATHS:
            return False
        return any(pattern.fullmatch(path) for pattern in self._patterns)

    def in_the_clear(self) -> str:
        """Return one line for operators that says what a plain-TCP interface serves."""
        assert self.unsecured, "what TLS protects may be served"
        served = ", ".join(sorted(filter(self.accepts, UNSECURED_PATHS)))
        return (
            f"Interface {self.name} is plain TCP: of what accepted_endpoints lists, it serves "
            f"{f'only {served}' if served else 'nothing'}; all else is answered with 503"
        )


def _compiled(name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as problem:
        raise MisuseError(
            f"got accepted endpoint {text!r} of interface {name}, want a regular expression: "
            f"{problem}"
        ) from problem
