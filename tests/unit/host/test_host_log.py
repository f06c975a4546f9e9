"""Log lines: both forms, levels, and messages that try to break their line."""

import io
import json

import pytest

from ledger.base.errors import FormatError
from ledger.host.log import Level, Logger


def logger(level: Level = Level.INFO, *, json_lines: bool = False) -> tuple[Logger, io.StringIO]:
    stream = io.StringIO()
    made = Logger(level, json_lines=json_lines, stream=stream, unix_seconds=lambda: 1767225600.25)
    return made, stream


def test_text_line_has_ccfs_shape() -> None:
    log, stream = logger()
    log.write(Level.INFO, "hello", tag="app", file="a.py", line=42, thread=3)
    wanted = "2026-01-01T00:00:00.250000Z        3   [info ][app] a.py:42"
    assert stream.getvalue() == wanted.ljust(len(wanted) + 29) + " | hello\n"


def test_json_line_has_ccfs_keys() -> None:
    log, stream = logger(json_lines=True)
    log.write(Level.FATAL, 'a "b"\n', file="a.py", line=1)
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue()) == {
        "h_ts": "2026-01-01T00:00:00.250000Z",
        "thread_id": "0",
        "level": "fatal",
        "tag": "",
        "file": "a.py",
        "number": "1",
        "msg": 'a "b"\n',
    }


@pytest.mark.parametrize("text", ["a\nb", "a\r\x1b[31mb", "a\u2028b", "\x85", "\udcff", "\x00"])
@pytest.mark.parametrize("json_lines", [False, True])
def test_a_message_stays_one_line(text: str, *, json_lines: bool) -> None:
    log, stream = logger(json_lines=json_lines)
    log.write(Level.INFO, text, tag="t", file="f", line=1)
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isprintable() or stream.getvalue()[:-1].isprintable()
    stream.getvalue().encode()


def test_levels_below_are_left_out() -> None:
    log, stream = logger(Level.FAIL)
    log.info("hidden")
    log.fail("shown")
    log.fatal("shown too")
    lines = stream.getvalue().splitlines()
    assert [line.rpartition("| ")[2] for line in lines] == ["shown", "shown too"]
    assert "[fail ]" in lines[0]
    assert "[fatal]" in lines[1]


def test_lines_name_the_caller() -> None:
    log, stream = logger()
    log.info("here")
    assert "unit/host/test_host_log.py:" in stream.getvalue()


def test_long_messages_are_cut() -> None:
    log, stream = logger()
    log.info("x" * 100_000)
    assert len(stream.getvalue()) < 17_000


@pytest.mark.parametrize("text", ["info", "INFO", "Info"])
def test_levels_are_read_in_any_case(text: str) -> None:
    assert Level.parse(text) is Level.INFO


def test_unknown_level_is_refused() -> None:
    with pytest.raises(FormatError, match="got log level 'warn', want one of trace, debug"):
        Level.parse("warn")


def test_reader_that_went_away_is_ignored() -> None:
    log, stream = logger()
    stream.close()
    log.info("nobody listens")
