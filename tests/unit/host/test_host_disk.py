"""Ledger files: chunk boundaries, roll-back, commit, reads, and every way to be opened again."""

import contextlib
import errno
import itertools
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.base.errors import FormatError
from ledger.codec.entry import frame, iv_for, public_domain
from ledger.files import chunk as chunk_format
from ledger.files.names import parse_chunk_name
from ledger.host.archive import Archive
from ledger.host.chunk_file import DiskError
from ledger.host.disk import LedgerFiles, start_ledger
from ledger.host.restore import open_ledger

AFTER, BEFORE = 1, 2


def entry(seqno: int, flags: int = 0, size: int = 0, view: int = 2) -> bytes:
    public = public_domain(seqno, bytes(32), bytes(32), b"")
    return frame(flags, bytes(16), iv_for(view, seqno), public, b"x" * size)


def append(files: LedgerFiles, *entries: bytes) -> None:
    files.append(files.last + 1, len(entries), memoryview(b"".join(entries)))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_entries_go_to_one_open_chunk(tmp_path: Path) -> None:
    files = start_ledger(tmp_path / "ledger", sync=True)
    append(files, entry(1), entry(2))
    append(files, entry(3))
    files.sync()
    data = (tmp_path / "ledger" / "ledger_1").read_bytes()
    assert data == bytes(8) + entry(1) + entry(2) + entry(3)
    files.close()


def test_flags_end_chunks_and_commit_renames_them(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1), entry(2, AFTER), entry(3), entry(4, BEFORE), entry(5, AFTER))
    assert names(tmp_path) == ["ledger_1", "ledger_3", "ledger_4"]
    assert (tmp_path / "ledger_1").read_bytes() == chunk_format.build([entry(1), entry(2, AFTER)])
    files.commit(2)
    assert names(tmp_path) == ["ledger_1-2.committed", "ledger_3", "ledger_4"]
    files.commit(4)
    assert names(tmp_path) == ["ledger_1-2.committed", "ledger_3-3.committed", "ledger_4"]
    files.commit(5)
    append(files, entry(6))
    assert names(tmp_path)[2:] == ["ledger_4-5.committed", "ledger_6"]
    assert (tmp_path / "ledger_3-3.committed").read_bytes() == chunk_format.build([entry(3)])
    files.close()


def test_flag_before_at_the_start_of_a_batch_ends_the_open_chunk(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1))
    append(files, entry(2, BEFORE))
    append(files, entry(3, BEFORE | AFTER))
    assert names(tmp_path) == ["ledger_1", "ledger_2", "ledger_3"]
    for name in names(tmp_path)[:1]:
        assert chunk_format.scan((tmp_path / name).read_bytes()).is_complete
    files.close()


def test_truncate_reopens_and_removes_chunks(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1), entry(2, AFTER), entry(3), entry(4, AFTER), entry(5))
    files.truncate(3)
    assert names(tmp_path) == ["ledger_1", "ledger_3"]
    assert (tmp_path / "ledger_3").read_bytes() == bytes(8) + entry(3)
    append(files, entry(4, AFTER, size=9))
    assert (tmp_path / "ledger_3").read_bytes() == chunk_format.build(
        [entry(3), entry(4, AFTER, 9)]
    )
    files.truncate(4)
    assert chunk_format.scan((tmp_path / "ledger_3").read_bytes()).is_complete
    files.truncate(2)
    assert names(tmp_path) == ["ledger_1"]
    assert chunk_format.scan((tmp_path / "ledger_1").read_bytes()).is_complete
    append(files, entry(3))
    assert names(tmp_path) == ["ledger_1", "ledger_3"]
    files.truncate(0)
    assert names(tmp_path) == []
    append(files, entry(1))
    files.close()


def test_what_the_enclave_may_not_ask(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1), entry(2, AFTER), entry(3))
    files.commit(2)
    with pytest.raises(FormatError, match="want 4"):
        files.append(5, 1, memoryview(entry(5)))
    with pytest.raises(FormatError, match="want at least 2"):
        files.truncate(1)
    with pytest.raises(FormatError, match="want at most 3"):
        files.commit(4)
    assert files.last == 3
    files.close()


BAD_BATCHES: list[tuple[str, bytes, int]] = [
    ("nothing", b"", 1),
    ("half a header", entry(1)[:5], 1),
    ("half an entry", entry(1)[:-1], 1),
    ("two for one", entry(1) + entry(2), 1),
    ("one for two", entry(1), 2),
    ("version 2", b"\x02" + entry(1)[1:], 1),
    ("unknown flag", b"\x01\x04" + entry(1)[2:], 1),
    ("size below the least", b"\x01\x00" + (35).to_bytes(6, "little") + bytes(35), 1),
]


