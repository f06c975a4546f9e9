"""One-line mistakes in the rules of consensus, each of which the tests should notice.

A mutant is an exact replacement in one file of ``ledger/consensus``; its text must be there once.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        name: Names it in reports.
        module: File in ``ledger/consensus`` without its ending.
        old: Text to replace; it occurs once.
        new: What replaces it.
        mistake: What the mistake is, in a sentence.
    """

    name: str
    module: str
    old: str
    new: str
    mistake: str


MUTANTS = (
    Mutant(
        "B1-union-election",
        "quorum",
        "    for nodes in configurations:\n        votes",
        "    for nodes in [frozenset().union(*configurations)]:\n        votes",
        "An election is won by a quorum of the union of the configurations.",
    ),
    Mutant(
        "B2-old-view-commit",
        "commitment",
        "if candidate and state.view_at(candidate) == state.view:",
        "if candidate:",
        "Signatures of older views commit by being counted.",
    ),
    Mutant(
        "B2-first-fix-empties-committable",
        "elections",
        "    state.primary_id = state.node_id\n    state.should_sign",
        "    state.primary_id = state.node_id\n    state.committable.drop_up_to(state.log.last)\n"
        "    state.should_sign",
        "A new primary forgets its signatures of older views.",
    ),
    Mutant(
        "B3-nack-lowers-match",
        "progress",
        "        self.sent = max(min(estimate, self.sent), self.match)\n",
        "        self.match = min(estimate, self.match)\n"
        "        self.sent = max(min(estimate, self.sent), self.match)\n",
        "A refusal lowers what was acknowledged.",
    ),
    Mutant(
        "B3-nack-raises-match-and-commits",
        "replication",
        "        peer.refused(estimate)\n    elif",
        "        peer.refused(estimate)\n        peer.match = max(peer.match, estimate)\n"
        "        advance_commit(state)\n    elif",
        "The estimate in a refusal counts as an acknowledgement.",
    ),
    Mutant(
        "B4-truncate-on-early-entries",
        "backup",
        "    if first_new <= min(message.last_seqno, state.log.last):",
        "    if state.is_new_follower and state.log.last > message.last_seqno:\n"
        "        rollback(state, message.last_seqno)\n"
        "    if first_new <= min(message.last_seqno, state.log.last):",
        "A message that ends before our last entry truncates the log without a conflict.",
    ),
    Mutant(
        "B5-ack-reports-last",
        "backup",
        "response = AppendEntriesResponse(state.view, message.last_seqno, success=True)",
        "response = AppendEntriesResponse(state.view, state.log.last, success=True)",
        "An acknowledgement names our last entry, not the end of the message.",
    ),
    Mutant(
        "B6-completed-does-not-vote",
        "elections",
        "    is_regular = request.election",
        "    if state.retirement.phase is not None and state.retirement.phase == 'Completed':\n"
        "        return\n    is_regular = request.election",
        "A node whose retirement is committed no longer votes.",
    ),
    Mutant(
        "B6-completed-stops-helping",
        "raft",
        "        state = self._state\n        match message:",
        "        state = self._state\n        if state.retirement.phase == 'Completed'"
        " and not self.is_primary:\n"
        "            return\n        match message:",
        "A node whose retirement is committed answers nothing any more.",
    ),
    Mutant(
        "B7-unbounded-backup-commit",
        "backup",
        "    bound = min(message.primary_commit, message.last_seqno)",
        "    bound = message.primary_commit",
        "A backup commits entries of its own that the message did not verify.",
    ),
    Mutant(
        "vote-on-last",
        "elections",
        "    own = state.last_committable\n    granted",
        "    own = state.log.last\n    granted",
        "A voter compares its last entry, signed or not.",
    ),
    Mutant(
        "ask-with-last",
        "elections",
        "    own = state.last_committable\n    request",
        "    own = state.log.last\n    request",
        "A candidate boasts with unsigned entries.",
    ),
    Mutant(
        "seqno-before-view",
        "elections",
        "    granted = (request.last_committable_view, request.last_committable_seqno) >= (\n"
        "        state.view_at(own),\n        own,\n    )",
        "    granted = (request.last_committable_seqno, request.last_committable_view) >= (\n"
        "        own,\n        state.view_at(own),\n    )",
        "A voter compares seqnos before views.",
    ),
    Mutant(
        "vote-without-log-check",
        "elections",
        "    granted = (request.last_committable_view, request.last_committable_seqno) >= (",
        "    granted = (1 << 60, request.last_committable_seqno) >= (",
        "A voter ignores the candidate's log.",
    ),
    Mutant(
        "lose-signed-entries-on-new-view",
        "roles",
        "        rollback(state, state.last_committable)\n        state.followed_view",
        "        rollback(state, state.commit)\n        state.followed_view",
        "A new backup goes back to its commit and loses signed entries.",
    ),
    Mutant(
        "keep-unsigned-on-new-view",
        "roles",
        "        rollback(state, state.last_committable)\n        state.followed_view",
        "        state.followed_view",
        "A new backup keeps its unsigned entries.",
    ),
    Mutant(
        "primary-keeps-unsigned",
        "elections",
        "        rollback(state, state.last_committable)\n",
        "        pass\n",
        "A new primary keeps unsigned entries of the primary before it.",
    ),
    Mutant(
        "keep-rolled-back-configuration",
        "roles",
        "    state.configurations.rollback(seqno)\n",
        "",
        "A configuration stays active after its entry is rolled back.",
    ),
    Mutant(
        "keep-rolled-back-retirement",
        "roles",
        "    state.retirement.rollback(seqno)\n",
        "",
        "A retirement stays after its entry is rolled back.",
    ),
    Mutant(
        "keep-rolled-back-signatures",
        "roles",
        "    state.committable.drop_above(seqno)\n",
        "",
        "Signatures stay noted after they are rolled back.",
    ),
    Mutant(
        "keep-rolled-back-views",
        "roles",
        "    state.history.rollback(seqno)\n",
        "",
        "The view history keeps views whose entries are rolled back.",
    ),
    Mutant(
        "rollback-below-commit",
        "roles",
        "    if seqno < state.commit or seqno >= state.log.last:",
        "    if seqno >= state.log.last:",
        "A roll-back below commit is carried out.",
    ),
    Mutant(
        "count-acks-of-older-views",
        "replication",
        "    if response.view < state.view or response.last_seqno < peer.match:",
        "    if response.last_seqno < peer.match or response.last_seqno > state.log.last:",
        "Acknowledgements of an earlier view are counted.",
    ),
    Mutant(
        "late-ack-lowers-match",
        "replication",
        "    if response.view < state.view or response.last_seqno < peer.match:\n        return\n",
        "    if response.view < state.view:\n        return\n"
        "    peer.match = min(peer.match, response.last_seqno)\n",
        "A late acknowledgement lowers what was acknowledged.",
    ),
    Mutant(
        "count-votes-of-older-views",
        "elections",
        "    elif response.view == state.view and response.granted:",
        "    elif response.granted:",
        "Votes of an earlier view are counted.",
    ),
    Mutant(
        "count-denied-votes",
        "elections",
        "    elif response.view == state.view and response.granted:",
        "    elif response.view == state.view:",
        "A denied vote is counted.",
    ),
    Mutant(
        "pre-vote-counts-as-vote",
        "elections",
        "    if ASKS_FOR.get(state.role) != response.election or sender not in state.peers:",
        "    if state.role not in ASKS_FOR or sender not in state.peers:",
        "A granted pre-vote is counted as a vote.",
    ),
    Mutant(
        "vote-twice",
        "elections",
        "state.voted_for not in (None, sender)",
        "False",
        "A voter votes for several candidates of a view.",
    ),
    Mutant(
        "vote-despite-primary",
        "elections",
        "    if is_regular and (state.primary_id is not None or state.voted_for",
        "    if is_regular and (state.voted_for",
        "A voter votes although it knows a primary of the view.",
    ),
    Mutant(
        "vote-not-remembered",
        "elections",
        "        state.voted_for = sender\n",
        "",
        "A voter forgets whom it voted for.",
    ),
    Mutant(
        "vote-forgotten-in-the-same-view",
        "roles",
        "    if view > state.view:\n        state.view = view\n        state.voted_for = None\n",
        "    state.view = view\n    state.voted_for = None\n",
        "A candidate that finds a primary of its view forgets its vote in that view.",
    ),
    Mutant(
        "vote-kept-across-views",
        "roles",
        "        state.view = view\n        state.voted_for = None\n",
        "        state.view = view\n",
        "A vote of an earlier view binds in a later one.",
    ),
    Mutant(
        "pre-vote-takes-the-vote",
        "elections",
        "    if granted and is_regular:",
        "    if granted:",
        "Granting a pre-vote uses the vote up.",
    ),
    Mutant(
        "pre-vote-raises-view",
        "elections",
        "    change_role(state, PRE_VOTE_CANDIDATE)\n",
        "    change_role(state, PRE_VOTE_CANDIDATE)\n    state.view += 1\n",
        "A node that only asks for pre-votes raises its view.",
    ),
    Mutant(
        "no-own-vote-noted",
        "elections",
        "    state.voted_for = state.node_id\n",
        "    state.voted_for = None\n",
        "A candidate may vote for another in its own view.",
    ),
    Mutant(
        "votes-not-reset",
        "elections",
        "    state.votes.clear()\n",
        "",
        "Votes of an earlier round are kept.",
    ),
    Mutant(
        "commit-in-newest-configuration-only",
        "commitment",
        "committable_seqno(node_sets, acked)",
        "committable_seqno(node_sets[-1:], acked)",
        "Only the newest configuration counts for commit.",
    ),
    Mutant(
        "commit-in-oldest-configuration-only",
        "commitment",
        "committable_seqno(node_sets, acked)",
        "committable_seqno(node_sets[:1], acked)",
        "Only the oldest configuration counts for commit.",
    ),
    Mutant(
        "elect-in-newest-configuration-only",
        "elections",
        "    if not has_quorum(state.configurations.node_sets, state.votes):",
        "    if not has_quorum(state.configurations.node_sets[-1:], state.votes):",
        "Only the newest configuration counts in an election.",
    ),
    Mutant(
        "elect-in-oldest-configuration-only",
        "elections",
        "    if not has_quorum(state.configurations.node_sets, state.votes):",
        "    if not has_quorum(state.configurations.node_sets[:1], state.votes):",
        "Only the oldest configuration counts in an election.",
    ),
    Mutant(
        "commit-at-a-minority",
        "quorum",
        "    return seqnos[(len(seqnos) - 1) // 2]",
        "    return seqnos[len(seqnos) // 2]",
        "With an even number of nodes, half of them are enough to commit.",
    ),
    Mutant(
        "half-is-a-quorum",
        "quorum",
        "    return count // 2 + 1",
        "    return (count + 1) // 2",
        "With an even number of nodes, half of them are enough to be elected.",
    ),
    Mutant(
        "drop-configurations-too-early",
        "configurations",
        "self.active[keep + 1].seqno <= commit:",
        "self.active[keep].seqno <= commit:",
        "An older configuration is dropped before its successor commits.",
    ),
    Mutant(
        "best-match-off-by-one",
        "view_history",
        "            best = self._starts[own - 1] - 1\n",
        "            best = self._starts[own - 1]\n            if best >= seqno:\n"
        "                return best\n            best -= 2\n",
        "The estimate of agreement is off by one at the start of a view.",
    ),
    Mutant(
        "best-match-skips-nothing",
        "view_history",
        "        while (own := self.view_at(best)) > view:",
        "        while (own := self.view_at(best)) > view + 1:",
        "The estimate of agreement may lie in a view that the other does not have.",
    ),
    Mutant(
        "view-start-exclusive",
        "view_history",
        "        return bisect_right(self._starts, seqno)\n\n    def start",
        "        return bisect_right(self._starts, seqno - 1)\n\n    def start",
        "The first entry of a view counts to the view before it.",
    ),
    Mutant(
        "batch-crosses-views",
        "sending",
        "    if end_of_view:\n        end = min(end, end_of_view)\n",
        "",
        "One message carries entries of several views.",
    ),
    Mutant(
        "entries-not-checked",
        "backup",
        "        if entry.seqno != seqno or entry.view != view:\n",
        "        if entry.seqno != seqno:\n",
        "A backup does not check the view of the entries it appends.",
    ),
    Mutant(
        "accept-without-previous",
        "backup",
        "    if own_view == message.prev_view:\n",
        "    if own_view == message.prev_view or own_view:\n",
        "A backup appends after an entry that differs from the primary's.",
    ),
    Mutant(
        "accept-older-view",
        "backup",
        "    if message.view < state.view:\n        _refuse(state, sender)\n        return\n",
        "",
        "A backup takes entries from the primary of an earlier view.",
    ),
    Mutant(
        "overwrite-nothing",
        "backup",
        "        rollback(state, first_new - 1)\n",
        "        rollback(state, first_new)\n",
        "A conflicting entry itself survives the roll-back.",
    ),
    Mutant(
        "no-timer-restart-on-vote",
        "elections",
        "        restart_election_timer(state)\n        state.primary_id = None\n",
        "        state.primary_id = None\n",
        "A voter may stand right after it has voted.",
    ),
    Mutant(
        "no-check-quorum",
        "replication",
        "    if not _reaches_quorum(state):\n        become_backup(state)\n",
        "",
        "A primary that hears from nobody stays primary.",
    ),
    Mutant(
        "check-quorum-in-newest-only",
        "replication",
        "    for nodes in state.configurations.node_sets:\n        if sum(",
        "    for nodes in state.configurations.node_sets[-1:]:\n        if sum(",
        "A primary looks for its quorum in the newest configuration only.",
    ),
    Mutant(
        "no-signature-in-new-view",
        "elections",
        "    state.should_sign = True\n",
        "    state.should_sign = False\n",
        "A new primary does not sign before it has something to sign.",
    ),
    Mutant(
        "no-hand-over-at-retirement",
        "commitment",
        "        propose_successor(state)\n",
        "",
        "A primary that leaves asks nobody to stand.",
    ),
    Mutant(
        "removable-stays-primary",
        "commitment",
        "        change_role(state, NONE)\n",
        "        pass\n",
        "A primary whose retirement is final stays primary.",
    ),
    Mutant(
        "no-clean-up-by-new-primary",
        "elections",
        "    state.outbox.effects.append(RequestRetirementCleanup())\n",
        "",
        "A new primary does not finish the retirements that it finds.",
    ),
    Mutant(
        "commit-any-entry",
        "committable",
        "        return self._seqnos[position - 1] if position else 0\n",
        "        return seqno if position else 0\n",
        "Entries after a signature commit without one of their own.",
    ),
    Mutant(
        "ack-before-disk",
        "backup",
        "        if signature > state.persisted:",
        "        if signature > state.log.last:",
        "A signature is acknowledged before it is on disk.",
    ),
    Mutant(
        "own-disk-ignored",
        "commitment",
        "        return min(state.log.last, state.persisted)\n",
        "        return state.log.last\n",
        "A primary counts itself before its disk has the entries.",
    ),
    Mutant(
        "disk-survives-rollback",
        "roles",
        "    state.persisted = min(state.persisted, seqno)\n",
        "",
        "What the disk had counts for entries that replaced it.",
    ),
    Mutant(
        "tail-dropped-after-pre-vote",
        "roles",
        "    if state.followed_view != state.view:\n",
        "    if state.followed_view >= 0:\n",
        "A backup drops acknowledged entries when a pre-vote round ends in its view.",
    ),
    Mutant(
        "new-peer-is-not-contacted",
        "appending",
        "            send(state, node, peer, state.log.last + 1)\n",
        '            assert peer.match == 0, "a new peer has acknowledged nothing"\n',
        "A primary waits for the next heartbeat to contact a new node.",
    ),
    Mutant(
        "never-ticks",
        "appending",
        "        start_ticking(state)\n",
        "        pass\n",
        "A node that has joined never stands for election.",
    ),
    Mutant(
        "match-kept-by-new-primary",
        "progress",
        "        self.sent = last\n        self.match = 0\n",
        "        self.sent = last\n",
        "A new primary trusts acknowledgements of an earlier leadership of its own.",
    ),
    Mutant(
        "second-conflict-accepted",
        "backup",
        "        if not state.is_new_follower:\n",
        "        if message.view < 0:\n",
        "A backup may roll back signed entries more than once in a view.",
    ),
    Mutant(
        "configuration-ignored",
        "appending",
        "        add_configuration(state, entry.seqno, role.configuration)\n",
        "        pass\n",
        "A configuration has no effect.",
    ),
    Mutant(
        "completed-by-any-commit",
        "retirement",
        "        if self.phase is SIGNED and seqno >= self.committable_seqno:",
        "        if self.phase is SIGNED:",
        "A retirement completes by a commit before its own signature.",
    ),
    Mutant(
        "refusal-is-no-sign-of-life",
        "replication",
        "    peer.ack_age = 0\n",
        "    if response.success:\n        peer.ack_age = 0\n",
        "A refusal does not show that a peer is alive.",
    ),
    Mutant(
        "stale-proposal-obeyed",
        "elections",
        "not state.retirement.is_final and proposal.view == state.view:",
        "not state.retirement.is_final:",
        "A proposal to stand is obeyed in a later view.",
    ),
    Mutant(
        "removable-node-stands",
        "elections",
        "    if state.ticking and not state.retirement.is_final:\n        if",
        "    if state.ticking:\n        if",
        "A node whose retirement is final stands for election.",
    ),
    Mutant(
        "worst-successor",
        "commitment",
        "        if rank > best_rank:",
        "        if best is None or rank < best_rank:",
        "The peer that is furthest behind is asked to take over.",
    ),
    Mutant(
        "removable-peer-is-kept",
        "commitment",
        "            state.peers.remove(node)\n",
        "            assert node\n",
        "A primary goes on sending to nodes that may be switched off.",
    ),
    Mutant(
        "marks-survive-rollback",
        "roles",
        "[held for held in state.retired_committed if held[0] <= seqno]",
        "list(state.retired_committed)",
        "A mark as removable stays after its entry is rolled back.",
    ),
    Mutant(
        "sent-ignores-match",
        "progress",
        "        self.sent = max(min(estimate, self.sent), self.match)\n",
        "        self.sent = estimate\n",
        "A refusal may raise what was sent.",
    ),
    Mutant(
        "plain-refusal-counts-as-primary",
        "backup",
        "    if not _agrees_on_previous(state, sender, message):\n",
        "    restart_election_timer(state)\n"
        "    if not _agrees_on_previous(state, sender, message):\n",
        "A message that is refused keeps a backup from standing.",
    ),
    Mutant(
        "view-of-last-entry-unchecked",
        "backup",
        "    if message.entries_view == state.view_at(message.last_seqno):",
        "    if message.last_seqno <= state.log.last:",
        "Entries up to our last are taken as held, whatever their view.",
    ),
)
