"""What a handler gets: the request, its transaction, the caller, and what it may decide."""

from typing import Any

from ledger.base.errors import MisuseError
from ledger.endpoints.auth import Identity, caller_data
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.request import Request
from ledger.kv.tx import Tx


class CallContext:
    """One run of one call. Plain slots: one is made for every call on the hot path.

    Attributes:
        request: The request.
        endpoint: The endpoint that was matched.
        params: Path parameters, percent-decoded once.
        raw_params: Path parameters as sent.
        identity: Who called, by the policy that accepted.
        claims_digest: 32 bytes bound to the transaction; None binds zeros.
        apply_writes: True or False overrides "writes apply when the status is 2xx".
        log: What orders the transaction; tells what is committed.
        attempt: Number of this run, from 1: how often it conflicted, and one.
    """

    __slots__ = (
        "_tx", "apply_writes", "attempt", "claims_digest", "endpoint", "identity", "log",
        "params", "raw_params", "request",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        endpoint: Endpoint,
        params: dict[str, str],
        raw_params: dict[str, str],
        tx: Tx | None,
        identity: Identity | None,
        log: TransactionLog | None = None,
        attempt: int = 1,
    ) -> None:
        self.request = request
        self.endpoint = endpoint
        self.params = params
        self.raw_params = raw_params
        self._tx = tx
        self.identity = identity
        self.log = log
        self.attempt = attempt
        self.claims_digest: bytes | None = None
        self.apply_writes: bool | None = None

    @property
    def tx(self) -> Tx:
        """The transaction of this run.

        Raises:
            MisuseError: the endpoint is a command, which has none.
        """
        if self._tx is None:
            raise MisuseError(f"{self.endpoint.path} is a command endpoint: it has no transaction")
        return self._tx

    @property
    def now(self) -> float:
        """Seconds since 1970, the same for the whole call and all its runs."""
        return self.request.now

    def caller_data(self) -> Any:  # noqa: ANN401 - free JSON
        """Return ``user_data`` or ``member_data`` of the caller, read now; None without."""
        return caller_data(self.identity, self.tx)