@pytest.mark.parametrize(
    ("batch", "count"), [b[1:] for b in BAD_BATCHES], ids=[b[0] for b in BAD_BATCHES]
)
def test_batches_that_are_not_entries_are_refused(tmp_path: Path, batch: bytes, count: int) -> None:
    files = start_ledger(tmp_path, sync=True)
    with pytest.raises(FormatError):
        files.append(1, count, memoryview(batch))
    assert (files.last, names(tmp_path)) == (0, [])
    files.close()


def replace(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def write_behind(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def sync_after(change: Callable[[LedgerFiles], None], files: LedgerFiles) -> None:
    change(files)
    files.sync()


ACCIDENTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("removed", Path.unlink, "ledger_1 was removed or renamed"),
    ("renamed", lambda path: path.rename(path.with_name("other")), "was removed or renamed"),
    ("replaced", replace, "was replaced"),
    ("cut", lambda path: os.truncate(path, 40), "has 40 bytes, want the"),
    ("written", write_behind, "something else changed it"),
]


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("accident", "said"), [a[1:] for a in ACCIDENTS], ids=[a[0] for a in ACCIDENTS]
)
@pytest.mark.parametrize(
    "then",
    [
        lambda files: append(files, entry(3)),
        lambda files: append(files, entry(3, AFTER)),
        lambda files: append(files, entry(3, BEFORE)),
        lambda files: files.truncate(1),
    ],
    ids=["write", "end the chunk", "begin another", "roll back"],
)
def test_a_file_that_changed_between_syncs_is_noticed_by_the_next(
    then: Callable[[LedgerFiles], None],
    accident: Callable[[Path], object],
    said: str,
    *,
    sync: bool,
    tmp_path: Path,
) -> None:
    files = start_ledger(tmp_path, sync=sync)
    append(files, entry(1), entry(2))
    files.sync()
    accident(tmp_path / "ledger_1")
    with pytest.raises(DiskError, match=said):
        sync_after(then, files)
    files.close()


@pytest.mark.parametrize(
    ("accident", "said"), [a[1:] for a in ACCIDENTS], ids=[a[0] for a in ACCIDENTS]
)
def test_a_file_that_changed_before_a_sync_is_not_called_durable(
    accident: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1))
    accident(tmp_path / "ledger_1")
    with pytest.raises(DiskError, match=said):
        files.sync()
    files.close()


def test_a_file_that_changed_is_not_committed(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1, AFTER))
    files.sync()
    replace(tmp_path / "ledger_1")
    with pytest.raises(DiskError, match="was replaced"):
        files.commit(1)
    assert names(tmp_path) == ["ledger_1"]
    files.close()


def test_reads_cross_chunks_and_stop_at_the_size(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    entries = [entry(s, AFTER if s in (2, 4) else 0, size=10 * s) for s in range(1, 7)]
    append(files, *entries)
    files.commit(4)
    for first in range(1, 7):
        for last in range(first, 9):
            pieces, got = files.read(first, last)
            assert got == min(last, 6)
            assert b"".join(pieces) == b"".join(entries[first - 1 : got])
    pieces, got = files.read(1, 6, size_max=len(entries[0]) + 1)
    assert (b"".join(pieces), got) == (entries[0] + entries[1], 2)
    pieces, got = files.read(3, 6, size_max=1)
    assert (b"".join(pieces), got) == (entries[2], 3)
    with pytest.raises(DiskError, match="Cannot find ledger file for seqno 7"):
        files.read(7, 9)
    files.close()


def test_committed_files_may_move_to_a_read_only_directory(tmp_path: Path) -> None:
    main, old = tmp_path / "main", tmp_path / "old"
    old.mkdir()
    files = start_ledger(main, [old], sync=True)
    append(files, entry(1, AFTER), entry(2, AFTER), entry(3))
    files.commit(2)
    for name in ("ledger_1-1.committed", "ledger_2-2.committed"):
        (main / name).rename(old / name)
    (old / "ledger_2-2.committed").unlink()
    assert files.read(1, 3) == ([entry(1, AFTER)], 1)
    (old / "ledger_2-2.committed").write_bytes(chunk_format.build([entry(2, AFTER)]))
    assert b"".join(files.read(1, 3)[0]) == entry(1, AFTER) + entry(2, AFTER) + entry(3)
    files.close()


DAMAGED: list[tuple[str, bytes, str]] = [
    ("empty", b"", "Failed to read positions offset from ledger file"),
    ("open", bytes(8) + entry(1), r"cannot be read: invalid table offset \(0\)"),
    ("beyond", (999).to_bytes(8, "little") + entry(1), "999 greater than total file size"),
    ("short table", chunk_format.build([entry(1)])[:-1], "position table of 3 bytes, want 4"),
    (
        "wild position",
        chunk_format.build([entry(1)])[:-4] + b"\xff\xff\0\0",
        "no valid position for seqno 1",
    ),
]


@pytest.mark.parametrize(("data", "problem"), [d[1:] for d in DAMAGED], ids=[d[0] for d in DAMAGED])
def test_damaged_committed_files_are_named(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "ledger_1-1.committed").write_bytes(data)
    archive = Archive([tmp_path])
    with pytest.raises(DiskError, match=problem):
        archive.read(1, 1, 1000)


def bind_socket(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)  # a long path does not fit


NO_FILES = pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, bind_socket], ids=["pipe", "directory", "socket"]
)


