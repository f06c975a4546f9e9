"""``quorate ledger``: look at the transactions of a ledger, split its chunks."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ledger.audit.cutting import cut as cut_chunk
from ledger.audit.findings import Findings, Severity
from ledger.audit.listing import Wanted, lines_of, listing
from ledger.base.errors import LedgerError
from ledger.cli.audit import read_secrets
from ledger.cli.gov_text import printable
from ledger.cli.streams import standard_output

app = typer.Typer(add_completion=False, no_args_is_help=True)

EXIT_REFUSED = 2


@app.command()
@standard_output("quorate ledger", EXIT_REFUSED)
def show(
    ledger: Annotated[
        list[Path], typer.Argument(help="Ledger directories of one node, or chunk files.")
    ],
    first: Annotated[int, typer.Option("--from", min=1, help="Lowest seqno.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Highest seqno.")] = None,
    tables: Annotated[
        str | None, typer.Option("--tables", "-t", help="Only tables that match this regex.")
    ] = None,
    digests: Annotated[
        bool, typer.Option("--digests", "-d", help="Only IDs, write set digests and leaves.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Do not shorten values.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    secret: Annotated[
        list[Path] | None,
        typer.Option("--secret", help="JSON file of ledger secrets: also show private tables."),
    ] = None,
) -> None:
    """Show transactions as the files have them; nothing is verified (see quorate audit)."""
    try:
        pattern = None if tables is None else re.compile(tables)
    except re.error as error:
        _refuse(f"got --tables {tables!r}, want a regular expression: {error}")
    try:
        wanted = Wanted(first, last, pattern, read_secrets(secret or []))
        findings = Findings()
        for listed in listing(ledger, wanted, findings):
            if as_json:
                print(json.dumps(listed.to_json()))
                continue
            for line in lines_of(listed, digests_only=digests, full=full):
                print(line)
    except LedgerError as error:
        _refuse(str(error))
    for finding in findings.kept:
        if finding.severity is not Severity.NOTE:
            print(printable(f"{finding.place.file}: {finding.message}"), file=sys.stderr)


@app.command()
@standard_output("quorate ledger", EXIT_REFUSED)
def cut(
    file: Annotated[Path, typer.Argument(help="Chunk file.")],
    seqno: Annotated[int, typer.Argument(help="Last seqno of the first part.")],
    output: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Directory for the two parts.")
    ] = Path("split_ledger"),
    allow_non_signature: Annotated[
        bool,
        typer.Option("--allow-non-signature", help="Also cut after other entries."),
    ] = False,
) -> None:
    """Split a chunk in two after a signature transaction; the original stays as it is."""
    try:
        parts = cut_chunk(file, seqno, output, allow_non_signature=allow_non_signature)
    except LedgerError as error:
        _refuse(str(error))
    for part in parts:
        print(part)


def _refuse(problem: str) -> NoReturn:
    print(f"quorate ledger: {printable(problem)}", file=sys.stderr)
    raise typer.Exit(EXIT_REFUSED)
