"""The simulated network: when each message arrives, if it does.

A message on its way knows its number on its link, so a schedule can be written down and a message
delivered again.
"""

from collections import deque
from collections.abc import Iterable
from random import Random

from ledger.base.ids import NodeId
from ledger.consensus.messages import AppendEntriesResponse, Message
from ledger.testing.faults import FaultPlan

Link = tuple[NodeId, NodeId]
OLD_MESSAGES_KEPT = 100
"""Of each kind."""


class Envelope:
    """A message on its way.

    Attributes:
        source: Who sent it.
        to: Whom it is for.
        message: What it says.
        number: Its number among the messages of this link, from 1.
    """

    __slots__ = ("message", "number", "source", "to")

    def __init__(self, source: NodeId, to: NodeId, message: Message, number: int) -> None:
        self.source = source
        self.to = to
        self.message = message
        self.number = number


class Network:
    """Links between all nodes and the faults on them.

    Attributes:
        cut: Links that lose everything.
        delays: Extra delay of some links.
        node_delays: Extra delay of all messages to some nodes.
    """

    def __init__(self, plan: FaultPlan, chance: Random) -> None:
        self.cut: set[Link] = set()
        self.delays: dict[Link, int] = {}
        self.node_delays: dict[NodeId, int] = {}
        self._plan = plan
        self._chance = chance
        self._is_healed = True
        self._counts: dict[Link, int] = {}
        self._busy_until: dict[Link, int] = {}
        self._old: dict[str, deque[Envelope]] = {}

    def begin_faults(self) -> None:
        """Let go wrong what the plan says; until then nothing does."""
        self._is_healed = False

    def heal(self) -> None:
        """Stop every fault: from now on messages arrive once, in order and soon."""
        self._is_healed = True
        self.cut.clear()
        self.delays.clear()
        self.node_delays.clear()
        self._busy_until.clear()

    def old_message(self, to: NodeId | None = None) -> Envelope | None:
        """Return one of the last messages, delivered or not: a random one of a random kind.

        Args:
            to: Only messages to this node.
        """
        if not self._old:
            return None
        found = self._old[self._chance.choice(list(self._old))]
        if to is None:
            return self._chance.choice(found)
        fitting = [envelope for envelope in found if envelope.to == to]
        return self._chance.choice(fitting) if fitting else None

    def _remember(self, envelope: Envelope) -> None:
        message = envelope.message
        kind = message.kind
        if isinstance(message, AppendEntriesResponse) and not message.success:
            kind = "refusal"
        old = self._old.get(kind)
        if old is None:
            old = self._old[kind] = deque(maxlen=OLD_MESSAGES_KEPT)
        old.append(envelope)

    def is_cut(self, source: NodeId, to: NodeId) -> bool:
        """Say whether a link loses everything at this moment."""
        return (source, to) in self.cut

    def send(
        self, now: int, source: NodeId, to: NodeId, message: Message
    ) -> list[tuple[int, Envelope]]:
        """Decide when a message arrives.

        Returns:
            Times and envelopes: none for a lost message, several for one that is duplicated or that
            an old one follows.
        """
        link = (source, to)
        number = self._counts.get(link, 0) + 1
        self._counts[link] = number
        envelope = Envelope(source, to, message, number)
        if self._is_healed:
            return [(now + 1, envelope)]
        plan, chance = self._plan, self._chance
        self._remember(envelope)
        if link in self.cut or (plan.loss and chance.random() < plan.loss):
            return []
        arrivals = [(self._arrival(now, link), envelope)]
        if plan.duplication and chance.random() < plan.duplication:
            arrivals.append((self._arrival(now, link), envelope))
        if plan.replay and chance.random() < plan.replay:
            old = self.old_message()
            assert old is not None, "this message is remembered"
            arrivals.append((now + 1, old))
        return arrivals

    def _arrival(self, now: int, link: Link) -> int:
        latency = self._plan.latency
        at = now + 1 + int(self._chance.random() * latency)
        at += self.delays.get(link, 0) + self.node_delays.get(link[1], 0)
        if self._plan.keeps_order:
            at = max(at, self._busy_until.get(link, 0))
            self._busy_until[link] = at
        return at


def cut_between(
    one_side: Iterable[NodeId], other_side: Iterable[NodeId], *, both_ways: bool
) -> set[Link]:
    """Return the links from one set of nodes to another, and back if asked."""
    links = {(one, other) for one in one_side for other in other_side if one != other}
    if both_ways:
        links |= {(other, one) for one, other in links}
    return links


def draw_cut(chance: Random, nodes: list[NodeId], primary: NodeId | None) -> set[Link]:
    """Draw a pattern of cut links.

    One of: the primary alone, any node alone, two groups, two groups with a bridge between them,
    one direction between two groups, one link, some links at random.
    """
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    middle = chance.randint(1, max(1, len(nodes) - 1))
    left, right = shuffled[:middle], shuffled[middle:]
    match chance.randrange(7):
        case 0 if primary is not None:
            return cut_between([primary], nodes, both_ways=True)
        case 1:
            return cut_between(shuffled[:1], nodes, both_ways=True)
        case 2:
            return cut_between(left, right, both_ways=True)
        case 3:
            bridge = chance.choice(nodes)
            cut = cut_between(left, right, both_ways=True)
            return {link for link in cut if bridge not in link}
        case 4:
            return cut_between(left, right, both_ways=False)
        case 5:
            return cut_between(shuffled[:1], shuffled[1:2], both_ways=chance.random() < 0.5)
        case _:
            links = sorted(cut_between(nodes, nodes, both_ways=False))
            return {link for link in links if chance.random() < 0.4}
