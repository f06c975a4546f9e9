"""The node's log: one line a message on standard output, as text or as JSON.

Text looks as CCF's, because operators' programs parse it::

    2026-01-02T03:04:05.123456Z        0   [info ][app] app.py:42 | message

JSON has the keys ``h_ts``, ``thread_id``, ``level``, ``tag``, ``file``, ``number``, ``msg``,
all values strings. A message never breaks its line: control characters are escaped.
"""

import enum
import json
import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from ledger.base.errors import FormatError

_TEXT_SIZE_MAX = 16_000
_STANDARD_OUTPUT = 1
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160), 0x2028, 0x2029)}
_CONTROL[ord("\n")] = "\\n"
_CONTROL[ord("\t")] = "\\t"


class Level(enum.IntEnum):
    """Severity. ``FAIL`` is an error that the node survives, ``FATAL`` one it does not."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    FAIL = 3
    FATAL = 4

    @classmethod
    def parse(cls, text: str) -> "Level":
        """Read a level in any case.

        Raises:
            FormatError: no such level.
        """
        try:
            return cls[text.upper()]
        except KeyError:
            known = ", ".join(level.name.lower() for level in cls)
            raise FormatError(f"got log level {text[:40]!r}, want one of {known}") from None


class Logger:
    """Writes log lines.

    Args:
        level: Least severity written.
        json_lines: JSON instead of text.
        stream: Where to; standard output by default, without a buffer, so that nothing is left
            to be written when the process ends. A reader that went away and a full disk are
            ignored: the node does not stop because nobody can look.
        unix_seconds: Wall clock.
    """

    def __init__(
        self,
        level: Level = Level.INFO,
        *,
        json_lines: bool = False,
        stream: TextIO | None = None,
        unix_seconds: Callable[[], float] = time.time,
    ) -> None:
        self.level = level
        self._format = _json_line if json_lines else _text_line
        self._emit = _to_standard_output if stream is None else stream.write
        self._unix_seconds = unix_seconds

    def write(
        self,
        level: Level,
        message: str,
        *,
        tag: str = "",
        file: str = "",
        line: int = 0,
        thread: int = 0,
    ) -> None:
        """Write one line, unless its level is below the configured one."""
        if level < self.level:
            return
        stamp = _timestamp(self._unix_seconds())
        text = self._format(stamp, thread, level.name.lower(), tag, file, line, message)
        try:
            self._emit(text)
        except (OSError, ValueError):
            return

    def info(self, message: str) -> None:
        """Write a line of level info, from the calling source line."""
        self._from_caller(Level.INFO, message)

    def fail(self, message: str) -> None:
        """Write a line about an error that the node survives."""
        self._from_caller(Level.FAIL, message)

    def fatal(self, message: str) -> None:
        """Write a line about the error that ends the node."""
        self._from_caller(Level.FATAL, message)

    def _from_caller(self, level: Level, message: str) -> None:
        frame = sys._getframe(2)  # noqa: SLF001  (documented, and what logging does)
        file = "/".join(frame.f_code.co_filename.split("/")[-3:])
        self.write(level, message, file=file, line=frame.f_lineno)


def _to_standard_output(text: str) -> None:
    data = memoryview(text.encode())
    while data:
        data = data[os.write(_STANDARD_OUTPUT, data) :]


def _timestamp(unix_seconds: float) -> str:
    seconds, microseconds = divmod(round(unix_seconds * 1_000_000), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{microseconds:06}Z"


def _text_line(
    stamp: str, thread: int, level: str, tag: str, file: str, line: int, message: str
) -> str:
    shown_tag = f"[{tag.translate(_CONTROL)}]" if tag else ""
    place = f"{file.translate(_CONTROL)}:{line}"
    shown = message[:_TEXT_SIZE_MAX].translate(_CONTROL)
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return f"{stamp} {thread:8}   [{level:<5}]{shown_tag} {place:<36} | {shown}\n"


def _json_line(
    stamp: str, thread: int, level: str, tag: str, file: str, line: int, message: str
) -> str:
    fields = {
        "h_ts": stamp,
        "thread_id": str(thread),
        "level": level,
        "tag": tag,
        "file": file,
        "number": str(line),
        "msg": message[:_TEXT_SIZE_MAX],
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"
