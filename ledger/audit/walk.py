"""The audit itself: every entry of a ledger in order, each given to all checks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ledger.audit.directory import ChunkFile, Directory, open_directory, read_chunk
from ledger.audit.findings import Findings, Place
from ledger.audit.form import FormChecker
from ledger.audit.identity import Identity
from ledger.audit.leaves import LeafLog
from ledger.audit.private import Secrets, check_private
from ledger.audit.reader import Located, entries_of
from ledger.audit.report import FileSummary, Report
from ledger.audit.service import ServiceChecker
from ledger.audit.signing import SignatureChecker
from ledger.audit.snapshots import SnapshotFacts, check_snapshots
from ledger.audit.state import SNAPSHOT_EVIDENCE, PublicState, is_signature
from ledger.base.errors import FormatError
from ledger.base.ids import TxId
from ledger.codec.entry import Entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.crypto.certs import Certificate
from ledger.crypto.hashing import sha256
from ledger.crypto.sealing import leaf_of_parsed

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""
_PROGRESS_EVERY = 1 << 16


def audit(
    paths: Sequence[Path],
    *,
    snapshots: Sequence[Path] = (),
    secrets: Mapping[int, bytes] | None = None,
    service: Certificate | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a whole ledger.

    Args:
        paths: Directories (main and read-only) of one ledger, or chunk files.
        snapshots: Directories of its snapshots.
        secrets: First seqno of validity to ledger secret, when private domains and commit
            evidence are to be checked too.
        service: Certificate of the service that must have signed, None when the ledger itself is
            to say which did.
        progress: Called now and then.

    Raises:
        UnavailableError: something cannot be read, or there is no chunk.
        MisuseError: a secret does not have 32 bytes.
    """
    findings = Findings()
    directory = open_directory(paths, findings)
    run = _Run(findings, directory, Secrets(secrets or {}), service)
    run.walk(progress or (lambda _done, _total: None))
    run.finish()
    for place in snapshots:
        run.report.snapshots += check_snapshots(place, run.facts, findings)
    return run.report


def walk(
    directory: Directory, findings: Findings, report: Report, progress: Progress
) -> Iterator[Located]:
    """Yield every entry of a ledger in order, with what is wrong around entries reported.

    Args:
        directory: The chunks.
        findings: Takes gaps, overlaps, and defects of framing.
        report: Takes the summaries of files.
        progress: Called now and then.
    """
    total = directory.size
    done = reported = 0
    expected: int | None = None
    newest_committed = _newest_committed(directory)
    for index, listed in enumerate(directory.chunks):
        is_newest = index == len(directory.chunks) - 1
        read = read_chunk(listed, findings)
        if read is None:
            continue
        chunk, content = read
        if not is_newest and not chunk.name.is_committed:
            _report_open(chunk, findings, is_overtaken=index < newest_committed)
        summary = FileSummary(chunk.path.name, chunk.name.first, 0, 0, chunk.size)
        report.files.append(summary)
        for located in entries_of(chunk, content, findings, is_newest=is_newest):
            summary.entries += 1
            summary.last = located.position
            if located.is_first:
                summary.first = located.position
                _check_contiguous(chunk, located.position, expected, findings)
            yield located
            if done + located.offset - reported > _PROGRESS_EVERY:
                reported = done + located.offset
                progress(reported, total)
        done += listed.size
        if summary.entries:
            expected = summary.first + summary.entries
        else:
            _check_contiguous(chunk, summary.first, expected, findings)
        progress(done, total)


def _check_contiguous(
    chunk: ChunkFile, first: int, expected: int | None, findings: Findings
) -> None:
    place = Place(chunk.path.name)
    if expected is None:
        if first != 1:
            findings.note("ledger-partial", place, f"the ledger at hand begins at seqno {first}")
    elif first != expected:
        what = "a gap" if first > expected else "an overlap"
        findings.error("ledger-gap", place, f"got {what}: a chunk from {first}, want {expected}")


def _newest_committed(directory: Directory) -> int:
    committed = (index for index, chunk in enumerate(directory.chunks) if chunk.name.is_committed)
    return max(committed, default=-1)


