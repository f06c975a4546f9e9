"""Heads of requests that were parsed before: a client that repeats itself is parsed once.

A head is everything up to and including the empty line. Programs send the same one again and again,
so the very same bytes at the start of a message mean the very same request line and headers; only
the body is new. Kept is only what the parser accepted without any special rule: HTTP/1.1, kept
alive, framed by its length alone. Whatever else comes goes to the parser.
"""

from ledger.endpoints.request import Request, Session

HEADS_MAX = 16
"""Heads kept for one session; content lengths of one, two … digits make a few per endpoint."""
HEAD_SIZE_MAX = 1024
"""Longer heads are parsed every time."""

_END = b"\r\n\r\n"
_SPECIAL = frozenset({b"connection", b"expect", b"trailer", b"transfer-encoding", b"upgrade"})

_Known = tuple[str, str, str, dict[bytes, bytes], int]


class KnownHeads:
    """What one session's client has sent before."""

    __slots__ = ("_heads", "_last")

    def __init__(self) -> None:
        self._heads: dict[bytes, _Known] = {}
        self._last = _END

    def take(self, data: bytes, session: Session, requests: list[Request]) -> int:
        """Take complete requests with known heads from the start of ``data``.

        Args:
            data: Bytes that begin where a message begins.
            session: For the requests.
            requests: Gets them.

        Returns:
            How many bytes were taken; the rest is the parser's.
        """
        heads = self._heads
        head = self._last
        known = heads.get(head)
        at = 0
        size = len(data)
        while at < size:
            if known is None or not data.startswith(head, at):
                end = data.find(_END, at, at + HEAD_SIZE_MAX)
                if end < 0:
                    break
                head = data[at : end + 4]
                known = heads.get(head)
                if known is None:
                    break
            method, path, query, headers, length = known
            end = at + len(head)
            stop = end + length
            if stop > size:
                break
            requests.append(Request(method, path, query, headers.copy(), data[end:stop], session))
            at = stop
        self._last = head
        return at

    def learn(self, data: bytes, request: Request) -> None:
        """Remember the head of a request that the parser accepted.

        Args:
            data: Bytes whose first message was this request, from its first byte.
            request: What the parser made of it.
        """
        headers = request.headers
        end = data.find(_END, 0, HEAD_SIZE_MAX) + 4
        if end < 4 or request.query or not _SPECIAL.isdisjoint(headers):
            return
        length = int(headers.get(b"content-length", b"0"))
        head = data[:end]
        if length != len(request.body) or data[end : end + length] != request.body:
            return
        if not head.endswith(_END) or b" HTTP/1.1\r\n" not in head:
            return
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        self._heads[head] = (request.method, request.path, request.query, dict(headers), length)
