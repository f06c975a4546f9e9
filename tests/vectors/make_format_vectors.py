"""Write ``entries.json`` and ``merkle.json`` from the slow definitions.

Run from the repository's root: ``python -m tests.vectors.make_format_vectors``.
Good entries come with what they say; bad ones with a word of the refusal.
"""

import json
import struct
from hashlib import sha256
from pathlib import Path

from tests.reference import merkle, writeset
from tests.reference.writeset import Changes

HERE = Path(__file__).parent
SECRET = bytes(range(32))
CASES: list[tuple[str, int, int, int, Changes, bytes]] = [
    ("one private write", 2, 1, 0, {"records": {b"k": b"v"}}, bytes(32)),
    ("one public write", 2, 2, 0, {"public:records": {b"k": b"v"}}, bytes(32)),
    ("a removed key", 2, 3, 0, {"records": {b"k": None}}, bytes(32)),
    ("both domains, claims", 2, 4, 0, {"public:a": {b"1": b"x"}, "b": {b"2": b"y"}}, b"c" * 32),
    ("a chunk ends after it", 300, 256, 1, {"public:a": {b"k": b"v" * 300}}, bytes(32)),
    ("a chunk ends before it", 2**31 - 1, 2**40, 2, {"é": {b"b": b"", b"a": None}}, bytes(32)),
]


def good_entries() -> list[dict[str, object]]:
    made = []
    for name, view, seqno, flags, changes, claims in CASES:
        entry, leaf = writeset.seal(SECRET, view, seqno, flags, changes, claims)
        made.append(
            {
                "name": name,
                "view": view,
                "seqno": seqno,
                "flags": flags,
                "changes": {
                    table: {
                        key.hex(): None if value is None else value.hex()
                        for key, value in writes.items()
                    }
                    for table, writes in changes.items()
                },
                "claims_digest": claims.hex(),
                "commit_evidence": writeset.evidence(SECRET, view, seqno),
                "entry": entry.hex(),
                "leaf": leaf.hex(),
            }
        )
    return made


def bad_entries() -> list[dict[str, str]]:
    entry, _ = writeset.seal(SECRET, 2, 1, 0, {"records": {b"k": b"v"}}, bytes(32))
    larger = struct.pack("<Q", 1 | len(entry) << 16)
    defects = [
        ("another version", b"\x02" + entry[1:], "version"),
        ("an unknown flag", b"\x01\x08" + entry[2:], "flags"),
        ("cut in the header", entry[:7], "header"),
        ("cut in the body", entry[:-1], "bytes of an entry"),
        ("size beyond the end", larger + entry[8:], "bytes of an entry"),
        ("public domain beyond the end", entry[:36] + b"\xff" * 8 + entry[44:], "public domain"),
        ("an unknown type", entry[:44] + b"\x09" + entry[45:], "type"),
        ("another seqno in the IV", entry[:24] + b"\x02" + entry[25:], "IV"),
        ("the snapshot bit in the IV", entry[:35] + b"\x80" + entry[36:], "snapshot bit"),
    ]
    return [{"name": name, "entry": data.hex(), "error": error} for name, data, error in defects]


def trees() -> list[dict[str, object]]:
    made = []
    for count, first, seqno in (
        (1, 0, 0),
        (2, 1, 1),
        (6, 0, 3),
        (7, 5, 6),
        (8, 7, 7),
        (21, 13, 14),
    ):
        leaves = [bytes(32), *(sha256(bytes([number])).digest() for number in range(1, count))]
        made.append(
            {
                "leaves": [leaf.hex() for leaf in leaves],
                "root": merkle.root_of(leaves).hex(),
                "seqno": seqno,
                "path": [
                    {"left" if left else "right": sibling.hex()}
                    for left, sibling in merkle.path_of(leaves, seqno)
                ],
                "first": first,
                "serialised": merkle.serialised(leaves, first).hex(),
            }
        )
    return made


def write(name: str, value: object) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")


def main() -> None:
    write(
        "entries.json",
        {"ledger_secret": SECRET.hex(), "good": good_entries(), "bad": bad_entries()},
    )
    write("merkle.json", trees())


if __name__ == "__main__":
    main()
