"""Every attempt in the list of attacks is one that a test makes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"`(test_\w+\.py)::(?:(\w+)::)?(\w+)`")
TESTS = ROOT / "tests"
FOLDERS = tuple(TESTS / each for each in ("unit/governance", "unit/endpoints", "property", "e2e"))


def test_the_tests_that_the_list_names_are_there() -> None:
    rows = NAMED.findall((ROOT / "governance" / "ATTACKS.md").read_text())
    assert len(rows) > 25
    for file, group, name in rows:
        [path] = [folder / file for folder in FOLDERS if (folder / file).is_file()]
        text = path.read_text()
        assert f"def {name}(" in text, (file, name)
        if group:
            assert f"class {group}" in text, (file, group)