def _report_open(chunk: ChunkFile, findings: Findings, *, is_overtaken: bool) -> None:
    """Chunks are committed in order, and CCF's reader refuses a ledger where they were not."""
    place = Place(chunk.path.name)
    if is_overtaken:
        message = "got a chunk that is not committed before one that is, want its committed name"
        findings.error("chunk-overtaken", place, message)
    else:
        findings.note("chunk-open", place, "not committed, and not the newest")


class _Run:
    """One audit under way."""

    def __init__(
        self,
        findings: Findings,
        directory: Directory,
        secrets: Secrets,
        wanted: Certificate | None,
    ) -> None:
        self.report = Report(findings)
        self.facts = SnapshotFacts()
        self._findings = findings
        self._directory = directory
        self._secrets = secrets
        self._form = FormChecker(findings)
        self._state = PublicState()
        self._identity = Identity(findings, self._state, wanted)
        self._service = ServiceChecker(findings, self._state, self._identity)
        if wanted is not None:
            self.facts.services[self._identity.wanted_id] = wanted
        self._leaves = LeafLog(1)
        self._next = 1
        self._signing = self._signature_checker()

    def walk(self, progress: Progress) -> None:
        """Give every entry to all checks."""
        for located in walk(self._directory, self._findings, self.report, progress):
            if located.position != self._next:
                self._state.is_partial = True
                self._leaves = LeafLog(located.position)
                self._signing = self._signature_checker(self._signing)
            self._next = located.position + 1
            self._one(located)

    def finish(self) -> None:
        """Add what only the end shows and fill in the totals."""
        self._form.finish()
        self._signing.finish()
        self._identity.finish()
        report, totals = self.report, self._signing.totals
        report.views = self._form.views
        report.signatures = totals.count
        report.node_signatures = totals.node_signatures
        report.cose_signatures = totals.cose_signatures
        report.verified = totals.verified
        report.root = totals.root.hex()
        covered = totals.verified.seqno if totals.verified is not None else 0
        report.unsigned = min(report.entries, self._next - 1 - covered)
        if report.unsigned:
            self._findings.note(
                "unsigned-tail",
                Place(),
                f"got {report.unsigned} entries after the last verified signature: "
                "nothing shows whether they were changed",
            )
        if report.entries and not report.signatures:
            message = "got no signature at all: nothing shows whether anything was changed"
            self._findings.warning("ledger-unsigned", Place(), message)
        service = self._state.service
        if service is not None:
            report.service_status, report.service_key_id = service.status, service.key_id
        report.signed_by, report.service_wanted = self._identity.signed_by, self._identity.wanted_id

    def _signature_checker(self, before: SignatureChecker | None = None) -> SignatureChecker:
        checker = SignatureChecker(
            self._findings, self._state, self._service, self._identity, self._leaves
        )
        if before is not None:
            checker.totals, checker.signers = before.totals, before.signers
        return checker

    def _one(self, located: Located) -> None:
        entry = located.entry
        report = self.report
        tx_id = TxId(entry.view, located.position)
        report.first = report.first or tx_id
        report.last = tx_id
        report.entries += 1
        changes = self._form.check(located)
        report.opened += check_private(located, self._secrets, self._findings)
        signs = is_signature(changes)
        if signs:
            self._signing.check(located, changes)
        self._state.apply(changes, entry.view)
        self._service.check(located, changes)
        leaf = _leaf(entry)
        self._leaves.append(leaf)
        self._remember(located.position, changes, leaf, signs=signs)

    def _remember(self, seqno: int, changes: Changes, leaf: bytes, *, signs: bool) -> None:
        """Keep what the check of snapshots needs: signature leaves, evidence, services."""
        if signs:
            self.facts.signature_leaves[seqno] = leaf
            self.facts.signed_roots.add(self._signing.totals.root)
        evidence = changes.get(SNAPSHOT_EVIDENCE, {}).get(SINGLETON_KEY)
        if evidence is not None:
            self.facts.evidence[seqno] = (evidence, leaf)
        if self._state.service is not None:
            self.facts.services[self._state.service.key_id] = self._state.service.certificate


def _leaf(entry: Entry) -> bytes:
    """Return the leaf; a snapshot has none, and was reported, so anything that matches nothing."""
    try:
        return leaf_of_parsed(entry)
    except FormatError:
        return sha256(entry.data)
