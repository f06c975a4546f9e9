"""The commands of the scenario language.

The published ones, then ours: out-of-order delivery, persistence of single facts (``assert_last``),
seeded reordering and duplication, and what is needed to write a simulated schedule down.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ledger.base.errors import FormatError, LedgerError, MisuseError
from ledger.base.ids import NodeId, TxId
from ledger.consensus.raft import Raft
from ledger.testing import scenario_payload as payload
from ledger.testing.scenario_language import Arity
from ledger.testing.scenario_trace import describe_log, describe_message, describe_node
from ledger.testing.scenario_world import (
    MESSAGE_TIMEOUT_MS,
    ScenarioFailedError,
    World,
    check_commit_safety,
    differences,
    integer,
)

DISPATCH_ROUNDS = 5
SYNC_ROUNDS = 20

Arguments = tuple[str, ...]
Run = Callable[[World, Arguments], None]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a command word means.

    Attributes:
        run: Carries it out.
        arity: Number of arguments.
        is_checked: Whether the safety check follows.
    """

    run: Run
    arity: Arity
    is_checked: bool


COMMANDS: dict[str, Definition] = {}


def _command(
    *words: str, least: int = 0, most: int | None = 0, is_checked: bool = True
) -> Callable[[Run], Run]:
    """Register a command under its words."""

    def register(run: Run) -> Run:
        for word in words:
            COMMANDS[word] = Definition(run, Arity(least, most), is_checked)
        return run

    return register


# Set-up


@_command("start_node", least=1, most=1)
def _start_node(world: World, arguments: Arguments) -> None:
    if world.nodes:
        raise FormatError("got start_node after another node, want it first")
    node = world.create(arguments[0])
    node.bootstrap_primary()
    world.collect(node)
    world.configure(node, arguments)


@_command("trust_node", least=2, most=2)
@_command("trust_nodes", least=2, most=None)
def _trust_nodes(world: World, arguments: Arguments) -> None:
    view, *names = arguments
    primary = world.primary(view)
    if primary is None:
        return
    _create_linked(world, names)
    world.configure(primary, world.nodes)


@_command("swap_node", least=3, most=3)
def _swap_node(world: World, arguments: Arguments) -> None:
    view, leaving, entering = arguments
    _swap(world, view, [entering], [leaving])


@_command("swap_nodes", least=3, most=None)
def _swap_nodes(world: World, arguments: Arguments) -> None:
    groups: dict[str, list[str]] = {"in": [], "out": []}
    current: list[str] | None = None
    for argument in arguments[1:]:
        if argument in groups:
            current = groups[argument]
        elif current is None:
            raise FormatError(f"got {argument!r} after the view, want 'in' or 'out'")
        else:
            current.append(argument)
    _swap(world, arguments[0], groups["in"], groups["out"])


def _swap(world: World, view: str, entering: list[str], leaving: list[str]) -> None:
    primary = world.primary(view)
    if primary is None:
        return
    for name in leaving:
        world.node(name)
    _create_linked(world, entering)
    world.configure(primary, [node for node in world.nodes if node not in leaving])


def _create_linked(world: World, names: list[str]) -> None:
    for name in names:
        world.create(name)
        world.link_with_all(name)


@_command("cleanup_nodes", least=2, most=None)
def _cleanup_nodes(world: World, arguments: Arguments) -> None:
    view, *names = arguments
    primary = world.primary(view)
    if primary is not None:
        nodes = frozenset(world.node(name).node_id for name in names)
        world.propose(primary, lambda seqno: payload.retired_committed(seqno, nodes))


@_command("pre_vote_enabled", least=1, most=1)
def _pre_vote_enabled(world: World, arguments: Arguments) -> None:
    if arguments[0] not in ("true", "false"):
        raise FormatError(f"got {arguments[0]!r}, want true or false")
    world.pre_vote = arguments[0] == "true"


