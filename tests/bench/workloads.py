"""The requests of the logging sample as bytes, made before the clock starts."""

from typing import NamedTuple

MESSAGE_SIZE = 64
"""Bytes of a record's text, as in the figures that others publish."""
DISTINCT = 4096
"""Keys that a workload goes round unless told otherwise."""
WORKLOADS = ("private write", "public write", "read", "commit")


class Workload(NamedTuple):
    """What a load consists of.

    Attributes:
        name: One of ``WORKLOADS``.
        distinct: How many different records it goes round.
    """

    name: str
    distinct: int = DISTINCT

    def requests(self, host: str) -> list[bytes]:
        """Return the requests to send one after the other, and from the start again.

        Raises:
            ValueError: there is no workload of that name.
        """
        if self.name == "private write":
            return [write("private", number, host) for number in range(self.distinct)]
        if self.name == "public write":
            return [write("public", number, host) for number in range(self.distinct)]
        if self.name == "read":
            paths = [f"/app/log/private?id={number}" for number in range(self.distinct)]
            return [get(path, host) for path in paths]
        if self.name == "commit":
            return [get("/node/commit", host)]
        raise ValueError(f"got workload {self.name!r}, want one of {', '.join(WORKLOADS)}")


def get(path: str, host: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


def write(visibility: str, number: int, host: str, extra_headers: str = "") -> bytes:
    """Return a request that writes one record of ``MESSAGE_SIZE`` bytes of text.

    Args:
        visibility: ``private`` or ``public``.
        number: The record's id.
        host: Value of the host header.
        extra_headers: Whole header lines, each with its line end.
    """
    text = f"record {number} ".ljust(MESSAGE_SIZE, "x")
    body = f'{{"id":{number},"msg":"{text}"}}'.encode()
    head = (
        f"POST /app/log/{visibility} HTTP/1.1\r\nhost: {host}\r\n{extra_headers}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
