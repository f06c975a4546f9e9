"""What a scenario did, as text: one line per message and per node that changed."""

from collections.abc import Iterable

from ledger.consensus.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Message,
    ProposeRequestVote,
    RequestVote,
    RequestVoteResponse,
)
from ledger.consensus.raft import Raft
from ledger.testing.scenario_language import Command


def describe_message(message: Message) -> str:
    """Return a message as text, seqnos as ``view.seqno``."""
    match message:
        case AppendEntries():
            begin = f"{message.prev_view}.{message.prev_seqno}"
            end = f"{message.entries_view}.{message.last_seqno}"
            return f"AE(t{message.view}, ({begin}, {end}], c{message.primary_commit})"
        case AppendEntriesResponse():
            verdict = "ACK" if message.success else "NACK"
            return f"AER({verdict}, t{message.view}, i{message.last_seqno})"
        case RequestVote():
            newest = f"{message.last_committable_view}.{message.last_committable_seqno}"
            return f"{_prefix(message.election)}RV(t{message.view}, {newest})"
        case RequestVoteResponse():
            verdict = "granted" if message.granted else "denied"
            return f"{_prefix(message.election)}RVR(t{message.view}, {verdict})"
        case ProposeRequestVote():
            return f"PRV(t{message.view})"


def describe_node(node: Raft) -> str:
    """Return a node's role, membership, position and pending configurations as text."""
    status = node.status()
    membership = status.membership_state
    if status.retirement_phase is not None:
        membership = f"{membership}/{status.retirement_phase}"
    sets = " ".join(f"{seqno}:{{{','.join(sorted(members))}}}" for seqno, members in status.configs)
    return (
        f"{status.leadership_state} {membership} "
        f"@{status.current_view}.{status.last_seqno} (committed {status.commit_seqno}) {sets}"
    ).rstrip()


def describe_log(node: Raft) -> str:
    """Return the ids of a node's entries, the committed one in brackets."""
    ids = []
    for seqno in range(1, node.last + 1):
        text = f"{node.view_at(seqno)}.{seqno}"
        ids.append(f"[{text}]" if seqno == node.commit else text)
    return ", ".join(ids)


class Trace:
    """Collects lines: each command, indented under it what it did.

    Attributes:
        lines: The trace so far.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._shown: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The trace so far, one line each."""
        return "".join(line + "\n" for line in self.lines)

    def begin(self, command: Command) -> None:
        """Start the part of a command."""
        self.lines.append(f"> {command.text}")

    def note(self, line: str) -> None:
        """Add a line to the part of the current command."""
        self.lines.append(f"    {line}")

    def end(self, nodes: Iterable[Raft]) -> None:
        """End the part of a command with the nodes that it changed."""
        for node in nodes:
            text = describe_node(node)
            if self._shown.get(node.node_id) != text:
                self._shown[node.node_id] = text
                self.note(f"{node.node_id}: {text}")


def _prefix(election: str) -> str:
    return "Pre" if election == "pre_vote" else ""
