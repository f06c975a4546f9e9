"""What an application's endpoint works with."""

from typing import Any, TypeVar

from ledger.app.access import open_map
from ledger.base.errors import MisuseError
from ledger.base.ids import TxId
from ledger.base.plain import PlainStruct
from ledger.codec.tables import SetTable, Singleton, Table
from ledger.endpoints.auth import Identity
from ledger.endpoints.context import CallContext
from ledger.endpoints.log import Status
from ledger.endpoints.request import Request
from ledger.endpoints.sendable import check_status, is_header_name, is_header_value
from ledger.kv.handle import MapHandle
from ledger.kv.typed import SetHandle, SingletonHandle, TableHandle

K = TypeVar("K")
V = TypeVar("V")

CLAIMS_DIGEST_SIZE = 32


class Context(PlainStruct):
    """One run of one call, as the endpoint sees it.

    A run may be repeated when it conflicts with another transaction, so an endpoint keeps no
    state but what it writes to tables. Valid until the endpoint returns.
    """

    _call: CallContext
    status: int | None = None
    content_type: bytes | None = None
    extra_headers: list[tuple[bytes, bytes]] | None = None

    # Tables

    def table(self, table: Table[K, V]) -> TableHandle[K, V]:
        """Return a table in this transaction: ``get``, ``put``, ``remove``, ``items`` ….

        Raises:
            MisuseError: an application may not touch it. Reading where only reading is allowed
                is fine; the write raises.
        """
        return TableHandle(open_map(self._call.tx, table.name), table)

    def singleton(self, singleton: Singleton[V]) -> SingletonHandle[V]:
        """Return a table with one value in this transaction. See ``table``."""
        return SingletonHandle(open_map(self._call.tx, singleton.name), singleton)

    def set(self, table: SetTable[K]) -> SetHandle[K]:
        """Return a set of keys in this transaction. See ``table``."""
        return SetHandle(open_map(self._call.tx, table.name), table)

    def map(self, name: str) -> MapHandle:
        """Return a table as bytes. See ``table``."""
        return open_map(self._call.tx, name)

    # Who calls

    @property
    def caller(self) -> Identity:
        """Who called, by the auth policy that accepted: ``policy``, ``id``, ``certificate``."""
        identity = self._call.identity
        assert identity is not None, "a handler runs after authentication"
        return identity

    def caller_data(self) -> Any:  # noqa: ANN401 - free JSON
        """Return ``user_data`` or ``member_data`` of the caller as governance set it, or None."""
        return self._call.caller_data()

    # The request

    @property
    def request(self) -> Request:
        """The request: method, path, query, headers, body."""
        return self._call.request

    @property
    def path_params(self) -> dict[str, str]:
        """Path parameters, percent-decoded."""
        return self._call.params

    @property
    def raw_path_params(self) -> dict[str, str]:
        """Path parameters as they were sent."""
        return self._call.raw_params

    def header(self, name: str) -> str | None:
        """Return a request header, its name in any case; None when it was not sent."""
        value = self._call.request.headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")

    @property
    def now(self) -> float:
        """Seconds since 1970 when the request came in, by this node's clock.

        The same for every run of the call. Other nodes' clocks differ: what is decided by it has
        to be written down to count.
        """
        return self._call.request.now

    # The answer

    def set_status(self, status: int) -> None:
        """Answer a returned value with another status than 200 (204 for None).

        Raises:
            MisuseError: outside ``[200, 599]``.
        """
        check_status(status)
        self.status = status

    def set_header(self, name: str, value: str) -> None:
        """Add a header to the answer of a returned value; ``content-type`` replaces its own.

        Raises:
            MisuseError: a name or value that HTTP does not allow, or a header that the node sets.
        """
        lower = name.lower()
        if not is_header_name(lower):
            raise MisuseError(f"got header name {name!r:.80}, want a token the node does not set")
        if not is_header_value(value):
            raise MisuseError(f"got a value of header {name} with control or wide characters")
        if lower == "content-type":
            self.content_type = value.encode("latin-1")
            return
        if self.extra_headers is None:
            self.extra_headers = []
        self.extra_headers.append((lower.encode(), value.encode("latin-1")))

    # The transaction

    def set_claims_digest(self, digest: bytes) -> None:
        """Bind 32 bytes to the transaction; receipts prove them.

        Raises:
            MisuseError: another size.
        """
        if type(digest) is not bytes or len(digest) != CLAIMS_DIGEST_SIZE:
            raise MisuseError(f"got a claims digest of {len(digest)} bytes, want 32")
        self._call.claims_digest = digest

    def apply_writes(self, apply: bool) -> None:
        """Decide whether the writes apply, whatever the status. By default 2xx applies them."""
        self._call.apply_writes = apply

    @property
    def read_version(self) -> int:
        """Seqno of the state that the tables show."""
        return self._call.tx.read_version

    def last_committed(self) -> TxId:
        """Return the ID of the newest committed transaction, ``0.0`` before the first."""
        log = self._call.log
        assert log is not None, "a call that runs has a log"
        return log.committed()

    def tx_status(self, tx_id: TxId) -> Status:
        """Return Unknown, Pending, Committed or Invalid; the last two are final."""
        log = self._call.log
        assert log is not None, "a call that runs has a log"
        return log.status(tx_id.view, tx_id.seqno)
