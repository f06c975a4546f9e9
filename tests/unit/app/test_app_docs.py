"""The pages on applications run as they are printed."""

import re
import sys
import types
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[3] / "ledger" / "docs" / "app").glob("*.md"))
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_every_concept_has_its_page() -> None:
    assert [page.stem for page in PAGES] == [
        "authentication",
        "bodies",
        "routing",
        "tables",
        "testing",
        "transactions",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text()
    blocks = list(_BLOCK.finditer(text))
    assert text.startswith("# ")
    assert text.split("\n", 3)[2] == "```python", "a page opens with code that runs"
    module = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        source = "\n" * line + block[1]  # so that tracebacks name lines of the page
        exec(compile(source, str(page), "exec"), module.__dict__)
