"""Everything a node knows, in one place; the rules that change it are in the other modules."""

from ledger.base.ids import NodeId
from ledger.consensus.committable import Committable
from ledger.consensus.configurations import Configurations
from ledger.consensus.log import Log
from ledger.consensus.messages import AppendEntries, AppendEntriesResponse, Message
from ledger.consensus.progress import Peers
from ledger.consensus.ready import Outbox
from ledger.consensus.retirement import Retirement
from ledger.consensus.types import ApplyEntry, Jitter, Role, Settings
from ledger.consensus.view_history import ViewHistory


class HeldAck:
    """An acknowledgement that waits for the disk.

    Attributes:
        needs: Seqno of the signature that must be on disk first.
        to: Whom it goes to.
        response: The acknowledgement.
    """

    __slots__ = ("needs", "response", "to")

    def __init__(self, needs: int, to: NodeId, response: AppendEntriesResponse) -> None:
        self.needs = needs
        self.to = to
        self.response = response


class State:
    """Variables of one node.

    Attributes:
        node_id: Our id.
        settings: Timing and options.
        apply_entry: Applies an entry on a backup.
        jitter: The only source of chance.
        role: Our role.
        view: Current view. Invariant: never falls.
        log: Entries held.
        history: Start of each view in the log.
        commit: Highest seqno known committed. Invariant: never falls; 0 or a signature.
        committable: Signatures above ``commit``.
        voted_for: Who has our vote in this view, ourselves included.
        primary_id: The primary of this view, if known.
        votes: Who granted us what we currently ask for.
        followed_view: The view that we last began to follow in.
        is_new_follower: One roll-back of a conflicting signed suffix is still allowed.
        should_sign: We are primary and have not written a signature in this view.
        elapsed: Milliseconds since the timer was restarted.
        ticking: Whether the timer may make us stand for election.
        configurations: Active sets of nodes.
        retirement: Our own leaving.
        retired_committed: Uncommitted entries that mark nodes as removable: seqno and ids.
        peers: Progress of the others.
        persisted: Highest seqno known to be on our disk.
        held_acks: Acknowledgements that wait for ``persisted``.
        unsent_bytes: Appended by us as primary since the last sending for size.
        newest_append: The AppendEntries built last: peers at the same point share it.
        outbox: Outputs not yet drained.
    """

    __slots__ = (
        "apply_entry",
        "commit",
        "committable",
        "configurations",
        "elapsed",
        "followed_view",
        "held_acks",
        "history",
        "is_new_follower",
        "jitter",
        "log",
        "newest_append",
        "node_id",
        "outbox",
        "peers",
        "persisted",
        "primary_id",
        "retired_committed",
        "retirement",
        "role",
        "settings",
        "should_sign",
        "ticking",
        "unsent_bytes",
        "view",
        "voted_for",
        "votes",
    )

    def __init__(
        self, node_id: NodeId, settings: Settings, apply_entry: ApplyEntry, jitter: Jitter
    ) -> None:
        self.node_id = node_id
        self.settings = settings
        self.apply_entry = apply_entry
        self.jitter = jitter
        self.role = Role.NONE
        self.view = 0
        self.log = Log()
        self.history = ViewHistory()
        self.commit = 0
        self.committable = Committable()
        self.voted_for: NodeId | None = None
        self.primary_id: NodeId | None = None
        self.votes: set[NodeId] = set()
        self.followed_view = 0
        self.is_new_follower = False
        self.should_sign = False
        self.elapsed = 0
        self.ticking = False
        self.configurations = Configurations(node_id)
        self.retirement = Retirement()
        self.retired_committed: list[tuple[int, frozenset[NodeId]]] = []
        self.peers = Peers()
        self.persisted = 0
        self.held_acks: list[HeldAck] = []
        self.unsent_bytes = 0
        self.newest_append: AppendEntries | None = None
        self.outbox = Outbox()

    @property
    def last_committable(self) -> int:
        """Highest uncommitted signature held, or the commit seqno if there is none."""
        return self.committable.newest or self.commit

    def view_at(self, seqno: int) -> int:
        """Return the view of the entry at ``seqno``, 0 if we do not have one."""
        if seqno > self.log.last:
            return 0
        return self.history.view_at(seqno)

    def send(self, to: NodeId, message: Message) -> None:
        """Queue a message."""
        assert to != self.node_id, "a node sends nothing to itself"
        self.outbox.messages.append((to, message))
