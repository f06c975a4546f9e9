"""Bodies in, answers out, by content type and accept."""

import msgspec
import pytest

from ledger.endpoints import adapters
from ledger.endpoints.adapters import JSON_PACKING, MSGPACK_PACKING, Packing
from ledger.endpoints.errors import HttpError
from ledger.endpoints.request import Request
from tests.unit.endpoints.pipeline_kit import Kit


class Point(msgspec.Struct):
    x: int
    label: str = "none"


read_point = adapters.body_reader(Point)
read_any = adapters.body_reader(dict)


def request(
    body: bytes = b"", content_type: bytes | None = None, accept: bytes | None = None
) -> Request:
    headers = {}
    if content_type is not None:
        headers[b"content-type"] = content_type
    if accept is not None:
        headers[b"accept"] = accept
    return Request("POST", "/x", "", headers, body, Kit().caller())


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"x":1}', None, Point(1)),
        (b'{"x":1,"label":"a","more":[]}', b"application/json", Point(1, "a")),
        (b'{"x":1}', b"application/json; charset=utf-8", Point(1)),
        (b'{"x":1}', b"application/x-www-form-urlencoded", Point(1)),
        (b"\x81\xa1x\x01", b"application/msgpack", Point(1)),
        (b"\x81\xa1x\x01", b"application/x-msgpack", Point(1)),
        (b"\x81\xa1x\x01", b"Application/MsgPack; v=1", Point(1)),
    ],
)
def test_body(body: bytes, content_type: bytes | None, value: Point) -> None:
    assert read_point(request(body, content_type)) == value


@pytest.mark.parametrize("content_type", [None, b"application/json", b"application/msgpack"])
def test_empty_body_reads_as_an_empty_object(content_type: bytes | None) -> None:
    assert read_any(request(b"", content_type)) == {}


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"", None, "missing required field `x`"),
        (b"{", None, "truncated"),
        (b"[1]", None, "Expected `object`, got `array`"),
        (b'{"x":"1"}', None, "Expected `int`, got `str` - at `$.x`"),
        (b'{"x":1} x', None, "trailing characters"),
        (b'{"x":1,"label":"\xff"}', None, "not UTF-8"),
        (b'{"x":1,"label":"\\ud800"}', None, "Invalid body"),
        (b'{"x":1}', b"application/msgpack", "Invalid body"),
        (b"\x81\xa1x\xa11", b"application/msgpack", "Expected `int`, got `str`"),
        (b"\xc1", b"application/msgpack", "Invalid body"),
        (b'{"x":' + b"9" * 5000 + b"}", None, "out of range"),
    ],
)
def test_bad_body_is_400(body: bytes, content_type: bytes | None, says: str) -> None:
    with pytest.raises(HttpError) as caught:
        read_point(request(body, content_type))
    assert (caught.value.status, caught.value.code) == (400, "InvalidInput")
    assert says in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[" * 65 + b"]" * 65 + b"}",
        b"\x81\xa1a" + b"\x91" * 100_000,
        b"\x81\xa1a" + b"\x91" * 64 + b"\xc0",
        b"\x81\xa1a\x91\xcb\x7f\xf8" + bytes(6),
        b"\x81\xa1a\xca\x7f\x80\x00\x00",
    ],
)
def test_nesting_is_bounded_and_numbers_are_finite(body: bytes) -> None:
    content_type = b"application/msgpack" if body[0] == 0x81 else None
    with pytest.raises(HttpError) as caught:
        read_any(request(body, content_type))
    assert caught.value.code == "InvalidInput"


def test_the_deepest_body_is_read() -> None:
    body = b"\x81\xa1a" + b"\x91" * 63 + b"\xca\x3f\x80\x00\x00"
    assert read_any(request(body, b"application/msgpack"))["a"][0]


@pytest.mark.parametrize(
    ("accept", "content_type", "packing"),
    [
        (None, None, JSON_PACKING),
        (b"*/*", None, JSON_PACKING),
        (b"application/json", b"application/msgpack", JSON_PACKING),
        (b"application/msgpack", None, MSGPACK_PACKING),
        (b"application/x-msgpack", None, MSGPACK_PACKING),
        (b"APPLICATION/JSON", None, JSON_PACKING),
        (b"text/html, application/*;q=0.8", None, JSON_PACKING),
        (b"text/html;q=1.0, */*;q=0.1", b"application/msgpack", MSGPACK_PACKING),
        (None, b"application/msgpack", MSGPACK_PACKING),
        (b"*/*", b"application/msgpack", MSGPACK_PACKING),
        (None, b"text/plain", JSON_PACKING),
        (b"application/json;q=0.5, application/msgpack", None, MSGPACK_PACKING),
        (b"application/json;q=0, */*", None, MSGPACK_PACKING),
        (b"application/json; charset=utf-8", None, JSON_PACKING),
    ],
)
def test_answer_packing(accept: bytes | None, content_type: bytes | None, packing: Packing) -> None:
    assert adapters.answer_packing(request(b"", content_type, accept)) is packing


@pytest.mark.parametrize(
    "accept",
    [
        b"",
        b"text/html",
        b"application/json;q=0",
        b"*/*;q=0.0",
        b"application/json;q=nan",
        b"json",
        b",;=,",
        b"application/json;q=2",
    ],
)
def test_accept_that_excludes_all_is_406(accept: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        adapters.answer_packing(request(accept=accept))
    assert (caught.value.status, caught.value.code) == (406, "UnsupportedContentType")


@pytest.mark.parametrize(
    ("value", "packing", "status", "body", "content_type"),
    [
        (None, JSON_PACKING, 204, b"", None),
        ({"a": [1, None]}, JSON_PACKING, 200, b'{"a":[1,null]}', b"application/json"),
        (False, JSON_PACKING, 200, b"false", b"application/json"),
        ({"a": 1}, MSGPACK_PACKING, 200, b"\x81\xa1a\x01", b"application/msgpack"),
    ],
)
def test_reply(
    value: object, packing: Packing, status: int, body: bytes, content_type: bytes | None
) -> None:
    response = adapters.reply(value, packing)
    assert (response.status, response.body, response.content_type) == (status, body, content_type)


def test_text_and_octets() -> None:
    assert adapters.text("é").body == "é".encode()
    assert adapters.text("x", 201).content_type == b"text/plain"
    assert adapters.octets(b"\x00").content_type == b"application/octet-stream"


@pytest.mark.parametrize("content_type", [None, b"text/plain", b"text/csv; charset=utf-8"])
def test_read_text(content_type: bytes | None) -> None:
    assert adapters.read_text(request("é".encode(), content_type)) == "é"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"x", b"application/json", 415), (b"\xff", b"text/plain", 400), (b"x", b"", 415)],
)
def test_read_text_refuses(body: bytes, content_type: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        adapters.read_text(request(body, content_type))
    assert caught.value.status == status
