"""Compares what clients were told with the ledgers that the nodes leave behind.

Committed transactions are all there, in their place and with their content; invalid ones are
not; nothing else appears but writes whose outcome nobody was told. Nodes never contradict
themselves or each other. The ledgers are the same bytes, and two readers accept each of them.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ledger.audit.walk import audit
from ledger.base.ids import TxId
from ledger.codec import writeset
from ledger.codec.entry import parse_entry
from ledger.codec.tables import U64LE
from ledger.files import chunk
from ledger.files.names import parse_chunk_name
from ledger.sandbox.ledgers import compare_ledgers
from tests.e2e.cluster_kit_load import History, Outcome

FULL = os.environ.get("QUORATE_FULL") == "1"
TABLE = "public:records"
FINAL = {"Committed", "Invalid"}
MOVES = {
    ("Unknown", "Pending"), ("Pending", "Unknown"), ("Pending", "Committed"),
    ("Pending", "Invalid"), ("Unknown", "Invalid"), ("Unknown", "Committed"),
}  # fmt: skip
"""What a node may say next of a transaction, beside the same again."""

REPOSITORY = Path(__file__).parents[2]
_READER = REPOSITORY / "tests" / "conformance" / "oracle_verdicts.py"
_READERS = {
    "7": REPOSITORY / ".venv-ccf7" / "bin" / "python",
    "6": Path(os.environ.get("QUORATE_CCF_PYTHON", REPOSITORY / ".venv-ccf" / "bin" / "python")),
}
"""CCF's public package by version, the faster one first."""


@dataclass(frozen=True, slots=True)
class Written:
    """A transaction in a ledger: its view, its bytes, and the messages it wrote."""

    view: int
    data: bytes
    messages: dict[int, str]


def read_ledger(directory: Path) -> dict[int, Written]:
    """Return the transactions in a ledger directory by seqno."""
    chunks = []
    for path in directory.iterdir():
        name = parse_chunk_name(path.name)
        if not name.is_ignored:
            chunks.append((name.first, path))
    found = {}
    for first, path in sorted(chunks):
        data = path.read_bytes()
        for offset in chunk.scan(data, first).offsets:
            entry = parse_entry(data, offset)
            found[entry.seqno] = Written(
                entry.view, bytes(entry.data), _messages(entry.public_maps)
            )
    assert list(found) == list(range(1, len(found) + 1)), "a ledger has every seqno"
    return found


def _messages(public_maps: bytes) -> dict[int, str]:
    records = writeset.decode(public_maps).get(TABLE, {})
    return {
        U64LE.decode(key): json.loads(value) if value[:1] == b'"' else value.decode()
        for key, value in records.items()
        if value is not None
    }


def check_history(
    history: History, statuses: Mapping[str, Mapping[TxId, str]], ledger: Mapping[int, Written]
) -> None:
    """Compare what was answered with a ledger.

    Args:
        history: What the clients know.
        statuses: By node, the last word on every answered transaction.
        ledger: Of one node.
    """
    assert history.problems == []
    _check_words(history, statuses)
    committed = {}
    for write in history.answered:
        assert write.tx_id is not None
        words = {said[write.tx_id] for said in statuses.values()}
        assert len(words) == 1, f"nodes contradict each other about {write.tx_id}: {words}"
        (word,) = words
        assert word in FINAL, f"{write.tx_id} is {word} in the end, want a final status"
        held = ledger.get(write.tx_id.seqno)
        if word == "Committed":
            assert held is not None, f"{write.tx_id} is Committed and not in the ledger"
            assert held.view == write.tx_id.view
            assert held.messages == {write.record: write.msg}, f"{write.tx_id} has other content"
            committed[write.msg] = write
        else:
            assert held is None or held.view != write.tx_id.view, (
                f"{write.tx_id} is Invalid and in the ledger"
            )
    _check_nothing_else(history, set(committed), ledger)
    _check_sessions(history, set(committed))


def _check_words(history: History, statuses: Mapping[str, Mapping[TxId, str]]) -> None:
    last: dict[tuple[str, TxId], str] = {}
    final: dict[TxId, str] = {}
    said = [(told.node, told.tx_id, told.status) for told in history.told]
    said += [
        (node, tx_id, word) for node, words in statuses.items() for tx_id, word in words.items()
    ]
    for node, tx_id, word in said:
        before = last.get((node, tx_id), word)
        assert before == word or (before, word) in MOVES, (
            f"{node} said {before} and then {word} of {tx_id}"
        )
        last[node, tx_id] = word
        if word in FINAL:
            assert final.setdefault(tx_id, word) == word, f"{tx_id} was {final[tx_id]} and {word}"


def _check_nothing_else(
    history: History, committed: set[str], ledger: Mapping[int, Written]
) -> None:
    refused = {write.msg for write in history.writes if write.outcome is Outcome.REFUSED}
    unknown = {write.msg for write in history.writes if write.outcome is Outcome.UNKNOWN}
    found: list[str] = []
    for written in ledger.values():
        found += written.messages.values()
    assert len(found) == len(set(found)), "a message appears twice"
    assert not refused & set(found), "a refused write is in the ledger"
    stray = set(found) - committed - unknown
    assert not stray, f"nobody wrote {sorted(stray)[:5]}"


def _check_sessions(history: History, committed: set[str]) -> None:
    """Within a session, later writes have higher seqnos."""
    newest: dict[int, TxId] = {}
    for write in history.answered:
        if write.msg in committed and write.tx_id is not None:
            before = newest.get(write.session, TxId(0, 0))
            assert write.tx_id > before, f"{write.tx_id} came after {before} in one session"
            newest[write.session] = write.tx_id


def check_ledgers(ledgers: Sequence[Path], committed: int) -> list[str]:
    """Compare ledgers with each other and have them read by the audit and by CCF's readers.

    Args:
        ledgers: Of nodes that ran to the end.
        committed: Seqno up to which all of them have to be the same.

    Returns:
        Names of the chunks that all have.
    """
    contents = [read_ledger(ledger) for ledger in ledgers]
    first, *others = contents
    for other in others:
        for seqno in range(1, committed + 1):
            assert other[seqno].data == first[seqno].data, f"ledgers differ at {seqno}"
    # What is the same bytes needs no second reader, unless there is time.
    longest = max(range(len(ledgers)), key=lambda place: len(contents[place]))
    read = list(ledgers) if FULL else [ledgers[longest]]
    versions = [version for version, python in _READERS.items() if python.is_file()]
    with ThreadPoolExecutor() as readers:
        verdicts = [
            readers.submit(check_with_ccf, _READERS[version], read, version)
            for version in (versions if FULL else versions[:1])
        ]
        for ledger in read:
            report = audit([ledger])
            assert report.is_sound, "\n".join(str(finding) for finding in report.findings.kept)
        for verdict in verdicts:
            verdict.result()
    return compare_ledgers(ledgers)


def check_with_ccf(python: Path, ledgers: Sequence[Path], version: str) -> None:
    """Have the public ``ccf`` package read ledgers in full."""
    done = subprocess.run(
        [str(python), "-W", "ignore", str(_READER), *map(str, ledgers)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    verdicts = json.loads(done.stdout)
    refused = {ledger: said for ledger, said in verdicts.items() if said is not None}
    assert refused == {}, f"ccf {version} refuses"
    assert len(verdicts) == len(ledgers)
