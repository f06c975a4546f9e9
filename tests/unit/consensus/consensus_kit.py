"""Nodes in a given state, built from messages alone.

A log is written as words, one an entry: its view and its role, as in ``2c 2s 2 2s 3``. ``c`` sets
the configuration of :data:`MEMBERS`, ``s`` signs, ``x`` marks ``c`` as removable, nothing is plain.
"""

from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from ledger.base.ids import NodeId
from ledger.consensus.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Election,
    Message,
    RequestVoteResponse,
)
from ledger.consensus.raft import Raft
from ledger.consensus.ready import Ready
from ledger.consensus.types import Entry, Proposed, Settings
from ledger.testing import scenario_payload as payload

A, B, C, D, E = (NodeId(name) for name in "abcde")
MEMBERS = frozenset({A, B, C})
QUIET = Settings(
    message_timeout_ms=10,
    election_timeout_ms=100,
    pre_vote=False,
    eager_send=False,
    resend_on_nack=False,
    track_persistence=False,
    max_uncommitted=0,
    inflight_bytes_max=0,
)
"""Every option off; tests turn on what they are about."""

Kind = TypeVar("Kind", bound=Message)


def no_jitter(limit: int) -> int:
    del limit
    return 0


def new_node(name: NodeId = B, **options: bool | int | None) -> Raft:
    """Return a node that knows nothing and ticks."""
    settings = replace(QUIET, **options)  # type: ignore[arg-type]  # names are checked by replace
    node = Raft(name, settings, payload.apply, no_jitter)
    node.start_ticking()
    return node


def log_of(words: str, members: frozenset[NodeId] = MEMBERS) -> list[Entry]:
    """Return the entries that words stand for."""
    entries = []
    for seqno, word in enumerate(words.split(), start=1):
        role = word[-1] if word[-1].isalpha() else ""
        view = int(word.removesuffix(role))
        entries.append(Entry(view, seqno, _proposed(seqno, role, members).data))
    return entries


def _proposed(seqno: int, role: str, members: frozenset[NodeId]) -> Proposed:
    match role:
        case "c":
            return payload.configuration(seqno, members)
        case "s":
            return payload.signature(seqno)
        case "x":
            return payload.retired_committed(seqno, frozenset({C}))
        case _:
            return payload.raw(seqno, "plain")


def append_entries(
    words: str,
    first: int,
    last: int,
    *,
    view: int | None = None,
    commit: int = 0,
    members: frozenset[NodeId] = MEMBERS,
) -> AppendEntries:
    """Return the message by which a primary whose log is ``words`` sends ``first .. last``."""
    log = log_of(words, members)
    own_view = log[-1].view if view is None else view

    def view_at(seqno: int) -> int:
        return log[seqno - 1].view if seqno else 0

    return AppendEntries(
        own_view,
        view_at(first - 1),
        first - 1,
        last,
        view_at(last),
        commit,
        tuple(log[first - 1 : last]),
    )


def feed(
    node: Raft,
    words: str,
    *,
    view: int | None = None,
    commit: int = 0,
    sender: NodeId = A,
    members: frozenset[NodeId] = MEMBERS,
) -> Raft:
    """Bring a node to a log, by messages of one view each; drains what it answers."""
    log = log_of(words, members)
    first = 1
    for run_view, run in groupby(log, key=lambda entry: entry.view):
        last = first + len(list(run)) - 1
        is_end = last == len(log)
        own_view = view if is_end and view is not None else run_view
        bound = commit if is_end else min(commit, last)
        node.step(
            sender,
            append_entries(words, first, last, view=own_view, commit=bound, members=members),
        )
        first = last + 1
    assert node.last == len(log), f"fed {words!r}, got to {node.last}"
    node.ready()
    return node


def primary(
    words: str = "2c 2s", *, name: NodeId = A, commit: int = 2, **options: bool | int | None
) -> Raft:
    """Return a primary elected, by B and C, in the view after that of its log; drained."""
    node = feed(new_node(name, **options), words, commit=commit, sender=D)
    node.tick(100)
    if node.status().leadership_state == "PreVoteCandidate":
        grant(node, "pre_vote")
    grant(node, "regular")
    assert node.is_primary, node.status()
    node.ready()
    return node


def grant(node: Raft, election: Election) -> None:
    """Let B and C (or A) vote for a node."""
    for voter in sorted(MEMBERS - {node.node_id}):
        node.step(voter, RequestVoteResponse(node.view, granted=True, election=election))


def sign(node: Raft) -> None:
    """Let a primary append a signature."""
    assert node.replicate([payload.signature(node.last + 1)], node.view)


def write(node: Raft, count: int = 1, text: str = "plain") -> None:
    """Let a primary append plain entries."""
    first = node.last + 1
    assert node.replicate([payload.raw(first + n, text) for n in range(count)], node.view)


def accept(node: Raft, peer: NodeId, seqno: int, view: int | None = None) -> None:
    """Let a peer accept up to a seqno."""
    own = node.view if view is None else view
    node.step(peer, AppendEntriesResponse(own, seqno, success=True))


def refuse(node: Raft, peer: NodeId, seqno: int, view: int | None = None) -> None:
    """Let a peer refuse, with an estimate."""
    own = node.view if view is None else view
    node.step(peer, AppendEntriesResponse(own, seqno, success=False))


def messages(ready: Ready, kind: type[Kind], to: NodeId | None = None) -> list[Kind]:
    """Return the messages of one kind, to one node or to all."""
    return [
        message
        for destination, message in ready.messages
        if isinstance(message, kind) and to in (None, destination)
    ]


def only(ready: Ready, kind: type[Kind]) -> Kind:
    """Return the only message there is, which is of this kind."""
    (found,) = [message for _, message in ready.messages]
    assert isinstance(found, kind), found
    return found


def views(node: Raft) -> list[int]:
    """Return the views of a node's entries."""
    return [node.view_at(seqno) for seqno in range(1, node.last + 1)]
