"""Scenario files that are wrong are told so, with the line; nothing else is raised."""

import pytest

from ledger.base.errors import FormatError
from ledger.testing.scenario_driver import Driver
from ledger.testing.scenario_language import parse

START = "start_node,0\nemit_signature,2\n"


def run(text: str) -> None:
    Driver(jitter=lambda limit: limit).run(parse(text))


WRONG = [
    ("unheard_of", "line 3: got 'unheard_of', want a known command"),
    ("start_node,1,2", "line 3: got 2 arguments for start_node, want 1"),
    ("trust_nodes,2", "line 3: got 1 arguments for trust_nodes, want 2 or more"),
    ("deliver,0", "line 3: got 1 arguments for deliver, want 2 to 3"),
    ("periodic_all,10ms", "got '10ms', want a decimal number"),
    ("periodic_all,-1", "got '-1', want a decimal number"),
    ("periodic_all,\N{FULLWIDTH DIGIT TWO}", "want a decimal number"),
    ("periodic_all," + "9" * 5000, "want a decimal number"),
    ("periodic_one,7,10", "got node '7', want one of ['0']"),
    ("trust_node,2,0", "got a second node 0, want a new id"),
    ("swap_nodes,2,1,2", "got '1' after the view, want 'in' or 'out'"),
    ("pre_vote_enabled,yes", "got 'yes', want true or false"),
    ("option,flush_bytes,{", "got '{', want true, false or a number"),
    ("option,unheard_of,1", "got option unheard_of 1, want one of"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line[:20] for line, _ in WRONG])
def test_what_is_wrong_is_told_with_its_line(line: str, message: str) -> None:
    with pytest.raises(FormatError) as refused:
        run(f"{START}{line}\n")
    assert str(refused.value).startswith("line 3")
    assert message in str(refused.value)


def test_a_node_that_breaks_says_at_which_line() -> None:
    with pytest.raises(AssertionError) as broken:
        run(f"{START}cleanup_nodes,2,0\nemit_signature,2\n")
    assert broken.value.__notes__ == ["line 4, emit_signature,2"]


def test_comments_empty_lines_and_what_follows_the_end_mean_nothing() -> None:
    run(f"# all\n\n{START}periodic_all,10   # trailing\n==== end\nunheard_of\n")
