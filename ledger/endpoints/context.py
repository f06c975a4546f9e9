"""What a handler gets: the request, its transaction, the caller, and what it may decide."""

from typing import Any

from ledger.base.errors import MisuseError
from ledger.base.plain import PlainStruct
from ledger.endpoints.auth import Identity, caller_data
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.log import TransactionLog
from ledger.endpoints.request import Request
from ledger.kv.tx import Tx


class CallContext(PlainStruct):
    """One run of one call.

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

    request: Request
    endpoint: Endpoint
    params: dict[str, str]
    raw_params: dict[str, str]
    _tx: Tx | None
    identity: Identity | None
    log: TransactionLog | None = None
    attempt: int = 1
    claims_digest: bytes | None = None
    apply_writes: bool | None = None

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