@_command("nodes", least=1, most=None)
def _nodes(world: World, arguments: Arguments) -> None:
    nodes = frozenset(world.create(name).node_id for name in arguments)
    for node in nodes:
        world.nodes[node].add_configuration(0, nodes)


@_command("create_new_node", least=1, most=1)
def _create_new_node(world: World, arguments: Arguments) -> None:
    world.create(arguments[0])


@_command("replicate_new_configuration", least=2, most=None)
def _replicate_new_configuration(world: World, arguments: Arguments) -> None:
    view, *names = arguments
    primary = world.primary(view)
    if primary is None:
        return
    for name in names:
        if name not in world.nodes:
            world.create(name)
    world.configure(primary, names)


# Ledger


@_command("replicate", least=2, most=2)
def _replicate(world: World, arguments: Arguments) -> None:
    primary = world.primary(arguments[0])
    if primary is not None:
        world.propose(primary, lambda seqno: payload.raw(seqno, arguments[1]))


@_command("emit_signature", least=1, most=1)
def _emit_signature(world: World, arguments: Arguments) -> None:
    primary = world.primary(arguments[0])
    if primary is not None:
        world.propose(primary, payload.signature)


# Time


@_command("periodic_one", least=2, most=2)
def _periodic_one(world: World, arguments: Arguments) -> None:
    world.tick(world.node(arguments[0]), integer(arguments[1]))


@_command("periodic_all", least=1, most=1)
def _periodic_all(world: World, arguments: Arguments) -> None:
    elapsed_ms = integer(arguments[0])
    for node in list(world.nodes.values()):
        world.tick(node, elapsed_ms)


# Delivery


@_command("dispatch_one", least=1, most=1)
def _dispatch_one(world: World, arguments: Arguments) -> None:
    source = world.node(arguments[0]).node_id
    while world.queues[source]:
        _dispatch_front(world, source)


@_command("dispatch_all_once")
def _dispatch_all_once(world: World, arguments: Arguments) -> None:
    del arguments
    lengths = [(node, len(queue)) for node, queue in sorted(world.queues.items())]
    for node, length in lengths:
        arrived = 0
        while arrived < length and world.queues[node]:
            arrived += _dispatch_front(world, node)


@_command("dispatch_all")
def _dispatch_all(world: World, arguments: Arguments) -> None:
    for _ in range(DISPATCH_ROUNDS):
        if not any(world.queues.values()):
            return
        _dispatch_all_once(world, arguments)


@_command("dispatch_single", least=2, most=2)
def _dispatch_single(world: World, arguments: Arguments) -> None:
    source, to = (world.node(name).node_id for name in arguments)
    queue = world.queues[source]
    for position, sent in enumerate(queue):
        if sent.to == to:
            del queue[position]
            world.deliver(source, sent.to, sent.message)
            return


@_command("drop_pending", least=1, most=1)
def _drop_pending(world: World, arguments: Arguments) -> None:
    world.queues[world.node(arguments[0]).node_id].clear()


@_command("drop_pending_to", least=2, most=2)
def _drop_pending_to(world: World, arguments: Arguments) -> None:
    source, to = (world.node(name).node_id for name in arguments)
    queue = world.queues[source]
    kept = [sent for sent in queue if sent.to != to]
    queue.clear()
    queue.extend(kept)


@_command("shuffle_one", least=1, most=1)
def _shuffle_one(world: World, arguments: Arguments) -> None:
    _shuffle(world, world.node(arguments[0]).node_id)


@_command("shuffle_all")
def _shuffle_all(world: World, arguments: Arguments) -> None:
    del arguments
    for node in world.nodes:
        _shuffle(world, node)


def _dispatch_front(world: World, source: NodeId) -> bool:
    sent = world.queues[source].popleft()
    return world.deliver(source, sent.to, sent.message)


def _shuffle(world: World, source: NodeId) -> None:
    queue = list(world.queues[source])
    world.chance.shuffle(queue)
    world.queues[source].clear()
    world.queues[source].extend(queue)


# Links


