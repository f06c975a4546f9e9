"""One authenticated connection between two nodes: bytes in, frames out, and back.

Pure: the wire is whoever carries the bytes. A connection has one direction: who dialled, speaks.
"""

from collections.abc import Sequence

from ledger.base.errors import FormatError, VerificationError
from ledger.base.ids import NodeId
from ledger.boundary.frames import FrameDecoder, encode
from ledger.crypto.certificate import Certificate
from ledger.enclave.tls_types import TlsSession
from ledger.replica.peer_messages import FROM_PEER, PeerMessage


class PeerLine:
    """A TLS session between nodes.

    Attributes:
        peer: ID of the node at the other end, from its certificate; None during the handshake.
        waiting_size: Bytes of frames that wait for the end of the handshake.
    """

    __slots__ = ("_decoder", "_tls", "_waiting", "peer", "waiting_size")

    def __init__(self, tls: TlsSession) -> None:
        self._tls = tls
        self._decoder = FrameDecoder(FROM_PEER)
        self._waiting: list[bytes] = []
        self.waiting_size = 0
        self.peer: NodeId | None = None

    @property
    def unfinished_size(self) -> int:
        """Bytes of the frame that has begun to come in, 0 between two frames."""
        return self._decoder.buffered

    def receive(self, data: bytes) -> list[tuple[PeerMessage, memoryview]]:
        """Take bytes from the wire and return the frames they completed.

        Raises:
            FormatError: a frame is malformed.
            VerificationError: the handshake failed, or the peer ended the session.
        """
        plaintext = self._tls.feed(data)
        if self._tls.failure is not None:
            raise VerificationError(f"TLS between nodes failed: {self._tls.failure}")
        if self.peer is None and self._tls.established:
            self._established()
        if self._tls.ended:
            raise VerificationError("the peer ended the session")
        return list(self._decoder.feed(plaintext)) if plaintext else []

    def _established(self) -> None:
        der = self._tls.peer_certificate()
        if der is None:
            raise VerificationError("the peer showed no certificate")
        try:
            self.peer = NodeId(Certificate.parse(der).public_key.id)
        except FormatError as error:
            raise VerificationError(f"the peer's certificate does not parse: {error}") from error
        waiting, self._waiting = self._waiting, []
        self.waiting_size = 0
        for piece in waiting:
            self._tls.send(piece)

    def send(self, message: PeerMessage, tail: Sequence[bytes]) -> None:
        """Queue a frame; before the handshake is done it waits here."""
        data = b"".join(encode(message, tail))
        if self.peer is None:
            self._waiting.append(data)
            self.waiting_size += len(data)
        else:
            self._tls.send(data)

    def output(self) -> bytes:
        """Return and forget the bytes for the wire."""
        return self._tls.output()