@NO_FILES
def test_what_is_no_file_is_named_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "ledger_1-1.committed")
    with pytest.raises(DiskError, match=r"ledger_1-1\.committed is a pipe, a directory"):
        Archive([tmp_path]).read(1, 1, 1000)


@NO_FILES
def test_what_is_no_file_is_no_open_chunk_and_stays(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "ledger_1")
    with pytest.raises(DiskError, match="ledger_1 is a pipe, a directory"):
        open_ledger(tmp_path, sync=True)
    assert names(tmp_path) == ["ledger_1"]


def test_start_demands_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "ledger_1000_1500.committed").write_bytes(b"bar")
    text = "On start, ledger directory should not exist or be empty"
    with pytest.raises(DiskError, match=text):
        start_ledger(tmp_path, sync=True)


def test_start_refuses_another_ledger_in_a_read_only_directory(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "ledger_1-1.committed").write_bytes(chunk_format.build([entry(1)]))
    with pytest.raises(DiskError, match="should hold no chunks"):
        start_ledger(tmp_path / "new", [old], sync=True)


def test_two_nodes_cannot_have_one_directory(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    with pytest.raises(DiskError, match="another node has open"):
        open_ledger(tmp_path, sync=True)
    files.close()


def test_a_directory_that_another_node_has_is_left_as_it_is(tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1))
    with (tmp_path / "ledger_1").open("ab") as half:
        half.write(entry(2)[:30])
    with pytest.raises(DiskError, match="another node has open"):
        open_ledger(tmp_path, sync=True)
    assert (tmp_path / "ledger_1").read_bytes() == bytes(8) + entry(1) + entry(2)[:30]
    files.close()


def test_a_chunk_appears_with_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bytes]] = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        seen.append((target.name, path.read_bytes()))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1))
    files.close()
    assert seen == [("ledger_1", bytes(8))]
    assert names(tmp_path) == ["ledger_1"]


def test_a_full_disk_leaves_no_chunk_without_a_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = start_ledger(tmp_path, sync=True)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        append(files, entry(1))
    assert names(tmp_path) == []
    files.close()


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_a_new_chunk_replaces_nothing(kind: str, tmp_path: Path) -> None:
    files = start_ledger(tmp_path, sync=True)
    taken = tmp_path / "ledger_1"
    if kind == "file":
        taken.write_bytes(b"somebody's")
    elif kind == "directory":
        taken.mkdir()
    else:
        taken.symlink_to("nowhere")
    with pytest.raises(FileExistsError, match="ledger_1"):
        append(files, entry(1))
    assert names(tmp_path) == ["ledger_1"]
    assert taken.is_symlink() or taken.exists()
    files.close()


def test_chunks_begun_when_a_node_ended_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".ledger_1.ignored").write_bytes(b"")
    files = start_ledger(tmp_path, sync=True)
    append(files, entry(1))
    files.close()
    assert names(tmp_path) == ["ledger_1"]
    (tmp_path / ".ledger_2.ignored").write_bytes(bytes(3))
    (tmp_path / ".ledger_x.ignored").write_bytes(b"somebody's")
    files, notes = open_ledger(tmp_path, sync=True)
    assert files.last == 1
    assert names(tmp_path) == [".ledger_x.ignored", "ledger_1"]
    assert len(notes) == 1
    files.close()


def test_every_truncation_of_an_open_chunk_is_opened_again(tmp_path: Path) -> None:
    whole = bytes(8) + entry(1, size=3) + entry(2) + entry(3, size=5)
    ends = [8, 8 + len(entry(1, size=3)), 8 + len(entry(1, size=3) + entry(2)), len(whole)]
    path = tmp_path / "ledger_1"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        files, notes = open_ledger(tmp_path, sync=False)
        kept = sum(end <= cut for end in ends[1:])
        assert files.last == kept
        assert bool(notes) == (cut not in ends[1:])
        if kept:
            assert path.read_bytes() == whole[: ends[kept]]
        append(files, entry(kept + 1))
        files.close()
        path.unlink()