@_command("connect", "reconnect", least=2, most=2)
def _connect(world: World, arguments: Arguments) -> None:
    one, other = (world.node(name).node_id for name in arguments)
    world.connect(one, other)


@_command("disconnect", least=2, most=2)
def _disconnect(world: World, arguments: Arguments) -> None:
    one, other = (world.node(name).node_id for name in arguments)
    world.disconnect(one, other)


@_command("disconnect_node", least=1, most=1)
def _disconnect_node(world: World, arguments: Arguments) -> None:
    node = world.node(arguments[0]).node_id
    for other in world.nodes:
        world.disconnect(node, other)


@_command("reconnect_node", least=1, most=1)
def _reconnect_node(world: World, arguments: Arguments) -> None:
    world.link_with_all(world.node(arguments[0]).node_id)


# Print only


@_command("state_one", least=1, most=1, is_checked=False)
def _state_one(world: World, arguments: Arguments) -> None:
    node = world.node(arguments[0])
    world.trace.note(f"{node.node_id}: {describe_node(node)}")


@_command("state_all", is_checked=False)
def _state_all(world: World, arguments: Arguments) -> None:
    del arguments
    for node in world.nodes.values():
        world.trace.note(f"{node.node_id}: {describe_node(node)}")


@_command("summarise_log", least=1, most=1, is_checked=False)
def _summarise_log(world: World, arguments: Arguments) -> None:
    node = world.node(arguments[0])
    world.trace.note(f"{node.node_id}: {describe_log(node)}")


@_command("summarise_logs_all", is_checked=False)
def _summarise_logs_all(world: World, arguments: Arguments) -> None:
    del arguments
    for node in world.nodes.values():
        world.trace.note(f"{node.node_id}: {describe_log(node)}")


@_command("summarise_messages", least=2, most=2)
def _summarise_messages(world: World, arguments: Arguments) -> None:
    source, to = (world.node(name).node_id for name in arguments)
    for sent in world.queues[source]:
        if sent.to == to:
            world.trace.note(f"{source}->{to} {describe_message(sent.message)} queued")


# Assertions


@_command("assert_commit_idx", least=2, most=2, is_checked=False)
def _assert_commit_idx(world: World, arguments: Arguments) -> None:
    node, want = world.node(arguments[0]), integer(arguments[1])
    _require(node.commit == want, f"got commit {node.commit} at {node.node_id}, want {want}")


@_command("assert_detail", least=3, most=3)
def _assert_detail(world: World, arguments: Arguments) -> None:
    got, want = _detail(world.node(arguments[0]), arguments[1]), arguments[2]
    _require(got is not None and got == want, f"got {arguments[1]} {got}, want {want}")


@_command("assert_!detail", least=3, most=3)
def _assert_not_detail(world: World, arguments: Arguments) -> None:
    got, unwanted = _detail(world.node(arguments[0]), arguments[1]), arguments[2]
    _require(got is not None and got != unwanted, f"got {arguments[1]} {got}, want another value")


@_command("assert_config", least=3, most=None)
def _assert_config(world: World, arguments: Arguments) -> None:
    name, seqno, *members = arguments
    configs = dict(world.node(name).status().configs)
    got = configs.get(integer(seqno))
    _require(got == set(members), f"got configurations {configs}, want {members} at {seqno}")


@_command("assert_absent_config", least=2, most=2)
def _assert_absent_config(world: World, arguments: Arguments) -> None:
    configs = dict(world.node(arguments[0]).status().configs)
    _require(integer(arguments[1]) not in configs, f"got configurations {configs}")


@_command("assert_state_sync", is_checked=False)
def _assert_state_sync(world: World, arguments: Arguments) -> None:
    del arguments
    found = differences(world, world.nodes.values())
    _require(not found, found)


@_command("assert_commit_safety", least=1, most=1)
def _assert_commit_safety(world: World, arguments: Arguments) -> None:
    check_commit_safety(world, world.node(arguments[0]))


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ScenarioFailedError(otherwise)


