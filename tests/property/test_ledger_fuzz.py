"""Any bytes in ledger files give whole entries, a report, an opened ledger; nothing untrue.

Files of a sound ledger are mutated: flips, cuts, insertions, moved pieces, lengths made huge or off
by one, so that most inputs still have entries. Each is scanned and its entries are decoded; every
tenth is a ledger that the audit reads and that a node opens. ``QUORATE_FUZZ_INPUTS`` says how
many; the test prints how deep they got, and fails when they no longer get deep.

Besides that nothing crashes, it holds that no mutation makes the audit believe a signature over
other bytes than were signed.
"""

import os
import random
import shutil
from collections import Counter
from pathlib import Path

from ledger.audit.walk import audit
from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical, writeset
from ledger.codec.entry import parse_entry
from ledger.crypto.sealing import EntrySealer, leaf_of
from ledger.files import chunk
from ledger.files.names import parse_chunk_name
from ledger.host.chunk_file import DiskError
from ledger.host.restore import open_ledger
from tests.unit.audit import ledger_writer as lw

INPUTS = int(os.environ.get("QUORATE_FUZZ_INPUTS", "0")) or 2000
AUDITED = 10
"""One of so many inputs goes through the audit and to a node's disk: each costs milliseconds."""
FILES = lw.sound().files()
SEALER = EntrySealer(lw.SECRET)
SIZES = (
    *(0, 1, 2, 7, 8, 35, 36, 0xFF, 0xFFFF, 0xFFFFFF, 1 << 30, (1 << 32) - 1, 1 << 32),
    *((1 << 48) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
)


def mutate(chance: random.Random, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        size = chance.choice((1, 1, 4, 8, 8, 40, 200))
        match chance.randrange(9):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = chance.randbytes(size)
            case 5:
                other = chance.choice(list(FILES.values()))
                begin = chance.randrange(len(other))
                data[at : at + size] = other[begin : begin + size]
            case 6:
                data[at : at + 8] = chance.choice(SIZES).to_bytes(8, "little")
            case 7 if at + 8 <= len(data):
                number = int.from_bytes(data[at : at + 8], "little") + chance.choice((-1, 1, 8))
                data[at : at + 8] = (number % (1 << 64)).to_bytes(8, "little")
            case _:
                entry = chance.choice(chunk.scan(original).offsets)
                end = entry + parse_entry(original, entry).size
                data[at:at] = original[entry:end]
    return bytes(data)


def scan(data: bytes, first: int, depth: Counter[str]) -> None:
    """What is called whole has to parse; what it holds may be anything, and says so."""
    result = chunk.scan(data, first)
    depth["scanned"] += 1
    depth["complete"] += result.is_complete
    assert result.end <= len(data)
    for number, offset in enumerate(result.offsets):
        entry = parse_entry(data, offset)
        assert entry.seqno == first + number
        assert len(leaf_of(bytes(entry.data))) == 32
        depth["entries"] += 1
        try:
            writeset.decode(entry.public_maps)
        except FormatError:
            depth["write sets refused"] += 1
            continue
        try:
            SEALER.open(entry)
            depth["entries opened"] += 1
        except (FormatError, VerificationError):
            depth["entries not opened"] += 1


def read_as_ledger(
    files: dict[str, bytes], directory: Path, roots: dict[int, str], depth: Counter[str]
) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, data in files.items():
        (directory / name).write_bytes(data)
    report = audit([directory], secrets={1: lw.SECRET})
    depth["audited"] += 1
    depth["sound"] += report.is_sound
    if report.verified is not None:
        assert report.root == roots[report.verified.seqno], "a root that was never signed"
        depth["signatures verified"] += 1
    try:
        opened, notes = open_ledger(directory, sync=False)
    except DiskError:
        depth["not opened by a node"] += 1
        return
    depth["opened by a node"] += 1
    depth["cut or set aside, with a reason"] += bool(notes)
    opened.close()


def signed_roots() -> dict[int, str]:
    """Return the root in each signature transaction of the sound ledger, by its seqno."""
    found = {}
    for data in FILES.values():
        for offset in chunk.scan(data).offsets:
            entry = parse_entry(data, offset)
            for value in writeset.decode(entry.public_maps).get(lw.SIGNATURES, {}).values():
                found[entry.seqno] = canonical.loads(value or b"{}")["root"]
    return found


def test_mutated_ledger_files(tmp_path: Path) -> None:
    roots = signed_roots()
    chance = random.Random(1)
    depth: Counter[str] = Counter()
    names = list(FILES)
    for number in range(INPUTS):
        name = chance.choice(names)
        data = mutate(chance, FILES[name])
        scan(data, parse_chunk_name(name).first, depth)
        if number % AUDITED == 0:
            read_as_ledger({**FILES, name: data}, tmp_path / "ledger", roots, depth)
    print(f"\n{INPUTS} ledger files: {dict(depth)}")  # noqa: T201 - the figures are asked for
    assert depth["entries"] > INPUTS
    assert depth["write sets refused"] > INPUTS // 100
    assert depth["entries opened"] > INPUTS // 2
    assert depth["signatures verified"] > INPUTS // AUDITED // 4
    assert depth["opened by a node"] > INPUTS // AUDITED // 4
    assert depth["cut or set aside, with a reason"] > INPUTS // AUDITED // 100
