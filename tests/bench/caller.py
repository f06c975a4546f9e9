"""One caller with one request at a time, and when its bytes went and came."""

import socket
import ssl
import struct
import time

from tests.bench.load import SILENCE_MAX_S, connect_plain

_READ_SIZE = 65536


class Caller:
    """One connection that sends one request and waits for its answer.

    TLS runs over memory, beside the socket, so that the time of the node can be told from that
    of the caller's own encryption.

    Args:
        address: ``host:port``.
        context: From ``client_context``.
        patience_s: Longest wait for bytes, ``SILENCE_MAX_S`` when None.

    Attributes:
        sent: When the last request was given to the kernel, by ``time.perf_counter``.
        received: When the last bytes of its answer were taken from the kernel.

    Raises:
        OSError: the node cannot be reached, is not the service's or says nothing for too long.
    """

    def __init__(
        self, address: str, context: ssl.SSLContext, patience_s: float | None = None
    ) -> None:
        self.address = address
        self.sent = self.received = 0.0
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        host = address.rpartition(":")[0].strip("[]")
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._patience_s = SILENCE_MAX_S if patience_s is None else patience_s
        self._socket = connect_plain(address)
        try:
            _wait_in_kernel(self._socket, self._patience_s)
            self._shake_hands()
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of the answer.

        Raises:
            OSError: the connection ended, or nothing came for too long.
        """
        self._tls.write(request)
        encrypted = self._outgoing.read()
        self.sent = time.perf_counter()
        self._socket.sendall(encrypted)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        while len(body) < int(headers.get("content-length", "0")):
            body += self._more()
        return int(first.split()[1]), headers, body

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                self._socket.sendall(self._outgoing.read())
                return
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._read()

    def _more(self) -> bytes:
        while True:
            try:
                data = self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                self._read()
            else:
                if not data:
                    raise OSError("got the end of a connection instead of an answer")
                return data

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError as error:
            raise OSError(f"got nothing for {self._patience_s} s, want an answer") from error
        self.received = time.perf_counter()
        if not data:
            raise OSError("got the end of a connection instead of an answer")
        self._incoming.write(data)


def _wait_in_kernel(connection: socket.socket, seconds: float) -> None:
    """Have reads block in the kernel: a Python timeout costs a poll and a second read each."""
    whole, rest = divmod(seconds, 1)
    interval = struct.pack("@ll", int(whole), int(rest * 1e6))
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