def _detail(node: Raft, field: str) -> str | None:
    """Return a field of a node's status as text, None if it is missing or unset."""
    value: object = getattr(node.status(), field, None)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


# Convergence


@_command("loop_until_sync")
def _loop_until_sync(world: World, arguments: Arguments) -> None:
    primary = world.primary("latest")
    if primary is None:
        raise ScenarioFailedError("no node is primary, so nothing can converge")
    world.propose(primary, payload.signature)
    considered = [
        node
        for node in world.nodes.values()
        if node.status().membership_state == "Active" and node.node_id not in world.stopped
    ]
    for node in considered:
        world.link_with_all(node.node_id)
    found = ""
    for _ in range(SYNC_ROUNDS):
        world.tick(primary, MESSAGE_TIMEOUT_MS)
        _dispatch_all(world, arguments)
        found = differences(world, considered)
        if not found:
            return
    raise ScenarioFailedError(f"no agreement after {SYNC_ROUNDS} rounds: {found}")


# Ours


@_command("assert_last", least=2, most=2, is_checked=False)
def _assert_last(world: World, arguments: Arguments) -> None:
    node, want = world.node(arguments[0]), TxId.parse(arguments[1])
    got = TxId(node.view_at(node.last), node.last)
    _require(got == want, f"got {got} as the last entry of {node.node_id}, want {want}")


@_command("seed", least=1, most=1)
def _seed(world: World, arguments: Arguments) -> None:
    """Seed ``shuffle`` and ``duplicate``."""
    world.chance = Random(integer(arguments[0]))  # noqa: S311


@_command("duplicate_one", least=1, most=1)
def _duplicate_one(world: World, arguments: Arguments) -> None:
    """Queue about half of a node's messages a second time, each somewhere behind the first."""
    queue = world.queues[world.node(arguments[0]).node_id]
    for sent in list(queue):
        if world.chance.random() < 0.5:
            first = queue.index(sent)
            queue.insert(world.chance.randint(first + 1, len(queue)), sent)


@_command("restart", least=1, most=1)
def _restart(world: World, arguments: Arguments) -> None:
    """Show that a node does not start again under its id."""
    node = world.node(arguments[0])
    try:
        node.initialise(node.last, node.view, node.view_starts, node.last, [])
    except MisuseError:
        return
    except LedgerError as error:
        raise ScenarioFailedError(
            f"got {error} for a restart, want it refused as misuse"
        ) from error
    raise ScenarioFailedError(f"{node.node_id} started a second time under its id")


@_command("jitter", least=1, most=1)
def _jitter(world: World, arguments: Arguments) -> None:
    """Let every later random number be this one, or the greatest allowed if that is less."""
    value = integer(arguments[0])
    world.set_jitter(lambda limit: min(value, limit))


@_command("deliver", least=2, most=3)
def _deliver(world: World, arguments: Arguments) -> None:
    """Deliver the n-th message ever queued from one node to another, whether or not it was before.

    Without a number, the newest one.
    """
    source, to = (world.node(name).node_id for name in arguments[:2])
    newest = world.counts.get((source, to), 0)
    number = integer(arguments[2]) if len(arguments) > 2 else newest
    message = world.archive.get((source, to, number))
    if message is None:
        raise FormatError(f"got message {number} from {source} to {to}, want 1 to {newest}")
    queue = world.queues[source]
    for sent in list(queue):
        if sent.to == to and sent.number == number:
            queue.remove(sent)
            break
    world.deliver_as_sent(source, to, message)


@_command("keep", least=3, most=3)
def _keep(world: World, arguments: Arguments) -> None:
    """Take the newest message from one node to another off its queue, for later, under a name."""
    name, *link = arguments
    source, to = (world.node(other).node_id for other in link)
    queue = world.queues[source]
    for position in range(len(queue) - 1, -1, -1):
        if queue[position].to == to:
            world.kept[name] = (source, to, queue[position].message)
            del queue[position]
            return
    raise FormatError(f"got a message from {source} to {to} to keep, but none is queued")


