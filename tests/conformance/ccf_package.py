"""Finding the public ``ccf`` package and CCF's own data, which the tests here compare with.

The package needs old releases of what we use in new ones, so it lives in an environment of its
own: its Python is named by ``QUORATE_CCF_PYTHON``, or ``.venv-ccf`` at the root of the
repository has it. Where it is missing the tests skip.
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

needs_data = pytest.mark.skipif(
    not LEDGERS.is_dir(), reason="CCF's ledgers are not here; set QUORATE_TESTDATA to have them"
)


def ccf_python() -> Path:
    """The Python that can import ``ccf``; skips the test without one."""
    named = os.environ.get("QUORATE_CCF_PYTHON")
    python = Path(named) if named else REPOSITORY / ".venv-ccf" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no environment with the ccf package at {python}; set QUORATE_CCF_PYTHON")
    return python


def run_ccf(script: str, given: object) -> Any:  # noqa: ANN401 - what the script prints, as JSON
    """Run a script with the ``ccf`` package: JSON in on stdin, JSON out on stdout."""
    result = subprocess.run(
        [str(ccf_python()), "-c", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


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