def test_every_flipped_byte_of_a_complete_chunk_is_survived(tmp_path: Path) -> None:
    whole = chunk_format.build([entry(1), entry(2, AFTER)])
    path = tmp_path / "ledger_1"
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        files, _ = open_ledger(tmp_path, sync=False)
        assert 0 <= files.last <= 2
        append(files, entry(files.last + 1))
        files.close()
        for left in tmp_path.iterdir():
            left.unlink()


def test_opening_keeps_what_continues_and_sets_the_rest_aside(tmp_path: Path) -> None:
    (tmp_path / "ledger_1-2.committed").write_bytes(chunk_format.build([entry(1), entry(2)]))
    (tmp_path / "ledger_3").write_bytes(chunk_format.build([entry(3), entry(4)]))
    (tmp_path / "ledger_5").write_bytes(bytes(8) + entry(5))
    (tmp_path / "ledger_2").write_bytes(bytes(8) + entry(2))
    (tmp_path / "ledger_9").write_bytes(bytes(8) + entry(9))
    (tmp_path / "ledger_6.recovery").write_bytes(bytes(8) + entry(6))
    (tmp_path / "notes.txt").write_text("keep me")
    files, notes = open_ledger(tmp_path, sync=True)
    assert (files.committed, files.last) == (2, 5)
    assert names(tmp_path) == [
        "ledger_1-2.committed",
        "ledger_2.ignored",
        "ledger_3",
        "ledger_5",
        "ledger_6.recovery.ignored",
        "ledger_9.ignored",
        "notes.txt",
    ]
    assert len(notes) == 4
    assert b"".join(files.read(1, 5)[0]) == b"".join(map(entry, range(1, 6)))
    files.close()


class LedgerFilesMachine(RuleBasedStateMachine):
    """Random appends, roll-backs, commits and restarts against a list of entries."""

    directory: Path
    count = 0
    running: ClassVar[list[LedgerFiles]] = []

    @initialize()
    def start(self) -> None:
        for files in self.running:
            files.close()
        type(self).count += 1
        self.path = self.directory / f"ledger{self.count}"
        self.files = start_ledger(self.path, sync=False)
        self.running[:] = [self.files]
        self.entries: list[bytes] = []
        self.committed = 0
        self.view = 2

    @rule(flags=st.lists(st.sampled_from([0, 0, 0, AFTER, BEFORE]), min_size=1, max_size=6))
    def append(self, flags: list[int]) -> None:
        first = len(self.entries) + 1
        batch = [entry(first + i, flag, i, self.view) for i, flag in enumerate(flags)]
        self.files.append(first, len(batch), memoryview(b"".join(batch)))
        self.entries += batch

    @rule(share=st.floats(0, 1))
    def truncate(self, share: float) -> None:
        seqno = self.committed + int(share * (len(self.entries) - self.committed))
        self.files.truncate(seqno)
        del self.entries[seqno:]
        self.view += 1

    @precondition(lambda self: self.entries)
    @rule(share=st.floats(0, 1))
    def commit(self, share: float) -> None:
        seqno = max(1, int(share * len(self.entries)))
        self.files.commit(seqno)
        self.committed = max(self.committed, seqno)

    @rule()
    def open_again(self) -> None:
        self.files.close()
        self.files, notes = open_ledger(self.path, sync=False)
        self.running[:] = [self.files]
        assert notes == []

    @invariant()
    def files_hold_the_entries_in_order(self) -> None:
        chunks = sorted((parse_chunk_name(path.name), path) for path in self.path.iterdir())
        found: list[bytes] = []
        for number, (name, path) in enumerate(chunks):
            data = path.read_bytes()
            result = chunk_format.scan(data, name.first)
            assert result.problem is None
            assert name.first == len(found) + 1
            assert result.is_complete or number == len(chunks) - 1
            if name.is_committed:
                assert name.last is not None
                assert name.last <= self.committed
                assert result.is_complete
            bounds = [*result.offsets, result.end]
            found += [data[a:b] for a, b in itertools.pairwise(bounds)]
        assert found == self.entries
        assert self.files.last == len(found)

    @precondition(lambda self: self.entries)
    @rule(share=st.floats(0, 1))
    def read(self, share: float) -> None:
        first = max(1, int(share * len(self.entries)))
        pieces, last = self.files.read(first, len(self.entries))
        assert b"".join(pieces) == b"".join(self.entries[first - 1 :])
        assert last == len(self.entries)


def test_ledger_files_machine(tmp_path: Path) -> None:
    LedgerFilesMachine.directory = tmp_path
    examples = int(os.environ.get("QUORATE_FUZZ_INPUTS", "0")) // 200 or 40
    run_state_machine_as_test(
        LedgerFilesMachine,
        settings=settings(max_examples=examples, stateful_step_count=20, deadline=None),
    )
