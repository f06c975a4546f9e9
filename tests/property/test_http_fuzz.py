"""HTTP bytes from valid to broken, against a slow reader of our own.

Inputs are valid pipelines with a few random injuries, so that most get past the first check;
``QUORATE_FUZZ_INPUTS`` says how many. The tests print how deep they got and insist on it. The
slow reader works on whole input with regular expressions and knows nothing of pieces, states or
the library; the two must find the same requests.
"""

import itertools
import os
import random
import re
from collections import Counter

from ledger.enclave.http import RequestParser
from ledger.enclave.session_limits import Refusal, SessionLimits
from ledger.enclave.sessions import State
from ledger.endpoints.request import Request
from tests.unit.enclave.edge_support import Plain

INPUTS = int(os.environ.get("QUORATE_FUZZ_INPUTS", "0")) or 3000
SEED = int(os.environ.get("QUORATE_FUZZ_SEED", "1"))
LIMITS = SessionLimits(max_body_size=200, max_header_size=60, max_headers_count=8)
SESSION = Plain().session

Fields = tuple[str, str, str, dict[bytes, bytes], bytes]

# -- the slow reader -------------------------------------------------------------------

METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH "
    b"UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE "
    b"UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK SOURCE QUERY".split()
)
LINE = re.compile(rb"([A-Z-]+) +([!-~]+) +HTTP/1\.([01])")
HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
AUTHORITY = rb"[0-9A-Za-z\-_.!~*'()%;:&=+$,\[\]]+"
TARGET = re.compile(
    rb"(?:[Hh][Tt][Tt][Pp][Ss]?://(?:%b@)?%b)?(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?"
    % (AUTHORITY, AUTHORITY)
)
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
FRAMING = (b"content-length", b"transfer-encoding")
ONCE = (b"host", *FRAMING)
EXTENSION = rb";+(?:%b+(?:=%b*)?|=%b*)" % (TOKEN, TOKEN, TOKEN)
CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:%b)*\r\n" % EXTENSION)


class ReferenceStopError(Exception):
    """The slow reader goes no further: ``refusal``, or None when input is missing."""

    def __init__(self, refusal: Refusal | None) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def reference(data: bytes) -> tuple[list[Fields], Refusal | None]:
    """Return the requests up to the end, the last one, a refusal or missing input."""
    requests: list[Fields] = []
    try:
        while data:
            data = data.lstrip(b"\r\n")
            request, data, last = reference_request(data)
            requests.append(request)
            if last:
                break
    except ReferenceStopError as stop:
        return requests, stop.refusal
    return requests, None


def reference_request(data: bytes) -> tuple[Fields, bytes, bool]:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise ReferenceStopError(None)
    first, *lines = data[:end].split(b"\r\n")
    rest = data[end + 4 :]
    match = LINE.fullmatch(first)
    if match is None or match[1] not in METHODS:
        raise ReferenceStopError(Refusal.PARSING)
    headers = reference_headers(lines)
    target = TARGET.fullmatch(match[2])
    if target is None or match[2][:1] in b"?#":
        raise ReferenceStopError(Refusal.PARSING)
    old = match[3] == b"0"
    options = {option.strip() for option in headers.get(b"connection", b"").lower().split(b",")}
    upgrade = b"upgrade" in options and b"upgrade" in headers
    body, rest, trailers = reference_body(headers, rest, lines, old=old, upgrade=upgrade)
    if trailers.get(b"connection", b"").lower() == b"close":
        options.add(b"close")
    last = b"close" in options or (old and b"keep-alive" not in options)
    path, query = (target[1] or b"/").decode(), (target[2] or b"").decode()
    return (match[1].decode(), path, query, headers, body), rest, last


def reference_headers(lines: list[bytes], before: int = 0) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for count, line in enumerate(lines, start=before + 1):
        match = HEADER.fullmatch(line)
        if match is None:
            raise ReferenceStopError(Refusal.PARSING)
        name, value = match[1].lower(), match[2].strip(b" \t")
        if name == b"transfer-encoding" and match[2].rstrip(b" ") != value:
            raise ReferenceStopError(Refusal.PARSING)  # stricter than the grammar: no tab
        if count > LIMITS.max_headers_count:
            raise ReferenceStopError(Refusal.HEADER_TOO_LARGE)
        if max(len(name), len(match[2])) > LIMITS.max_header_size:
            raise ReferenceStopError(Refusal.HEADER_TOO_LARGE)
        if name in ONCE and name in headers and not before:
            raise ReferenceStopError(Refusal.PARSING)
        headers[name] = value if name not in headers else headers[name] + b", " + value
    return headers


