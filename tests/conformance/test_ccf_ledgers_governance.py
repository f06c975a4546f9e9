"""The governance of ledgers that CCF wrote: who signed what, and what it is bound to."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from governance.interpreter import run
from governance.replay.recorded import RecordedEntry, recorded
from governance.replay.replay import Replay
from governance.replay.report import Difference
from ledger.audit.directory import open_directory
from ledger.audit.findings import Findings
from ledger.audit.report import Report
from ledger.audit.walk import walk
from ledger.codec.writeset import Changes
from ledger.tables.members import (
    COSE_HISTORY,
    MEMBER_ACKS,
    MEMBER_CERTS,
    MEMBER_INFO,
    PROPOSALS,
    PROPOSALS_INFO,
)

ROOT = Path(
    os.environ.get("QUORATE_TESTDATA", Path(__file__).parents[2].parent / "shared" / "testdata")
)
LEDGERS = ROOT / "ccf-ledgers"
CASES = [
    ("acme_containing_service", {"ack": 3, "ballot": 2, "proposal": 1}),
    ("cose_flipflop_service", {"ack": 1, "ballot": 3, "proposal": 3}),
    ("expired_service", {"ack": 3, "ballot": 8, "proposal": 4, "old message": 6}),
]

pytestmark = pytest.mark.skipif(
    not LEDGERS.is_dir(), reason="CCF's ledgers are not here; set QUORATE_TESTDATA to have them"
)


def entries_of(name: str) -> list[RecordedEntry]:
    findings = Findings()
    directory = open_directory([LEDGERS / name / "ledger"], findings)
    located = walk(directory, findings, Report(findings), lambda _done, _total: None)
    return [recorded(each.entry) for each in located]


@pytest.mark.parametrize(("name", "messages"), CASES)
def test_signatures_status_and_ids_are_right(name: str, messages: dict[str, int]) -> None:
    replay = Replay(run)
    for entry in entries_of(name):
        assert replay.feed(entry) is None, replay.report.difference
    assert replay.report.messages == messages
    assert not replay.report.scripts_replayed
    assert "scripts cannot be replayed" in replay.report.warnings[0]
    assert len(replay.report.warnings) == 1 + messages.get("old message", 0)


def bent(name: str, seqno: int, edit: Callable[[Changes], None]) -> str:
    """Return what is said of a ledger in which one entry is changed."""
    replay = Replay(run)
    for entry in entries_of(name):
        if entry.tx_id.seqno == seqno:
            edit(entry.changes)
        found = replay.feed(entry)
        if found is not None:
            assert found.tx_id.seqno == seqno
            return found.message
    return "nothing"


def replace(table: str, old: bytes, new: bytes) -> Callable[[Changes], None]:
    def edit(changes: Changes) -> None:
        (key,) = changes[table]
        value = changes[table][key]
        assert value is not None
        assert old in value
        changes[table][key] = value.replace(old, new, 1)

    return edit


ACME = "acme_containing_service"


@pytest.mark.parametrize(
    ("seqno", "edit", "words"),
    [
        (15, replace(PROPOSALS.name, b"actions", b"notions"), "is not what was signed"),
        (15, replace(PROPOSALS_INFO.name, b'"proposer_id":"', b'"proposer_id":"0'), "proposer"),
        (18, replace(PROPOSALS_INFO.name, b"function", b"funktion"), "the ballot is not what"),
        (9, replace(MEMBER_ACKS.name, b'"state_digest":"', b'"state_digest":"0'), "given out"),
        (15, replace(COSE_HISTORY.name, b"0oRY", b"0oRX"), "got"),
    ],
)
def test_what_is_bent_is_found(seqno: int, edit: Callable[[Changes], None], words: str) -> None:
    assert words in bent(ACME, seqno, edit)


def first_problem(edit: Callable[[RecordedEntry], RecordedEntry]) -> Difference:
    """Return the first difference when every entry is changed."""
    replay = Replay(run)
    for entry in entries_of(ACME):
        found = replay.feed(edit(entry))
        if found is not None:
            return found
    raise AssertionError("no difference")


def test_an_id_that_is_bound_to_nothing_is_found() -> None:
    def other_leaf(entry: RecordedEntry) -> RecordedEntry:
        leaf = bytes(32) if entry.tx_id.seqno == 6 else entry.leaf
        return dataclasses.replace(entry, leaf=leaf)

    found = first_problem(other_leaf)
    assert (found.tx_id.seqno, found.table) == (15, PROPOSALS.name)
    assert "bound to no earlier state" in found.message


def test_members_of_that_time_count() -> None:
    def no_certificates(entry: RecordedEntry) -> RecordedEntry:
        return dataclasses.replace(entry, changes=entry.changes | {MEMBER_CERTS.name: {}})

    assert "not a known member" in first_problem(no_certificates).message


def test_status_of_that_time_counts() -> None:
    def never_active(entry: RecordedEntry) -> RecordedEntry:
        rows = entry.changes.get(MEMBER_INFO.name, {})
        accepted = {
            key: value and value.replace(b"Active", b"Accepted") for key, value in rows.items()
        }
        return dataclasses.replace(entry, changes=entry.changes | {MEMBER_INFO.name: accepted})

    found = first_problem(never_active)
    assert (found.tx_id.seqno, found.what) == (15, "proposal")
    assert "not an active member" in found.message
