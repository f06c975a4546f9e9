"""Bodies in and answers out: JSON and MessagePack of the same types, text, bytes.

A body is read by its content type: MessagePack when it says so, what was signed (as JSON) of a
COSE_Sign1 message, JSON for anything else (``curl -d`` says "form" and means JSON); MessagePack may
say no more than JSON can: no deeper nesting, no number that is not finite. An empty body
reads as ``{}`` and the body of a GET is ignored. An answer follows ``accept``; where that allows
both, it takes the packing of the request. A null answer is 204.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ledger.base.errors import FormatError
from ledger.base.limits import JSON_DEPTH_MAX
from ledger.codec.canonical import check_depth, check_plain
from ledger.crypto.cose import parse_sign1
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.request import Request
from ledger.endpoints.response import COSE, JSON, MSGPACK, OCTETS, TEXT, Response

T = TypeVar("T")

_QVALUE = re.compile(rb"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

MSGPACK_TYPES = frozenset({MSGPACK, b"application/x-msgpack", b"application/vnd.msgpack"})
"""Content types that mean MessagePack; the first is the one we send."""


class Packing:
    """One way to write values.

    Attributes:
        content_type: Content type of what ``encode`` returns.
        encode: Value to bytes.
    """

    __slots__ = ("content_type", "encode")

    def __init__(self, content_type: bytes, encode: Callable[[Any], bytes]) -> None:
        self.content_type = content_type
        self.encode = encode


JSON_PACKING = Packing(JSON, msgspec.json.Encoder().encode)
MSGPACK_PACKING = Packing(MSGPACK, msgspec.msgpack.Encoder().encode)


def media_type(value: bytes) -> bytes:
    """Return a content type in lower case without its parameters."""
    return value.partition(b";")[0].strip().lower()


def body_reader(kind: type[T]) -> Callable[[Request], T]:
    """Return the function that reads a body as one type.

    Args:
        kind: Anything ``msgspec`` can decode to.

    Returns:
        A function of the request; raises ``HttpError`` 400 for a body that is no such value.
    """
    from_json = msgspec.json.Decoder(kind).decode
    from_msgpack = msgspec.msgpack.Decoder(kind).decode

    def read(request: Request) -> T:
        body = request.body
        content_type = request.headers.get(b"content-type", JSON)
        try:
            if content_type != JSON:
                named = media_type(content_type)
                if named in MSGPACK_TYPES:
                    body = body or b"\x80"
                    value = from_msgpack(body)
                    check_plain(msgspec.msgpack.decode(body))
                    return value
                if named == COSE:
                    body = _signed_payload(body)
            value = from_json(body or b"{}")
            if len(body) > 2 * JSON_DEPTH_MAX:  # a shorter one cannot nest deeper
                check_depth(body)
        except (ValueError, RecursionError, FormatError) as problem:
            raise bad_body(problem) from problem
        return value

    return read


def _signed_payload(body: bytes) -> bytes:
    """Return what a COSE_Sign1 message carries; whether it counts is for the auth policies.

    Raises:
        FormatError: it is no such message with its payload.
    """
    payload = parse_sign1(body).payload
    if payload is None:
        raise FormatError("got a signed message without its payload")
    return payload


def bad_body(problem: Exception) -> HttpError:
    """Return the error for a body that does not parse or has another shape."""
    if isinstance(problem, UnicodeDecodeError):
        return HttpError(400, Code.INVALID_INPUT, "Invalid body: not UTF-8 text.")
    if isinstance(problem, RecursionError):
        return HttpError(400, Code.INVALID_INPUT, "Invalid body: nested too deep.")
    return HttpError(400, Code.INVALID_INPUT, f"Invalid body: {problem}.")


def read_text(request: Request) -> str:
    """Return the body as text.

    Raises:
        HttpError: 415 when a content type other than text is given; 400 when it is not UTF-8.
    """
    content_type = request.headers.get(b"content-type")
    if content_type is not None and not media_type(content_type).startswith(b"text/"):
        raise HttpError(
            415,
            Code.UNSUPPORTED_CONTENT_TYPE,
            f"Unsupported content type {content_type.decode('latin-1')}. Want text/plain.",
        )
    try:
        return request.body.decode()
    except UnicodeDecodeError as problem:
        raise bad_body(problem) from problem


def answer_packing(request: Request) -> Packing:
    """Return how the answer has to be written.

    Raises:
        HttpError: 406, ``accept`` excludes both JSON and MessagePack.
    """
    headers = request.headers
    accept = headers.get(b"accept")
    if accept is None or accept == b"*/*":
        content_type = headers.get(b"content-type")
        if content_type is None or content_type == JSON:
            return JSON_PACKING
        return _request_packing(request)
    if accept == JSON:
        return JSON_PACKING
    json_quality, msgpack_quality = _qualities(accept)
    if json_quality <= 0 and msgpack_quality <= 0:
        raise HttpError(
            406,
            Code.UNSUPPORTED_CONTENT_TYPE,
            f"No supported content type in accept header: {accept.decode('latin-1')}. "
            "Only application/json and application/msgpack are supported.",
        )
    if json_quality == msgpack_quality:
        return _request_packing(request)
    return JSON_PACKING if json_quality > msgpack_quality else MSGPACK_PACKING


def reply(value: Any, packing: Packing = JSON_PACKING, status: int = 200) -> Response:  # noqa: ANN401
    """Return the answer that says a value: 204 for None, else packed, with ``status``."""
    if value is None:
        return Response(204)
    return Response(status, packing.encode(value), packing.content_type)


def text(value: str, status: int = 200) -> Response:
    """Return a ``text/plain`` answer in UTF-8."""
    return Response(status, value.encode(), TEXT)


def octets(value: bytes, status: int = 200) -> Response:
    """Return an ``application/octet-stream`` answer."""
    return Response(status, value, OCTETS)


def _request_packing(request: Request) -> Packing:
    content_type = request.headers.get(b"content-type")
    if content_type is None or content_type == JSON:
        return JSON_PACKING
    return MSGPACK_PACKING if media_type(content_type) in MSGPACK_TYPES else JSON_PACKING


def _qualities(accept: bytes) -> tuple[float, float]:
    """Return how much the header wants JSON and MessagePack, each in ``[0, 1]`` (RFC 9110)."""
    ranges = {}
    for part in accept.split(b","):
        name, _, parameters = part.partition(b";")
        ranges[name.strip().lower()] = _quality(parameters)
    rest = ranges.get(b"application/*", ranges.get(b"*/*", 0.0))
    msgpack = [ranges[name] for name in MSGPACK_TYPES if name in ranges]
    return ranges.get(JSON, rest), max(msgpack, default=rest)


def _quality(parameters: bytes) -> float:
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"q":
            return float(value) if _QVALUE.fullmatch(value.strip()) else 0.0
    return 1.0
