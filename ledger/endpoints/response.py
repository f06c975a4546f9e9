"""A response before it becomes bytes."""

from ledger.base.plain import PlainStruct

JSON = b"application/json"
MSGPACK = b"application/msgpack"
TEXT = b"text/plain"
OCTETS = b"application/octet-stream"
COSE = b"application/cose"
CBOR = b"application/cbor"


class Response(PlainStruct):
    """Status, body and headers.

    Attributes:
        status: HTTP status.
        body: Body bytes; empty for 204.
        content_type: Value of ``content-type``; None sends none.
        tx_id: Value of ``x-ms-ccf-transaction-id`` as ``b"view.seqno"``; None sends none.
        headers: Further headers, names in lower case. ``content-length`` is the writer's.
    """

    status: int
    body: bytes = b""
    content_type: bytes | None = None
    headers: list[tuple[bytes, bytes]] | None = None
    tx_id: bytes | None = None
