"""A response before it becomes bytes."""

JSON = b"application/json"
MSGPACK = b"application/msgpack"
TEXT = b"text/plain"
OCTETS = b"application/octet-stream"
COSE = b"application/cose"
CBOR = b"application/cbor"


class Response:
    """Status, body and headers. Plain slots: one is made for every call on the hot path.

    Attributes:
        status: HTTP status.
        body: Body bytes; empty for 204.
        content_type: Value of ``content-type``; None sends none.
        tx_id: Value of ``x-ms-ccf-transaction-id`` as ``b"view.seqno"``; None sends none.
        headers: Further headers, names in lower case. ``content-length`` is the writer's.
    """

    __slots__ = ("body", "content_type", "headers", "status", "tx_id")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        tx_id: bytes | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.tx_id = tx_id
