"""Tables of figures: verdicts, ratios, remarks."""

import json
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.timing import Figure


@pytest.mark.parametrize(
    ("figure", "reached", "said"),
    [
        (Figure("a", 2.0, "us"), None, "a  2 us"),
        (Figure("a", 2.0, "us", 4.0), True, "bar <= 4: reached (x0.50)"),
        (Figure("a", 8.0, "us", 4.0), False, "bar <= 4: MISSED (x2.00)"),
        (Figure("a", 8.0, "/s", 4.0, at_most=False), True, "bar >= 4: reached (x2.00)"),
        (Figure("a", 2.0, "/s", 4.0, at_most=False), False, "bar >= 4: MISSED (x0.50)"),
        (Figure("a", 3.0, "answers", 0.0), False, "bar <= 0: MISSED"),
        (Figure("a", 12345.6, "/s", goal=70_000, reference="CCF 1"), None, "12,346 /s"),
        (Figure("a", 1.0, "/s", goal=70_000, reference="CCF 1"), None, "goal 70,000  CCF 1"),
    ],
)
def test_a_figure_says_whether_it_is_good(figure: Figure, reached: bool | None, said: str) -> None:
    assert figure.reached is reached
    assert said in report.lines("title", [figure])[-1]


def test_a_load_takes_one_line_with_its_remarks() -> None:
    figures = [Figure("answered", 10.0, "/s", 20.0, at_most=False, goal=30.0, reference="CCF 5")]
    figures += [Figure(f"column {number}", float(number), "ms") for number in range(7)]
    figures += [Figure("other status than 200", 3, "answers", 0, reference="503: 3")]
    line = report.load_line("a load", figures)
    assert "\n" not in line
    for part in ("a load", "MISSED (x0.50)", "goal 30", "CCF 5", "503: 3"):
        assert part in line
    assert len(report.load_heading().splitlines()) == 2


def test_json_holds_everything(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    report.write_json(file, report.surroundings(), {"part": [Figure("a", 1.0, "us", 2.0)]})
    content = json.loads(file.read_text())
    assert {"commit", "processor", "cores", "Python", "OpenSSL"} <= content["surroundings"].keys()
    assert content["sections"]["part"][0]["reached"] is True
