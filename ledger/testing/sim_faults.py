"""What goes wrong in a schedule on a clock, as its plan says and its seed decides."""

from typing import TYPE_CHECKING

from ledger.base.ids import NodeId
from ledger.consensus.quorum import quorum_size
from ledger.testing.cluster import Member
from ledger.testing.faults import ELECTION_TIMEOUT_MS
from ledger.testing.network import draw_cut
from ledger.testing.sim_clock import Clocked

if TYPE_CHECKING:
    from collections.abc import Callable

MEMBERS_MAX = 7


class Disturbed(Clocked):
    """A cluster to which faults happen."""

    def _begin_faults(self) -> None:
        plan, chance = self.plan, self._chance
        nodes = sorted(self.cluster.members)
        if plan.slow_link_ms and len(nodes) > 1:
            source, to = chance.sample(nodes, 2)
            self.network.delays[source, to] = plan.slow_link_ms
        if plan.slow_node_ms:
            self.network.node_delays[chance.choice(nodes)] = plan.slow_node_ms
        if plan.fault_gap_ms:
            self.at(self._soon(plan.fault_gap_ms), self._fault)
        self.at(self._soon(plan.write_gap_ms), self._client)

    def _fault(self, _: object) -> None:
        if self._is_healed:
            return
        plan, chance = self.plan, self._chance
        self.at(self._soon(plan.fault_gap_ms), self._fault)
        kinds: list[tuple[int, Callable[[], None]]] = [
            (plan.cuts, self._cut),
            (plan.pauses, self._pause),
            (plan.jumps, self._jump),
            (plan.stops, self._stop),
            (plan.changes, self._change),
            (plan.hand_overs, self._hand_over),
            (plan.stalls, self._stall),
        ]
        weights = [weight for weight, _ in kinds]
        if any(weights):
            chance.choices([act for _, act in kinds], weights)[0]()

    def _cut(self) -> None:
        """Cut links for a while; sometimes on and off again."""
        chance = self._chance
        nodes = [member.node_id for member in self.cluster.alive()]
        if not nodes:
            return
        primaries = self.cluster.primaries()
        primary = chance.choice(primaries).node_id if primaries else None
        links = draw_cut(chance, nodes, primary)
        at = self.now
        for _ in range(chance.choice((1, 1, 1, 5))):
            self.at(at, self._begin_cut, links)
            at += chance.randint(10, 300)
            self.at(at, self._end_cut, links)
            at += chance.randint(10, 60)

    def _begin_cut(self, links: set[tuple[NodeId, NodeId]]) -> None:
        if not self._is_healed:
            self.network.cut |= links

    def _end_cut(self, links: set[tuple[NodeId, NodeId]]) -> None:
        self.network.cut -= links

    def _pause(self) -> None:
        member = self._any_member()
        if member is not None:
            self._paused[member.node_id] = self.now + self._chance.randint(20, 400)

    def _jump(self) -> None:
        member = self._any_member()
        if member is not None and not self._is_asleep(member):
            self.cluster.counters["clock jumped"] += 1
            self.cluster.tick(member, self._chance.randint(20, 3 * ELECTION_TIMEOUT_MS))

    def _stop(self) -> None:
        """Stop a primary or any node, mostly one that is not missed; rarely, a majority."""
        chance, alive = self._chance, self.cluster.alive()
        primaries = self.cluster.primaries()
        if not alive:
            return
        if chance.random() < 0.03:
            self.cluster.counters["majority stopped"] += 1
            for member in chance.sample(alive, quorum_size(len(alive))):
                self.cluster.stop(member)
            return
        victim = chance.choice(primaries if primaries and chance.random() < 0.5 else alive)
        if self._is_spare(victim) or chance.random() < 0.03:
            self.cluster.stop(victim)

    def _is_spare(self, victim: Member) -> bool:
        """Say whether every configuration of every other node keeps a quorum without a node."""
        members = self.cluster.members
        for member in self.cluster.alive():
            for nodes in member.raft.state.configurations.node_sets:
                left = sum(1 for node in nodes if members[node].is_alive and node != victim.node_id)
                if left < quorum_size(len(nodes)):
                    return False
        return True

    def _change(self) -> None:
        """Change the configuration at a primary; now and then switch off what has left for good."""
        chance, members = self._chance, self.cluster.members
        for member in self.cluster.removable():
            if chance.random() < 0.5:
                self.cluster.counters["removable node switched off"] += 1
                self.cluster.stop(member)
        primaries = [m for m in self.cluster.primaries() if not self._is_asleep(m)]
        if not primaries:
            return
        primary = chance.choice(primaries)
        nodes = set(primary.raft.state.configurations.newest)
        dead = sorted(node for node in nodes if not members[node].is_alive)
        leaving = set(dead) if chance.random() < 0.7 else set()
        for _ in range(chance.choice((0, 0, 1, 1, 2, MEMBERS_MAX))):
            leaving.add(chance.choice(sorted(nodes)))
        entering = chance.choice((0, 0, 1, 1, 2, 3)) + (len(dead) if leaving else 0)
        room = MEMBERS_MAX - len(nodes - leaving)
        for _ in range(min(entering, room)):
            nodes.add(self._new_member(primary).node_id)
        nodes -= leaving
        if nodes and self.cluster.configure(primary, frozenset(nodes)):
            self._sign_soon(primary)

    def _hand_over(self) -> None:
        primaries = self.cluster.primaries()
        if primaries:
            member = self._chance.choice(primaries)
            self.cluster.hand_over(member)
            if self._chance.random() < 0.3:
                self.cluster.stop(member)

    def _stall(self) -> None:
        member = self._any_member()
        if member is not None:
            self._stalled[member.node_id] = self.now + self._chance.randint(50, 400)
