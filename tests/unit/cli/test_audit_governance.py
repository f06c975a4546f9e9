"""``quorate audit --governance``: its words, its exit codes, and the process its scripts run in."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from governance.replay.recorded import recorded
from governance.replay.report import ReplayReport
from governance.scripting import DEFAULT_LIMITS, FailureKind, HostError, ScriptCall, ScriptLimits
from ledger.base.errors import UnavailableError
from ledger.base.ids import TxId
from ledger.cli.audit import app
from ledger.cli.audit_governance import lines_of
from ledger.cli.audit_governance_scripts import ScriptProcess, script_process
from ledger.codec.entry import parse_entry
from ledger.codec.writeset import Changes
from ledger.tables.members import PROPOSALS_INFO
from tests.unit.governance.replay_kit import bent, replayed, save
from tests.unit.governance.replay_story import story
from tests.unit.governance.test_gov_worker import ATTACKS


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


# -- scripts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process() -> Iterator[ScriptProcess]:
    with script_process() as it:
        yield it


def echo(name: str, arguments: list[object]) -> object:
    if name == "kv.clear":
        raise HostError("no clearing today")
    if name == "kv.size":
        return "a" * 20_000_000
    return [name, arguments]


def call(source: str, *arguments: object, limits: ScriptLimits = DEFAULT_LIMITS) -> ScriptCall:
    return ScriptCall("ballot", source, "f", arguments, limits)


def test_values_calls_and_failures_cross_the_processes(process: ScriptProcess) -> None:
    value = {"a": [1, 2.5, None, True, "ü"]}
    assert process.run(call("def f(x): return x", value), echo).value == value
    called = process.run(call("def f(): return kv.put('t', 'k', 1)"), echo)
    assert called.value == ["kv.put", ["t", "k", 1]]
    for source, kind, words in (
        ("def f(): fail('no')", FailureKind.REFUSED, "no"),
        ("def f(): kv.clear('t')", FailureKind.ERROR, "no clearing today"),
        ("def f(): return 1 << 70", FailureKind.ERROR, "cannot be passed on"),
        ("def f(): return kv.size('t')", FailureKind.ERROR, "want at most"),
    ):
        failure = process.run(call(source), echo).failure
        assert failure is not None
        assert failure.kind is kind
        assert words in failure.reason
    huge = process.run(call("def f(x): pass", "a" * 20_000_000), echo).failure
    assert huge is not None
    assert huge.kind is FailureKind.ERROR


@pytest.mark.parametrize(
    "name", ["list doubled", "deep data returned", "squaring", "recursion", "brackets"]
)
def test_an_attack_costs_nothing_but_its_process(process: ScriptProcess, name: str) -> None:
    limits = ScriptLimits(cpu_seconds_max=1)
    failure = process.run(call(ATTACKS[name], limits=limits), echo).failure
    assert failure is not None
    assert process.run(call("def f(): return 7"), echo).value == 7


def test_a_script_that_takes_too_long_is_stopped(process: ScriptProcess) -> None:
    limits = ScriptLimits(wall_ms_max=200, cpu_seconds_max=60)
    failure = process.run(call(ATTACKS["squaring"], limits=limits), echo).failure
    assert failure is not None
    assert failure.kind is FailureKind.RESOURCE
    assert failure.reason == "the script took more than 200 ms"
    assert process.run(call("def f(): return 7"), echo).value == 7


def test_without_a_keeper_nothing_runs() -> None:
    with script_process() as it:
        it._keeper.process.kill()
        it._keeper.process.wait()
        with pytest.raises(UnavailableError, match="the process that runs scripts is gone"):
            it.run(call("def f(): return 7"), echo)


def test_a_replay_in_another_process_comes_to_the_same_result(process: ScriptProcess) -> None:
    assert replayed(story().entries, process.run).to_json() == replayed(story().entries).to_json()
