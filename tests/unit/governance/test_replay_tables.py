"""One alteration per table: whatever is changed in a ledger that is hashed and signed anew."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.interpreter import run
from governance.replay.recorded import RecordedEntry, recorded
from governance.replay.replay import Replay
from governance.script_tables import BUILT_IN
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.codec.entry import parse_entry
from ledger.codec.tables import SINGLETON_KEY, MapRole, map_role
from ledger.codec.writeset import Changes
from ledger.tables.internal import (
    COSE_SIGNATURES,
    SIGNATURES,
    SUBMITTED_SHARES,
    TREE,
)
from ledger.tables.members import COSE_HISTORY, MEMBER_INFO, PROPOSALS_INFO, USER_CERTS
from ledger.tables.service import CONSTITUTION, PREVIOUS_SERVICE_IDENTITY, SERVICE_CONFIG
from tests.unit.governance.replay_kit import audited, bent, difference, extended
from tests.unit.governance.replay_story import story

GENESIS = 1
GIVEN = {CONSTITUTION.name, SERVICE_CONFIG.name}
"""What the first entry may hold at will: it is agreed on outside of the ledger."""
BY_AUDIT = {SIGNATURES.name, COSE_SIGNATURES.name, TREE.name}
"""Written by signature transactions, which the audit of the ledger checks."""
NEVER = {PREVIOUS_SERVICE_IDENTITY.name, SUBMITTED_SHARES.name}
"""Written in a recovery only."""
ONE_BY_ONE = [MEMBER_INFO.name, PROPOSALS_INFO.name, SERVICE_CONFIG.name, USER_CERTS.name]
TABLES = sorted(name for name in BUILT_IN if name not in BY_AUDIT)


def entries_with(table: str) -> list[int]:
    """Return the seqnos of the story that change a table."""
    found = []
    for seqno, data in enumerate(story().entries, 1):
        if table in recorded(parse_entry(data)).changes:
            found.append(seqno)
    return found


def altered(value: bytes) -> bytes:
    """Return another value of the same kind."""
    try:
        document = canonical.loads(value)
    except FormatError:
        return bytes([value[0] ^ 1]) + value[1:] if value else b"x"
    return canonical.dumps(_altered(document))


def _altered(document: object) -> object:
    """Return a document with its last leaf changed."""
    if isinstance(document, dict) and document:
        name = list(document)[-1]
        return document | {name: _altered(document[name])}
    if isinstance(document, list) and document:
        return [*document[:-1], _altered(document[-1])]
    if isinstance(document, bool):
        return not document
    if isinstance(document, int):
        return document + 1
    return f"{document}x"


def with_changes(entry: RecordedEntry, changes: Changes) -> RecordedEntry:
    return dataclasses.replace(entry, changes=changes)


def copied(entry: RecordedEntry) -> Changes:
    return {name: dict(rows) for name, rows in entry.changes.items()}


def alterations_of(entry: RecordedEntry) -> Iterator[tuple[str, str, Changes]]:
    """Yield every table that an entry changes, how it is altered, and what that makes."""
    for table in entry.changes:
        if table in TABLES:
            for how in ("changed", "left out", "added"):
                changes = copied(entry)
                bend(changes, table, how)
                yield table, how, changes


def test_an_alteration_of_any_table_is_found_in_every_entry() -> None:
    """Judged where they stand, in one walk; the whole way is walked by the tests below."""
    replay = Replay(run)
    bent_tables = set()
    for data in story().entries:
        entry = recorded(parse_entry(data))
        for table, how, changes in alterations_of(entry):
            verdict = replay.judge(with_changes(entry, changes))
            context = f"{entry.tx_id} {table} {how}"
            if not any(changes.values()):
                continue  # nothing is left of the entry: see the test of missing messages
            if entry.tx_id.seqno == GENESIS and how == "changed" and table in GIVEN:
                continue
            assert verdict is not None, context
            if (verdict.what, how) == ("key refresh", "left out"):
                continue  # only the primary has seen how many keys there were
            assert verdict.problem, context
            named = None if verdict.row is None else verdict.row.table
            # What is left out of an unsigned entry is not there to be named.
            if named is not None and (verdict.member is not None or how != "left out"):
                assert named == table or entry.tx_id.seqno == GENESIS, f"{context}: {verdict}"
            bent_tables.add(table)
        assert replay.feed(entry) is None
    assert bent_tables == set(TABLES) - NEVER


@pytest.mark.parametrize("table", ONE_BY_ONE)
def test_an_alteration_in_a_ledger_signed_anew_is_found(table: str) -> None:
    seqno = entries_with(table)[-1]
    found = difference(bent(story(), seqno, lambda changes: bend(changes, table, "changed")))
    assert found is not None
    assert found.tx_id.seqno == seqno
    assert found.table == table


def bend(changes: Changes, table: str, how: str) -> None:
    rows = changes[table]
    key = max(rows)
    if how == "added":
        rows[b"0" * 63 + b"f"] = b'"AllowedToJoin"'
    elif how == "left out":
        del rows[key]
        if not rows:
            del changes[table]
    else:
        value = rows[key]
        rows[key] = b'"put back"' if value is None else altered(value)


@pytest.fixture(scope="module")
def at_the_end() -> Replay:
    """The replay of the whole story."""
    replay = Replay(run)
    for data in story().entries:
        replay.feed(recorded(parse_entry(data)))
    return replay


def next_entry(changes: Changes) -> RecordedEntry:
    """Return what follows the story."""
    entry = parse_entry(extended(story(), changes)[len(story().entries)])
    return recorded(entry)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("value", [b'"forged"', None])
def test_a_change_that_nobody_signed_is_found(
    table: str, value: bytes | None, at_the_end: Replay
) -> None:
    for key in (b"0" * 64, SINGLETON_KEY):
        verdict = at_the_end.judge(next_entry({table: {key: value}}))
        assert verdict is not None
        assert verdict.problem
        assert verdict.member is None


@pytest.mark.parametrize("table", TABLES)
def test_nothing_can_be_hidden_in_a_signature_transaction(table: str, at_the_end: Replay) -> None:
    signature = recorded(parse_entry(story().entries[entries_with(SIGNATURES.name)[-1] - 1]))
    entry = next_entry({**signature.changes, table: {b"0" * 64: b'"forged"'}})
    verdict = at_the_end.judge(entry)
    assert verdict is not None
    assert verdict.problem
    assert at_the_end.judge(next_entry(signature.changes)) is None


@pytest.mark.parametrize("table", ["public:ccf.gov.unheard.of", "public:quorate.gov.unheard.of"])
def test_tables_of_governance_that_nobody_defined_are_judged_too(table: str) -> None:
    found = difference(extended(story(), {table: {b"key": b"value"}}))
    assert found is not None
    assert (found.table, found.key) == (table, "key")
    assert found.message.startswith("no member's message is there for this change")


def test_application_tables_are_nobodys_business() -> None:
    changes: Changes = {"public:records": {b"key": b"value"}, "records": {b"key": b"value"}}
    assert difference(extended(story(), changes)) is None


def test_application_tables_that_a_proposal_wrote_are_compared() -> None:
    seqno = entries_with("public:notice")[-1]

    def bend_notice(changes: Changes) -> None:
        changes["public:notice"] = {b"pem": b'"another"'}

    found = difference(bent(story(), seqno, bend_notice))
    assert found is not None
    assert found.table == "public:notice"
    assert found.message == 'the ledger has "another", the replay gives "accepted"'


@pytest.mark.parametrize("name", ["public:records", "records"])
def test_a_decision_writes_no_other_tables(name: str) -> None:
    seqno = entries_with(COSE_HISTORY.name)[-1]

    def smuggle(changes: Changes) -> None:
        changes[name] = {b"key": b"value"}

    found = difference(bent(story(), seqno, smuggle))
    assert found is not None
    assert found.tx_id.seqno == seqno


def test_only_a_replay_sees_it(tmp_path: Path) -> None:
    """The bent ledgers of this module are sound in every other way."""
    for table in ONE_BY_ONE:
        seqno = entries_with(table)[-1]
        entries = bent(story(), seqno, functools.partial(bend, table=table, how="changed"))
        assert audited(entries, tmp_path / table.replace(":", ".")).is_sound


def test_the_story_writes_every_table() -> None:
    written = {
        name
        for data in story().entries
        for name in recorded(parse_entry(data)).changes
        if map_role(name) in {MapRole.GOVERNANCE, MapRole.INTERNAL}
    }
    assert written | NEVER == set(BUILT_IN)
