"""Checks of one entry by itself and against the one before: header, IV, order, write set, flags.

CCF's public reader skips most of these: a ledger with such a defect passes it.
"""

from dataclasses import dataclass, field

from ledger.audit.findings import Findings, Place
from ledger.audit.reader import Located
from ledger.audit.state import is_signature
from ledger.base.errors import FormatError
from ledger.codec import writeset
from ledger.codec.entry import (
    FLAG_CHUNK_AFTER,
    FLAG_CHUNK_BEFORE,
    FLAGS_KNOWN,
    VERSION,
    EntryType,
)
from ledger.codec.tables import is_public
from ledger.codec.writeset import Changes
from ledger.tables.internal import TREE


@dataclass(slots=True)
class FormChecker:
    """Walks along the entries in order.

    Attributes:
        findings: Takes what is found.
        view: View of the entry before; 0 at the start.
        views: View and the seqno at which it began, in order.
        old_types: Seqnos of entries whose type is no longer written, by type: first, last, count.
    """

    findings: Findings
    view: int = 0
    views: list[tuple[int, int]] = field(default_factory=list)
    old_types: dict[EntryType, tuple[int, int, int]] = field(default_factory=dict)
    _last: "_Last | None" = None

    def check(self, located: Located) -> Changes:
        """Check one entry and return its public changes, as far as they parse."""
        place = located.place
        self._check_header(located, place)
        changes = self._check_public_maps(located, place)
        self._check_order(located, place, is_signature(changes))
        self._check_boundary(located, place, is_signature(changes))
        return changes

    def finish(self) -> None:
        """Check what only the end of the ledger shows."""
        last = self._last
        if last is not None and (last.located.file.name.is_committed):
            self._check_chunk_end(last, followed_by_flag=False)
        for entry_type, (first, newest, count) in self.old_types.items():
            self.findings.note(
                "entry-type-old",
                Place(),
                f"got {count} entries of type {int(entry_type)} in seqnos {first} to {newest}, "
                "which are history: readable, never written now",
            )

    def _check_header(self, located: Located, place: Place) -> None:
        entry = located.entry
        findings = self.findings
        if entry.version != VERSION:
            findings.error("entry-version", place, f"got version {entry.version}, want {VERSION}")
        if entry.flags & ~FLAGS_KNOWN:
            findings.error("entry-flags", place, f"got flags {entry.flags:#04x}, want 0 to 3")
        if entry.iv_seqno != located.position:
            findings.error(
                "iv-seqno", place, f"got seqno {entry.iv_seqno} in the IV, want {located.position}"
            )
        if entry.is_snapshot_iv:
            findings.error("iv-snapshot-bit", place, "got the snapshot bit in a transaction's IV")
        if entry.entry_type is EntryType.SNAPSHOT:
            findings.error("entry-type", place, "got a snapshot in a chunk")
        elif entry.entry_type is not EntryType.WITH_EVIDENCE_AND_CLAIMS:
            first, _, count = self.old_types.get(entry.entry_type, (located.position, 0, 0))
            self.old_types[entry.entry_type] = (first, located.position, count + 1)
        if entry.header.reserved:
            message = f"got {entry.header.reserved} in the reserved word, want 0"
            if entry.entry_type is EntryType.WITH_EVIDENCE_AND_CLAIMS:
                findings.error("reserved-word", place, message)
            else:
                findings.note("reserved-word", place, message)

    def _check_public_maps(self, located: Located, place: Place) -> Changes:
        entry = located.entry
        if entry.entry_type is EntryType.SNAPSHOT:
            return {}
        try:
            changes = writeset.decode(entry.public_maps, strict=False)
        except FormatError as error:
            self.findings.error("write-set", place, str(error))
            return {}
        check_canonical(self.findings, place, entry.public_maps)
        for name in changes:
            if not is_public(name):
                self.findings.error(
                    "private-map-leaked", place, f"got private map {name!r} in the public domain"
                )
        if TREE.name in changes and not is_signature(changes):
            self.findings.error("tree-alone", place, "got a tree value without a signature")
        if not changes and not entry.private:
            self.findings.error("entry-empty", place, "got a transaction without any map")
        return changes

    def _check_order(self, located: Located, place: Place, signs: bool) -> None:
        entry = located.entry
        findings = self.findings
        if entry.seqno != located.position:
            message = f"got seqno {entry.seqno} in the public domain, want {located.position}"
            findings.error("seqno-order", place, message)
        if entry.view < self.view:
            findings.error("view-order", place, f"got view {entry.view} after {self.view}")
        elif entry.view == 0:
            findings.error("view-order", place, "got view 0, want at least 1")
        elif entry.view > self.view:
            if self.view and not signs and not entry.flags & FLAG_CHUNK_BEFORE:
                findings.warning(
                    "view-begin",
                    place,
                    f"view {entry.view} begins with neither a signature nor a recovery",
                )
            self.view = entry.view
            self.views.append((entry.view, located.position))

    def _check_boundary(self, located: Located, place: Place, signs: bool) -> None:
        """Compare the chunk flags with the boundaries of the files."""
        flags = located.entry.flags
        findings = self.findings
        if flags & FLAG_CHUNK_AFTER and not signs:
            findings.error("chunk-flags", place, "got flag 0x01 on an entry that is no signature")
        if flags & FLAG_CHUNK_AFTER and not located.is_last:
            findings.error("chunk-flags", place, "got flag 0x01 on an entry within a chunk")
        if flags & FLAG_CHUNK_BEFORE and not located.is_first:
            findings.error("chunk-flags", place, "got flag 0x02 on an entry within a chunk")
        if located.is_first and self._last is not None:
            self._check_chunk_end(self._last, followed_by_flag=bool(flags & FLAG_CHUNK_BEFORE))
        self._last = _Last(located, place, signs) if located.is_last else None

    def _check_chunk_end(self, last: "_Last", *, followed_by_flag: bool) -> None:
        if followed_by_flag:
            return
        if not last.signs:
            message = "got a chunk that ends in an entry that is no signature"
            self.findings.error("chunk-end", last.place, message)
        elif not last.located.entry.flags & FLAG_CHUNK_AFTER:
            self.findings.note(
                "chunk-end-unflagged",
                last.place,
                "got a chunk end without flag 0x01: cut by a tool, or written by an old version",
            )


@dataclass(frozen=True, slots=True)
class _Last:
    """The last entry of a chunk."""

    located: Located
    place: Place
    signs: bool


def check_canonical(findings: Findings, place: Place, maps: bytes) -> None:
    """Report in what the maps of a domain that parses differ from the canonical form."""
    for deviation in writeset.deviations(maps):
        findings.error("write-set-form", place, deviation)