def reference_body(
    headers: dict[bytes, bytes], rest: bytes, lines: list[bytes], *, old: bool, upgrade: bool
) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None or old or upgrade:
            raise ReferenceStopError(Refusal.PARSING)
        return reference_chunks(rest, len(lines))
    if length is None:
        return b"", rest, {}
    if re.fullmatch(rb"[0-9]{1,19}", length) is None:
        raise ReferenceStopError(Refusal.PARSING)
    size = int(length)
    if size > LIMITS.max_body_size:
        raise ReferenceStopError(Refusal.BODY_TOO_LARGE)
    if size and upgrade:
        raise ReferenceStopError(Refusal.PARSING)
    if len(rest) < size:
        raise ReferenceStopError(None)
    return rest[:size], rest[size:], {}


def reference_chunks(rest: bytes, header_count: int) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    body = b""
    while True:
        match = CHUNK.match(rest)
        if match is None:
            raise ReferenceStopError(Refusal.PARSING if b"\r\n" in rest else None)
        size, rest = int(match[1], 16), rest[match.end() :]
        if size == 0:
            break
        body += rest[:size]
        if len(body) > LIMITS.max_body_size:
            raise ReferenceStopError(Refusal.BODY_TOO_LARGE)
        if len(rest) < size + 2:
            raise ReferenceStopError(None)
        if rest[size : size + 2] != b"\r\n":
            raise ReferenceStopError(Refusal.PARSING)
        rest = rest[size + 2 :]
    lines, separator, rest = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if not separator:
        raise ReferenceStopError(None)
    trailers = reference_headers(lines[2:].split(b"\r\n"), header_count) if lines else {}
    if b"content-length" in trailers or b"transfer-encoding" in trailers:
        raise ReferenceStopError(Refusal.PARSING)
    return body, rest, trailers


# -- inputs ----------------------------------------------------------------------------

NAMES = [b"accept", b"Content-Type", b"x-long-name", b"User-Agent", b"authorization", b"EXPECT"]
VALUES = [b"", b"*/*", b"application/json", b" padded\t", b"a, b", b"100-continue", b"caf\xe9"]
TARGETS = [b"/", b"/app/log/private?id=42", b"/a%20b/c?x=y&z", b"https://host:1/a?b", b"/f#g"]
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\r\n ", b"\r\n\r\n",
    b"content-length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"connection: close\r\n",
    b"connection: upgrade\r\n", b"upgrade: h2c\r\n", b"HTTP/1.1", b"HTTP/1.0", b"0\r\n\r\n",
    b"ffffffffffffffff", b"host: x\r\n", b"GET / HTTP/1.1\r\n\r\n", b";", b",",
    b"x" * 70, b"\xff", b"-", b"+1",
]  # fmt: skip