@_command("deliver_kept", least=1, most=1)
def _deliver_kept(world: World, arguments: Arguments) -> None:
    """Deliver a message that was kept, as it was sent; any number of times."""
    kept = world.kept.get(arguments[0])
    if kept is None:
        raise FormatError(f"got {arguments[0]!r} to deliver, want one of {list(world.kept)}")
    world.deliver_as_sent(*kept)


@_command("append", least=2, most=2)
def _append(world: World, arguments: Arguments) -> None:
    """Let a named node append an entry, refused unless it is primary."""
    node = world.node(arguments[0])
    world.propose(node, lambda seqno: payload.raw(seqno, arguments[1]))


@_command("sign", least=1, most=1)
def _sign(world: World, arguments: Arguments) -> None:
    """Let a named node append a signature."""
    world.propose(world.node(arguments[0]), payload.signature)


@_command("configure", least=2, most=None)
def _configure(world: World, arguments: Arguments) -> None:
    """Let a named node append exactly this configuration."""
    name, *members = arguments
    world.configure(world.node(name), members)


@_command("mark_removable", least=2, most=None)
def _mark_removable(world: World, arguments: Arguments) -> None:
    """Let a named node append an entry that marks nodes as removable."""
    name, *names = arguments
    nodes = frozenset(NodeId(other) for other in names)
    world.propose(world.node(name), lambda seqno: payload.retired_committed(seqno, nodes))


@_command("create", least=1, most=1)
def _create(world: World, arguments: Arguments) -> None:
    """Create a node linked with every node, not ticking, as in production."""
    world.create(arguments[0], is_ticking=False)
    world.link_with_all(arguments[0])


@_command("bootstrap", least=1, most=1)
def _bootstrap(world: World, arguments: Arguments) -> None:
    """Make a node primary without an election."""
    node = world.node(arguments[0])
    node.bootstrap_primary()
    world.collect(node)


@_command("join", least=3, most=3)
def _join(world: World, arguments: Arguments) -> None:
    """Create a node that starts from another's committed prefix, up to a signature."""
    source = world.node(arguments[1])
    node = world.create(arguments[0], is_ticking=False)
    world.link_with_all(arguments[0])
    last = integer(arguments[2])
    if not 0 < last <= source.commit:
        raise FormatError(f"got {last} to start from, want 1 to {source.commit}")
    entries = world.ledgers[source.node_id][:last]
    configurations, retiring = payload.membership(entries)
    starts = [start for start in source.view_starts if start <= last]
    node.initialise(last, entries[-1].view, starts, last, configurations, retiring)
    world.ledgers[node.node_id] = entries
    world.collect(node)


@_command("stop", least=1, most=1)
def _stop(world: World, arguments: Arguments) -> None:
    """End a node for ever: nothing reaches it, and nothing of it counts but what it holds."""
    _disconnect_node(world, arguments)
    world.stopped.add(world.node(arguments[0]).node_id)


@_command("hand_over", least=1, most=1)
def _hand_over(world: World, arguments: Arguments) -> None:
    """Let a node that is about to stop ask a successor to stand."""
    node = world.node(arguments[0])
    node.hand_over()
    world.collect(node)


@_command("persisted", least=2, most=2)
def _persisted(world: World, arguments: Arguments) -> None:
    """Tell a node how far its disk has got."""
    node = world.node(arguments[0])
    seqno = integer(arguments[1])
    node.persisted(seqno, node.view_at(seqno))
    world.collect(node)


@_command("option", least=2, most=2)
def _option(world: World, arguments: Arguments) -> None:
    """Set an optional behaviour of nodes made from now on, by its name in ``Settings``."""
    world.set_option(arguments[0], json.loads(arguments[1]))


@_command("end", is_checked=False)
def _end(world: World, arguments: Arguments) -> None:
    """End the file without requiring that the nodes converge."""
    del arguments
    world.must_converge = False
