"""``quorate audit``: check a ledger offline; the exit code says what came of it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from governance.replay.report import ReplayReport
from ledger.audit import walk
from ledger.audit.findings import Finding, Severity
from ledger.audit.report import Report
from ledger.base.errors import FormatError, LedgerError, UnavailableError
from ledger.cli.audit_governance import lines_of, replay_governance
from ledger.cli.gov_text import printable
from ledger.cli.streams import standard_output
from ledger.codec import canonical
from ledger.crypto.certs import Certificate

app = typer.Typer(add_completion=False)

EXIT_UNSOUND = 1
EXIT_UNREADABLE = 2


@app.command()
@standard_output("quorate audit", EXIT_UNREADABLE)
def command(
    ledger: Annotated[
        list[Path], typer.Argument(help="Ledger directories of one node, or chunk files.")
    ],
    snapshots: Annotated[
        list[Path] | None, typer.Option("--snapshots", help="Directory of snapshots to check too.")
    ] = None,
    secret: Annotated[
        list[Path] | None,
        typer.Option(
            "--secret",
            help="JSON file of ledger secrets, first seqno to hex: also check private domains.",
        ),
    ] = None,
    service_certificate: Annotated[
        Path | None,
        typer.Option(
            "--service-certificate",
            metavar="FILE",
            help="PEM of the service that must have signed; without it, the ledger's own word.",
        ),
    ] = None,
    governance: Annotated[
        bool,
        typer.Option(
            "--governance",
            help="Also make every decision of the members again, from the signed messages.",
        ),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report there; - is standard output.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, no notes.")
    ] = False,
) -> None:
    """Check a ledger: every entry, hash, signature, certificate and file boundary.

    Exit code 0: no errors (there may be notes and warnings). 1: errors, or a decision that does
    not follow from the members' messages. 2: could not be read, or the report not be written.
    """
    try:
        secrets = read_secrets(secret or [])
        service = None if service_certificate is None else read_service(service_certificate)
        with _progress("auditing", quiet=quiet) as progress:
            report = walk.audit(
                ledger,
                snapshots=snapshots or [],
                secrets=secrets,
                service=service,
                progress=progress,
            )
        replayed = _replay(ledger, quiet=quiet) if governance else None
        if json_file is not None:
            _write_json(report, replayed, json_file)
    except LedgerError as error:
        print(f"quorate audit: {printable(str(error))}", file=sys.stderr)
        raise typer.Exit(EXIT_UNREADABLE) from error
    if json_file is None or str(json_file) != "-":
        _print_report(report, quiet=quiet)
        if replayed is not None:
            print("\n".join(map(printable, lines_of(replayed))))
    if not report.is_sound or (replayed is not None and replayed.difference is not None):
        raise typer.Exit(EXIT_UNSOUND)


def read_secrets(files: list[Path]) -> dict[int, bytes]:
    """Read ledger secrets.

    Args:
        files: JSON objects from first seqno to 64 hex characters, or such an object under the
            name ``ledger_secrets``.

    Raises:
        UnavailableError: a file cannot be read.
        FormatError: it has another form. The message quotes nothing of it.
    """
    secrets: dict[int, bytes] = {}
    for file in files:
        try:
            value = canonical.loads(file.read_bytes())
        except OSError as error:
            raise UnavailableError(f"cannot read {file}: {error.strerror}") from error
        except FormatError:
            raise FormatError(f"got {file}, which is not JSON") from None
        value = value.get("ledger_secrets", value) if isinstance(value, dict) else None
        if not isinstance(value, dict):
            raise FormatError(f"got {file}, want a JSON object from seqno to hex")
        for first, text in value.items():
            if not first.isascii() or not first.isdecimal() or not isinstance(text, str):
                raise FormatError(f"got {file}, want decimal seqnos and hex text")
            try:
                secrets[int(first)] = canonical.from_hex(text, 32)
            except FormatError:
                raise FormatError(f"got {file}, want secrets of 64 hex characters") from None
    return secrets


def read_service(file: Path) -> Certificate:
    """Read the certificate of a service.

    Raises:
        UnavailableError: the file cannot be read.
        FormatError: it is no certificate in PEM, or its key is not one that a service has.
    """
    try:
        certificate = Certificate.parse(file.read_bytes())
        certificate.public_key.id  # noqa: B018  (parses the key)
    except OSError as error:
        raise UnavailableError(f"cannot read {file}: {error.strerror}") from error
    except FormatError as error:
        raise FormatError(f"got {file}, want a service certificate: {error}") from error
    return certificate


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[walk.Progress | None]:
    """Show a bar on standard error while the block runs, if that is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _replay(ledger: list[Path], *, quiet: bool) -> ReplayReport:
    with _progress("replaying governance", quiet=quiet) as progress:
        return replay_governance(ledger, progress)


def _write_json(report: Report, replayed: ReplayReport | None, file: Path) -> None:
    document = report.to_json()
    if replayed is not None:
        document["governance"] = replayed.to_json()
    text = json.dumps(document, indent=2) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"cannot write {file}: {error.strerror}") from error


def _print_report(report: Report, *, quiet: bool) -> None:
    for finding in report.findings.kept:
        if not (quiet and finding.severity is Severity.NOTE):
            print(_line(finding))
    kept = len(report.findings.kept)
    total = report.findings.by_severity.total()
    if total > kept:
        print(f"… and {total - kept} more of the same kinds")
    files = f"{len(report.files)} chunk" + ("s" if len(report.files) != 1 else "")
    print(f"{report.entries} entries in {files}, {report.first} to {report.last}")
    print(
        f"{report.signatures} signatures: {report.node_signatures} valid by nodes, "
        f"{report.cose_signatures} by the service; verified until {report.verified}"
    )
    if report.signed_by:
        whose = "as wanted" if report.service_wanted == report.signed_by else "by its own word"
        print(f"signed by service {report.signed_by}, {whose}")
    if report.opened:
        print(f"{report.opened} entries checked with a ledger secret")
    for snapshot in report.snapshots:
        what = "verified" if snapshot.is_verified else "not verified"
        print(printable(f"{snapshot.name}: {what}"))
    counts = report.findings.by_severity
    verdict = "sound" if report.is_sound else "NOT SOUND"
    print(
        f"{verdict}: {counts[Severity.ERROR]} errors, {counts[Severity.WARNING]} warnings, "
        f"{counts[Severity.NOTE]} notes"
    )


def _line(finding: Finding) -> str:
    place = finding.place
    where = " ".join(part for part in (place.file, place.tx) if part) or "ledger"
    return printable(f"{finding.severity.value:<8}{finding.code:<22}{where}: {finding.message}")
