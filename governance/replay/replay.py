"""The replay itself: entries in, the first difference out.

Example::

    replay = Replay(run_script)
    for entry in ledger:
        if replay.feed(recorded(entry)) is not None:
            break
    print(replay.report.difference or "the same")
"""

from dataclasses import replace

from governance.replay.offline import check_constitution
from governance.replay.past import PastLedger
from governance.replay.recorded import RecordedEntry
from governance.replay.reenact import Stage
from governance.replay.report import Difference, ReplayReport
from governance.replay.scripts import RunScript
from governance.replay.signatures import judge_acknowledgement, judge_signed
from governance.replay.signed_message import SignedMessage, info_of, proposal_of, signed_message
from governance.replay.unsigned import judge_unsigned
from governance.replay.verdict import Verdict
from governance.scripting import DEFAULT_LIMITS
from ledger.base.errors import FormatError, MisuseError
from ledger.base.ids import FIRST_SEQNO
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.tables.members import PROPOSALS_INFO
from ledger.tables.service import CONSTITUTION


class Replay:
    """One replay of one ledger, from its first entry on.

    Args:
        run: Runs a script, in a process of its own where the scripts are of others.

    Attributes:
        report: Complete once the last entry was fed, or a difference was found.
    """

    def __init__(self, run: RunScript) -> None:
        self.report = ReplayReport()
        self._run = run
        self._past = PastLedger()
        self._stage = Stage(self._past, run)

    def feed(self, entry: RecordedEntry) -> Difference | None:
        """Judge the next entry, report on it, and take it over.

        Args:
            entry: The entry after the one before, the first has seqno 1.

        Returns:
            The difference; nothing more can be fed after it.

        Raises:
            MisuseError: another entry is next.
        """
        seqno = entry.tx_id.seqno
        if seqno != self._past.newest.seqno + 1:
            raise MisuseError(
                f"got entry {seqno}, want {self._past.newest.seqno + 1}: a replay needs every "
                "entry from the first on"
            )
        self.report.entries += 1
        if seqno == FIRST_SEQNO:
            self._learn_language(entry)
        verdict = self.judge(entry)
        if verdict is not None:
            self._count(entry, verdict)
        self._past.take(entry)
        return self.report.difference

    def judge(self, entry: RecordedEntry) -> Verdict | None:
        """Judge an entry as the next one, and leave everything as it is.

        Returns:
            None when it is nothing to governance.
        """
        if not entry.changes:
            return None
        try:
            message = signed_message(entry.changes)
        except FormatError as error:
            return Verdict("signed message", str(error))
        if message is not None:
            return self._judge_message(entry, message)
        if self.report.scripts_replayed:
            before = self._past.begin_read_only()
            return judge_unsigned(entry.tx_id.seqno, entry.changes, before)
        return judge_acknowledgement(entry.changes, self._past)

    def _judge_message(self, entry: RecordedEntry, message: SignedMessage) -> Verdict:
        proposal_id = proposal_of(message, entry.changes)
        if entry.has_private or entry.has_claims:
            problem = "the entry also holds private maps or claims, and no decision does"
            verdict = Verdict(message.kind.value, problem)
        elif self.report.scripts_replayed:
            verdict = self._stage.reenact(message, entry.changes, proposal_id)
        else:
            verdict = judge_signed(message, entry.changes, self._past, proposal_id)
        return replace(verdict, member=message.request.member, proposal_id=proposal_id)

    def _count(self, entry: RecordedEntry, verdict: Verdict) -> None:
        """Put an entry into the report."""
        counted = self.report.unsigned if verdict.member is None else self.report.messages
        counted[verdict.what] += 1
        self._note_states(entry.changes)
        for taken in verdict.taken:
            self.report.warn(entry.tx_id, taken)
        if verdict.problem is not None:
            row = verdict.row
            self.report.difference = Difference(
                tx_id=entry.tx_id,
                what=verdict.what,
                message=verdict.problem,
                member=verdict.member,
                proposal_id=verdict.proposal_id,
                table=None if row is None else row.table,
                key=None if row is None else row.key_text,
            )

    def _note_states(self, changes: Changes) -> None:
        for key, value in changes.get(PROPOSALS_INFO.name, {}).items():
            proposal_id = key.decode("utf-8", "replace")
            info = info_of(proposal_id, changes)
            if value is not None and info is not None:
                self.report.proposals[proposal_id] = info.state.value

    def _learn_language(self, entry: RecordedEntry) -> None:
        """Find out whether the first constitution is one whose scripts can be run again."""
        value = entry.changes.get(CONSTITUTION.name, {}).get(SINGLETON_KEY)
        problem: str | None = "the first entry holds no constitution"
        if value is not None:
            try:
                source = CONSTITUTION.value.decode(value)
            except FormatError as error:
                problem = str(error)
            else:
                problem = check_constitution(source, DEFAULT_LIMITS, self._run)
        if problem is not None:
            self.report.scripts_replayed = False
            self.report.warn(
                entry.tx_id,
                f"scripts cannot be replayed, only signatures, members' status and proposal IDs "
                f"are checked: {problem[:200]}",
            )
