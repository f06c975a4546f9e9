"""Finding the public ``ccf`` package and CCF's own data, which the tests here compare with.

The package needs other releases than we do of what both use, so each version lives in an
environment of its own, made by ``scripts/oracle``. The variables ``QUORATE_CCF_PYTHON`` and
``QUORATE_CCF7_PYTHON`` may name other interpreters. Where one is missing its tests skip.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.codec import writeset
from ledger.codec.entry import Entry, parse_entry
from ledger.files import chunk
from ledger.files.names import parse_chunk_name

REPOSITORY = Path(__file__).parents[2]
LEDGERS = (
    Path(os.environ.get("QUORATE_TESTDATA", REPOSITORY.parent / "shared" / "testdata"))
    / "ccf-ledgers"
)
NAMES = ("acme_containing_service", "cose_flipflop_service", "expired_service")

VERSIONS = ("6.0.28", "7.0.22")
_ENVIRONMENTS = {
    "6.0.28": ("QUORATE_CCF_PYTHON", ".venv-ccf"),
    "7.0.22": ("QUORATE_CCF7_PYTHON", ".venv-ccf7"),
}

needs_data = pytest.mark.skipif(
    not LEDGERS.is_dir(), reason="CCF's ledgers are not here; set QUORATE_TESTDATA to have them"
)


class CcfPackage:
    """One version of the package.

    Attributes:
        version: Which.
        python: The interpreter that can import it; may be missing.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        variable, folder = _ENVIRONMENTS[version]
        named = os.environ.get(variable)
        self.python = Path(named) if named else REPOSITORY / folder / "bin" / "python"

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def tool(self, name: str) -> str:
        """Path of one of its commands."""
        return str(self.python.parent / name)

    def say(self, *arguments: str, given: str = "") -> str:
        """Run its interpreter and return what that prints; fails unless it exits with 0."""
        result = subprocess.run(
            [str(self.python), "-W", "ignore", *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr[-4000:]
        return result.stdout

    def run(self, script: str, given: object) -> Any:  # noqa: ANN401 - what the script prints
        """Run a script: JSON in on standard input, JSON out on standard output."""
        return json.loads(self.say("-c", script, given=json.dumps(given)))


def vectors_of(name: str) -> dict[str, Any]:
    """What is known of one of CCF's ledgers."""
    loaded: dict[str, Any] = json.loads((LEDGERS / name / "vectors.json").read_text())
    return loaded


def entries_of(name: str) -> Iterator[tuple[Entry, writeset.Changes]]:
    """The entries of one of CCF's ledgers, with what they change in public maps."""
    paths = (LEDGERS / name / "ledger").iterdir()
    chunks = sorted((parse_chunk_name(path.name).first, path.read_bytes()) for path in paths)
    for first, data in chunks:
        for offset in chunk.scan(data, first).offsets:
            entry = parse_entry(data, offset)
            yield entry, writeset.decode(entry.public_maps)
