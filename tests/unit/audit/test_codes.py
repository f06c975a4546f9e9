"""Every code that the audit can say is documented, and every documented one exists."""

import re
from pathlib import Path

import ledger.audit

PACKAGE = Path(ledger.audit.__file__).parent
PAGE = PACKAGE.parent / "docs" / "formats" / "audit.md"
CALL = re.compile(r"\.(?:error|warning|note)\(\s*\"([a-z-]+)\"")


def test_codes_and_their_page() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    page = PAGE.read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}
    assert set(CALL.findall(sources)) == documented
