"""The last line of a node's log when the host was killed and can write none.

The kernel kills the enclave with its host (``platforms.die_with_parent``), maybe after the enclave
has seen that the host is gone, and the log is the host's. The keeper of the script process, from
its start on, outlives both: it holds the host's standard output and one end of a pipe. A host that
ends by itself has logged why and sends a byte; the end of the pipe without that byte means that it
was killed.
"""

import os
from dataclasses import dataclass
from typing import Self

from ledger.host.log import Logger

KILLED = "The host was killed, or crashed, and the enclave ended with it"
_SAID = b"."
_STANDARD_OUTPUT = 1


@dataclass(frozen=True, slots=True)
class LastWord:
    """What the keeper inherits, by way of the enclave.

    Attributes:
        pipe: Descriptor to read from.
        log: Descriptor of the node's log.
        json_lines: Whether the log is JSON.
    """

    pipe: int
    log: int
    json_lines: bool

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a child that speaks has to inherit."""
        return self.pipe, self.log

    def argument(self) -> str:
        """Return the form for a command line."""
        return f"{self.pipe},{self.log},{'json' if self.json_lines else 'text'}"

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Read the form for a command line."""
        pipe, log, log_format = argument.split(",")
        return cls(int(pipe), int(log), log_format == "json")

    def close(self) -> None:
        """Close both descriptors: for a child that does not speak."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def say(self) -> None:
        """Wait until the host ends, and write the line if it was killed."""
        if os.read(self.pipe, 1) == _SAID:
            return
        with open(self.log, "w", buffering=1, closefd=False) as stream:
            Logger(json_lines=self.json_lines, stream=stream).fatal(KILLED)


class Farewell:
    """The host's side: open from before the enclave starts until the host has logged why it ends.

    Attributes:
        last_word: For the enclave.
    """

    def __init__(self, *, json_lines: bool) -> None:
        pipe, self._own = os.pipe()
        self.last_word = LastWord(pipe, os.dup(_STANDARD_OUTPUT), json_lines)

    def said(self) -> None:
        """Note that the log has the reason, and close."""
        os.write(self._own, _SAID)
        os.close(self._own)
        self.last_word.close()
