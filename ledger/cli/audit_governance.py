"""``quorate audit --governance``: every decision of the members made again from the ledger."""

from collections.abc import Sequence
from pathlib import Path

from governance.replay.recorded import recorded
from governance.replay.replay import Replay
from governance.replay.report import Difference, ReplayReport
from ledger.audit.directory import open_directory
from ledger.audit.findings import Findings
from ledger.audit.report import Report
from ledger.audit.walk import Progress, walk
from ledger.base.errors import FormatError, MisuseError
from ledger.launch.script_process import script_process


def replay_governance(paths: Sequence[Path], progress: Progress | None = None) -> ReplayReport:
    """Replay the governance of a ledger.

    Args:
        paths: Directories of one ledger, or chunk files.
        progress: Called now and then.

    Raises:
        UnavailableError: something cannot be read, or scripts cannot be run at all.
        MisuseError: the ledger at hand does not begin with its first entry, or has a gap.
        FormatError: an entry does not parse.
    """
    findings = Findings()
    directory = open_directory(paths, findings)
    with script_process() as process:
        replay = Replay(process.run)
        for located in walk(directory, findings, Report(findings), progress or _no_progress):
            entry = located.entry
            if entry.seqno != located.position:
                raise MisuseError(f"got seqno {entry.seqno} at the place of {located.position}")
            try:
                found = replay.feed(recorded(entry))
            except FormatError as error:
                raise FormatError(f"entry {entry.view}.{entry.seqno}: {error}") from error
            if found is not None:
                break
    return replay.report


def lines_of(report: ReplayReport) -> list[str]:
    """Return a replay's result for people."""
    lines = [f"{'warning':<8}governance            {warning}" for warning in report.warnings]
    if report.warnings_left_out:
        lines.append(f"… and {report.warnings_left_out} more warnings of governance")
    lines.append(
        f"governance: {_counted(report.messages)} messages; "
        f"unsigned: {_counted(report.unsigned)}; proposals: {_counted(report.states)}"
    )
    if report.difference is not None:
        return [*lines, *_difference_lines(report.difference)]
    if report.scripts_replayed:
        lines.append("REPLAYED: every decision follows from the signed messages")
    else:
        lines.append("NOT REPLAYED: scripts were not run, signatures and status are right")
    return lines


def _difference_lines(difference: Difference) -> list[str]:
    lines = [f"NOT REPLAYED: transaction {difference.tx_id} ({difference.what}) differs"]
    facts = {
        "member": difference.member,
        "proposal": difference.proposal_id,
        "table": difference.table,
        "key": difference.key,
    }
    lines += [f"  {name:<9}{value}" for name, value in facts.items() if value is not None]
    lines.append(f"  {'what':<9}{difference.message}")
    return lines


def _counted(counts: dict[str, int]) -> str:
    found = [f"{count} {name}" for name, count in sorted(counts.items())]
    return ", ".join(found) or "none"


def _no_progress(done: int, total: int) -> None:
    del done, total
