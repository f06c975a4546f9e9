"""Plain TCP in the shape of a TLS session, for ``Unsecured`` interfaces."""


class PlainSession:
    """Bytes pass as they are. See ``TlsSession`` for the contract."""

    __slots__ = ("_output", "ended", "established", "failure")

    def __init__(self) -> None:
        self.established = True
        self.ended = False
        self.failure: str | None = None
        self._output: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Return the bytes as they are."""
        return data

    def send(self, plaintext: bytes) -> None:
        """Queue the bytes as they are."""
        self._output.append(plaintext)

    def close(self) -> None:
        """Do nothing: the end of the stream is the wire's."""

    def output(self) -> bytes:
        """Return and forget what was queued."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def peer_certificate(self) -> bytes | None:
        """Return None: nobody shows a certificate on plain TCP."""
        return None
