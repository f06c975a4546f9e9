"""A program in place of the enclave: talks the boundary's protocol, does what its mode says.

The mode is the attribute in the configured application, ``fake_enclave:<mode>``.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator

from ledger.boundary.frames import TO_ENCLAVE, FrameDecoder, encode
from ledger.boundary.messages import Message
from ledger.boundary.to_enclave import Configure, Persisted, Shutdown, Signal, ToEnclave
from ledger.boundary.to_host import Append, Committed, Log, Started, Stopping
from ledger.codec.entry import frame, iv_for, public_domain
from ledger.enclave.platforms import die_with_parent

NODE_ID = "ab" * 32


def entry(seqno: int, flags: int = 0) -> bytes:
    public = public_domain(seqno, bytes(32), bytes(32), b"")
    return frame(flags, bytes(16), iv_for(2, seqno), public, b"")


class Fake:
    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.messages = self._received()

    def _received(self) -> Iterator[ToEnclave]:
        decoder = FrameDecoder(TO_ENCLAVE)
        while data := self.stream.recv(1 << 20):
            for message, _ in decoder.feed(data):
                yield message

    def send(self, message: Message, tail: bytes = b"") -> None:
        self.stream.sendall(b"".join(encode(message, [tail] if tail else [])))

    def log(self, text: str) -> None:
        self.send(Log("info", text, "app", "fake.py", 7))

    def start(self, listeners: list[int]) -> str:
        configure = next(self.messages)
        assert isinstance(configure, Configure)
        for number in listeners:
            with socket.socket(fileno=os.dup(number)) as listener:
                assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        names = [interface.name for interface in configure.settings.interfaces]
        self.log(
            f"environment {sorted(os.environ)} interfaces {names} isolated {sys.flags.isolated}"
        )
        self.send(Started(NODE_ID, "node certificate", "service certificate"))
        self.send(Append(1, 2, True), entry(1) + entry(2, 1))
        persisted = next(self.messages)
        assert persisted == Persisted(2, 0), persisted
        self.send(Committed(2))
        self.log("ready")
        return configure.settings.app.partition(":")[2]

    def serve(self) -> None:
        for message in self.messages:
            if isinstance(message, Shutdown):
                self.send(Append(3, 1, False), entry(3))
                self.send(Stopping(f"asked: {message.reason}", 0))
                return
            if isinstance(message, Signal):
                self.log(f"noticed {message.name}")


def main() -> int:
    parent = os.getppid()
    die_with_parent(parent)
    _, *descriptors = sys.argv[1:]
    pair, *listeners = map(int, descriptors)
    fake = Fake(socket.socket(fileno=pair))
    mode = fake.start(listeners)
    fake.log(f"pid {os.getpid()}")
    if mode == "orderly":
        fake.serve()
    elif mode == "exits":
        return 3
    elif mode == "fails":
        fake.send(Stopping("cannot join: no such service", 4))
    elif mode == "raises":
        raise ValueError("something broke")
    elif mode == "prints":
        sys.stdout.write("printed by the application\n")
        sys.stdout.flush()
        fake.serve()
    elif mode == "garbage":
        fake.stream.sendall(b"\xff" * 64)
        signal.pause()
    elif mode == "wrong":
        fake.send(Append(9, 1, True), entry(9))
        signal.pause()
    elif mode == "stuck":
        while True:
            signal.pause()
    elif mode == "closes":
        fake.stream.shutdown(socket.SHUT_WR)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