def valid_request(rng: random.Random) -> bytes:
    lines = [b"%b: %b" % (rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.randrange(4))]
    if rng.random() < 0.7:
        lines.append(b"Host: example:8000")
    # Most bodies are short; a few are near the bound.
    size = rng.choice([0, 0, rng.randrange(60), rng.randrange(60), rng.randrange(60)])
    if rng.random() < 0.04:
        size = rng.randrange(LIMITS.max_body_size - 20, LIMITS.max_body_size + 40)
    body = rng.randbytes(size)
    kind = rng.random()
    if kind < 0.3:
        lines.append(b"transfer-encoding: chunked")
        body = chunked(rng, body)
    elif body:
        lines.append(b"content-length: %d" % len(body))
    if rng.random() < 0.05:
        lines.append(b"connection: close")
    rng.shuffle(lines)
    method = rng.choice([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE"])
    version = b"1.1" if rng.random() < 0.95 or kind < 0.3 else b"1.0"
    head = b"%b %b HTTP/%b\r\n" % (method, rng.choice(TARGETS), version)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(rng: random.Random, body: bytes) -> bytes:
    parts = []
    while body:
        size = rng.randint(1, len(body))
        extension = rng.choice([b"", b"", b";a=b"])
        parts.append(b"%x%b\r\n%b\r\n" % (size, extension, body[:size]))
        body = body[size:]
    trailer = rng.choice([b"", b"", b"x-trailer: 1\r\n"])
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def injure(rng: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        at = rng.randrange(len(broken) + 1)
        match rng.randrange(5):
            case 0 if at < len(broken):
                broken[at] ^= 1 << rng.randrange(8)
            case 1:
                del broken[at : at + rng.choice([1, 1, 2, 5, 20])]
            case 2:
                broken[at:at] = broken[at : at + rng.randrange(1, 40)]
            case 3:
                broken[at:at] = rng.choice(TOKENS)
            case _:
                # Tokens do most where lines end.
                ends = [match.end() for match in re.finditer(rb"\r\n", bytes(broken))] or [at]
                at = rng.choice(ends)
                broken[at:at] = rng.choice(TOKENS)
    return bytes(broken)


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 1, 3, 10])))
    edges = [0, *cuts, len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


def an_input(rng: random.Random) -> bytes:
    data = b"".join(valid_request(rng) for _ in range(rng.randint(1, 4)))
    return injure(rng, data)


CONTINUATION = b"\r\n\r\n0\r\n\r\n" + b"x" * 250
"""Completes a head, a chunked body and a body of any permitted length."""

# -- what must hold --------------------------------------------------------------------


def parse(parts: list[bytes]) -> tuple[list[Fields], Refusal | None]:
    parser = RequestParser(LIMITS, SESSION)
    for part in parts:
        parser.feed(part)
    return [fields(request) for request in parser.requests], parser.refusal


def fields(one: Request) -> Fields:
    return one.method, one.path, one.query, one.headers, one.body


def check_request(request: Fields) -> None:
    method, path, query, headers, body = request
    assert method.isupper() or "-" in method
    assert path.startswith("/")
    assert path.isascii()
    assert "?" not in path
    assert query.isascii()
    assert "#" not in path + query
    for name, value in headers.items():
        assert name == name.lower().strip()
        assert not set(b"\r\n\0") & set(name + value)
    assert len(body) <= LIMITS.max_body_size


def test_parser_finds_what_a_slow_reader_finds() -> None:
    rng = random.Random(SEED)
    depth: Counter[str] = Counter()
    for _ in range(INPUTS):
        data = an_input(rng)
        requests, refusal = parse([data])
        in_pieces, refusal_in_pieces = parse(pieces(rng, data))
        assert in_pieces == requests, data
        # With two reasons to refuse, which one is seen first may depend on the pieces.
        assert (refusal_in_pieces is None) == (refusal is None), data
        depth["other reason in pieces"] += refusal_in_pieces is not refusal
        for request in requests:
            check_request(request)
        wanted, wanted_refusal = reference(data)
        assert requests == wanted, data
        # Where the slow reader waits for more, the parser may know already that it is in vain.
        if wanted_refusal is not None:
            assert refusal is not None, data
            depth["same reason"] += refusal is wanted_refusal
            depth["reasons"] += 1
        elif refusal is not None:
            assert len(reference(data + CONTINUATION)[0]) == len(requests), data
        depth["requests"] += len(requests)
        depth["bodies"] += sum(bool(request[4]) for request in requests)
        depth["chunked"] += sum(b"transfer-encoding" in request[3] for request in requests)
        depth["refused behind a request"] += bool(requests and refusal)
        depth[str(refusal)] += 1
    print(f"{INPUTS} inputs: {dict(sorted(depth.items()))}")  # noqa: T201 - the depth reached
    assert depth["requests"] > INPUTS
    assert depth["bodies"] > INPUTS / 4
    assert depth["chunked"] > INPUTS / 5
    assert depth["refused behind a request"] > INPUTS / 10
    assert all(depth[str(refusal)] > INPUTS / 200 for refusal in Refusal)
    assert depth["None"] > INPUTS / 5
    assert depth["other reason in pieces"] < INPUTS / 200
    assert depth["same reason"] > 0.98 * depth["reasons"]


RESPONSE = re.compile(
    rb"HTTP/1\.1 (\d{3}) [A-Za-z -]*\r\n((?:[a-z-]+: [^\r\n]*\r\n)*)\r\n", re.DOTALL
)


def read_answers(data: bytes, heads: list[bool]) -> list[int]:
    """Return the statuses of a stream of answers, every byte of which belongs to one."""
    statuses: list[int] = []
    while data:
        match = RESPONSE.match(data)
        assert match is not None, data
        status, size = int(match[1]), 0
        if status != 100:
            length = re.search(rb"content-length: (\d+)\r\n", match[2])
            assert length is not None, data
            head = heads[len(statuses)] if len(statuses) < len(heads) else False
            size = 0 if head else int(length[1])
            statuses.append(status)
        assert len(data) >= match.end() + size
        data = data[match.end() + size :]
    return statuses


def test_session_answers_every_request_once_and_in_order() -> None:
    rng = random.Random(SEED + 1)
    depth: Counter[str] = Counter()
    for _ in range(INPUTS // 2):
        data = an_input(rng)
        plain = Plain(limits=LIMITS)
        output = b""
        for part in pieces(rng, data):
            output += plain.send(part)
            while plain.backlog():
                output += plain.session.flush()
        heads = [request.method == "HEAD" for request in plain.script.seen]
        statuses = read_answers(output, heads)
        requests, refusal = parse([data])
        assert [fields(request) for request in plain.script.seen] == requests
        assert statuses[: len(requests)] == [200] * len(requests), data
        refused = statuses[len(requests) :]
        assert len(refused) == (refusal is not None), data
        assert set(refused) <= {400, 413, 431}, data
        assert sum(plain.metrics.refused.values()) == (refusal is not None)
        ended = plain.state() is not State.SERVING
        assert ended == (b"connection: close\r\n" in output)
        plain.session.end_of_input()
        assert plain.state() is State.OVER
        depth["answers"] += len(statuses)
        depth["ended"] += ended
    print(f"{INPUTS // 2} inputs: {dict(depth)}")  # noqa: T201 - the depth reached
    assert depth["answers"] > INPUTS / 2
    assert depth["ended"] > INPUTS / 10
