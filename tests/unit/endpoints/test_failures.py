"""What the operator's log learns of an exception."""

import pytest

from ledger.base.errors import MisuseError
from ledger.endpoints.failures import FRAMES_MAX, describe


def raised(problem: Exception) -> Exception:
    try:
        raise problem
    except Exception as caught:  # noqa: BLE001
        return caught


def deep(levels: int) -> None:
    if levels == 0:
        raise ValueError("bottom")
    deep(levels - 1)


def test_foreign_text_is_left_out() -> None:
    line = describe("GET /x", raised(KeyError("a private record")))
    assert line.startswith("GET /x failed: builtins.KeyError at ")
    assert "private record" not in line
    assert "test_failures.py" in line


def test_own_text_and_asked_for_text_are_there() -> None:
    assert "MisuseError: got 1, want 2" in describe("GET /x", raised(MisuseError("got 1, want 2")))
    line = describe("GET /x", raised(KeyError("shown")), with_message=True)
    assert "builtins.KeyError: 'shown'" in line


def test_one_line_and_bounded() -> None:
    with pytest.raises(ValueError, match="bottom") as caught:
        deep(50)
    line = describe("GET /x", caught.value)
    assert "\n" not in line
    assert line.count(" deep") == FRAMES_MAX
