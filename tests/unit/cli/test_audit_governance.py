"""``quorate audit --governance``: its words, its exit codes, and the process its scripts run in."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from governance.replay.recorded import recorded
from governance.replay.report import ReplayReport
from ledger.base.ids import TxId
from ledger.cli.audit import app
from ledger.cli.audit_governance import lines_of
from ledger.codec.entry import parse_entry
from ledger.codec.writeset import Changes
from ledger.launch.script_process import script_process
from ledger.tables.members import PROPOSALS_INFO
from tests.unit.governance.replay_kit import bent, replayed, save
from tests.unit.governance.replay_story import story


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(story().entries, tmp_path_factory.mktemp("story"))


def last_proposal() -> int:
    """Return the seqno of the story's last proposal state."""
    return max(
        seqno
        for seqno, data in enumerate(story().entries, 1)
        if PROPOSALS_INFO.name in recorded(parse_entry(data)).changes
    )


def test_the_story_replays(directory: Path) -> None:
    result = run("--governance", directory)
    assert result.exit_code == 0
    last = result.stdout.splitlines()[-2:]
    assert last[0].startswith("governance: 4 ack, ")
    assert "unsigned: 1 genesis, 3 join, 1 key refresh" in last[0]
    assert last[0].endswith("proposals: 18 Accepted, 1 Dropped, 1 Failed, 1 Withdrawn")
    assert last[1] == "REPLAYED: every decision follows from the signed messages"


def test_without_the_option_nothing_is_replayed(directory: Path) -> None:
    result = run(directory)
    assert result.exit_code == 0
    assert "governance" not in result.stdout
    assert "governance" not in json.loads(run("--json", "-", directory).stdout)


def test_a_bent_ledger_is_exit_code_1_and_named(tmp_path: Path) -> None:
    seqno = last_proposal()

    def bend(changes: Changes) -> None:
        for key, value in changes[PROPOSALS_INFO.name].items():
            if value is not None:
                changes[PROPOSALS_INFO.name][key] = value.replace(b"Accepted", b"Rejected")

    result = run("--governance", save(bent(story(), seqno, bend), tmp_path))
    assert result.exit_code == 1
    assert "sound: 0 errors" in result.stdout
    lines = result.stdout.splitlines()
    begin = lines.index(f"NOT REPLAYED: transaction 2.{seqno} (ballot) differs")
    names = [line.split()[0] for line in lines[begin + 1 :]]
    assert names == ["member", "proposal", "table", "key", "what"]
    assert lines[-1] == ('  what     state: the ledger has "Rejected", the replay gives "Accepted"')
    document = json.loads(run("--governance", "--json", "-", tmp_path).stdout)
    assert document["sound"] is True
    assert document["governance"]["difference"]["transaction"] == f"2.{seqno}"


def test_a_ledger_that_does_not_begin_at_the_beginning_cannot_be_replayed(tmp_path: Path) -> None:
    whole = (save(story().entries, tmp_path) / "ledger_1").read_bytes()
    first = len(story().entries[0])
    (tmp_path / "ledger_1").unlink()
    (tmp_path / "ledger_2").write_bytes(whole[:8] + whole[8 + first :])
    result = run("--governance", tmp_path)
    assert result.exit_code == 2
    assert "a replay needs every entry from the first on" in result.stderr


def test_too_many_warnings_are_counted() -> None:
    report = ReplayReport()
    for number in range(105):
        report.warn(TxId(2, number), "noted")
    lines = lines_of(report)
    assert len([line for line in lines if line.startswith("warning")]) == 100
    assert "… and 5 more warnings of governance" in lines
    assert "governance: none messages; unsigned: none; proposals: none" in lines


def test_a_replay_in_another_process_comes_to_the_same_result() -> None:
    with script_process() as process:
        there = replayed(story().entries, process.run).to_json()
    assert there == replayed(story().entries).to_json()
