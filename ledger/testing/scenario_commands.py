"""The published commands of the scenario language."""

import json

from ledger.base.errors import FormatError
from ledger.base.ids import NodeId
from ledger.consensus.raft import Raft
from ledger.testing import scenario_payload as payload
from ledger.testing.scenario_register import Arguments, command, require
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

# Set-up


@command("start_node", least=1, most=1)
def _start_node(world: World, arguments: Arguments) -> None:
    if world.nodes:
        raise FormatError("got start_node after another node, want it first")
    node = world.create(arguments[0])
    node.bootstrap_primary()
    world.collect(node)
    world.configure(node, arguments)


@command("trust_node", least=2, most=2)
@command("trust_nodes", least=2, most=None)
def _trust_nodes(world: World, arguments: Arguments) -> None:
    view, *names = arguments
    primary = world.primary(view)
    if primary is None:
        return
    _create_linked(world, names)
    world.configure(primary, world.nodes)


@command("swap_node", least=3, most=3)
def _swap_node(world: World, arguments: Arguments) -> None:
    view, leaving, entering = arguments
    _swap(world, view, [entering], [leaving])


@command("swap_nodes", least=3, most=None)
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


@command("cleanup_nodes", least=2, most=None)
def _cleanup_nodes(world: World, arguments: Arguments) -> None:
    view, *names = arguments
    primary = world.primary(view)
    if primary is not None:
        nodes = frozenset(world.node(name).node_id for name in names)
        world.propose(primary, lambda seqno: payload.retired_committed(seqno, nodes))


@command("pre_vote_enabled", least=1, most=1)
def _pre_vote_enabled(world: World, arguments: Arguments) -> None:
    if arguments[0] not in ("true", "false"):
        raise FormatError(f"got {arguments[0]!r}, want true or false")
    world.pre_vote = arguments[0] == "true"


@command("nodes", least=1, most=None)
def _nodes(world: World, arguments: Arguments) -> None:
    nodes = frozenset(world.create(name).node_id for name in arguments)
    for node in nodes:
        world.nodes[node].add_configuration(0, nodes)


@command("create_new_node", least=1, most=1)
def _create_new_node(world: World, arguments: Arguments) -> None:
    world.create(arguments[0])


@command("replicate_new_configuration", least=2, most=None)
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


@command("replicate", least=2, most=2)
def _replicate(world: World, arguments: Arguments) -> None:
    primary = world.primary(arguments[0])
    if primary is not None:
        world.propose(primary, lambda seqno: payload.raw(seqno, arguments[1]))


@command("emit_signature", least=1, most=1)
def _emit_signature(world: World, arguments: Arguments) -> None:
    primary = world.primary(arguments[0])
    if primary is not None:
        world.propose(primary, payload.signature)


# Time


@command("periodic_one", least=2, most=2)
def _periodic_one(world: World, arguments: Arguments) -> None:
    world.tick(world.node(arguments[0]), integer(arguments[1]))


@command("periodic_all", least=1, most=1)
def _periodic_all(world: World, arguments: Arguments) -> None:
    elapsed_ms = integer(arguments[0])
    for node in list(world.nodes.values()):
        world.tick(node, elapsed_ms)


# Delivery


@command("dispatch_one", least=1, most=1)
def _dispatch_one(world: World, arguments: Arguments) -> None:
    source = world.node(arguments[0]).node_id
    while world.queues[source]:
        _dispatch_front(world, source)


@command("dispatch_all_once")
def _dispatch_all_once(world: World, arguments: Arguments) -> None:
    del arguments
    lengths = [(node, len(queue)) for node, queue in sorted(world.queues.items())]
    for node, length in lengths:
        arrived = 0
        while arrived < length and world.queues[node]:
            arrived += _dispatch_front(world, node)


@command("dispatch_all")
def _dispatch_all(world: World, arguments: Arguments) -> None:
    for _ in range(DISPATCH_ROUNDS):
        if not any(world.queues.values()):
            return
        _dispatch_all_once(world, arguments)


@command("dispatch_single", least=2, most=2)
def _dispatch_single(world: World, arguments: Arguments) -> None:
    source, to = (world.node(name).node_id for name in arguments)
    queue = world.queues[source]
    for position, sent in enumerate(queue):
        if sent.to == to:
            del queue[position]
            world.deliver(source, sent.to, sent.message)
            return


@command("drop_pending", least=1, most=1)
def _drop_pending(world: World, arguments: Arguments) -> None:
    world.queues[world.node(arguments[0]).node_id].clear()


@command("drop_pending_to", least=2, most=2)
def _drop_pending_to(world: World, arguments: Arguments) -> None:
    source, to = (world.node(name).node_id for name in arguments)
    queue = world.queues[source]
    kept = [sent for sent in queue if sent.to != to]
    queue.clear()
    queue.extend(kept)


@command("shuffle_one", least=1, most=1)
def _shuffle_one(world: World, arguments: Arguments) -> None:
    _shuffle(world, world.node(arguments[0]).node_id)


@command("shuffle_all")
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


@command("connect", "reconnect", least=2, most=2)
def _connect(world: World, arguments: Arguments) -> None:
    one, other = (world.node(name).node_id for name in arguments)
    world.connect(one, other)


@command("disconnect", least=2, most=2)
def _disconnect(world: World, arguments: Arguments) -> None:
    one, other = (world.node(name).node_id for name in arguments)
    world.disconnect(one, other)


@command("disconnect_node", least=1, most=1)
def disconnect_node(world: World, arguments: Arguments) -> None:
    """Cut a node off from every other one."""
    node = world.node(arguments[0]).node_id
    for other in world.nodes:
        world.disconnect(node, other)


@command("reconnect_node", least=1, most=1)
def _reconnect_node(world: World, arguments: Arguments) -> None:
    world.link_with_all(world.node(arguments[0]).node_id)


# Print only


@command("state_one", least=1, most=1, is_checked=False)
def _state_one(world: World, arguments: Arguments) -> None:
    node = world.node(arguments[0])
    world.trace.note(f"{node.node_id}: {describe_node(node)}")


@command("state_all", is_checked=False)
def _state_all(world: World, arguments: Arguments) -> None:
    del arguments
    for node in world.nodes.values():
        world.trace.note(f"{node.node_id}: {describe_node(node)}")


@command("summarise_log", least=1, most=1, is_checked=False)
def _summarise_log(world: World, arguments: Arguments) -> None:
    node = world.node(arguments[0])
    world.trace.note(f"{node.node_id}: {describe_log(node)}")


@command("summarise_logs_all", is_checked=False)
def _summarise_logs_all(world: World, arguments: Arguments) -> None:
    del arguments
    for node in world.nodes.values():
        world.trace.note(f"{node.node_id}: {describe_log(node)}")


@command("summarise_messages", least=2, most=2)
def _summarise_messages(world: World, arguments: Arguments) -> None:
    source, to = (world.node(name).node_id for name in arguments)
    for sent in world.queues[source]:
        if sent.to == to:
            world.trace.note(f"{source}->{to} {describe_message(sent.message)} queued")


# Assertions


@command("assert_commit_idx", least=2, most=2, is_checked=False)
def _assert_commit_idx(world: World, arguments: Arguments) -> None:
    node, want = world.node(arguments[0]), integer(arguments[1])
    require(node.commit == want, f"got commit {node.commit} at {node.node_id}, want {want}")


@command("assert_detail", least=3, most=3)
def _assert_detail(world: World, arguments: Arguments) -> None:
    got, want = _detail(world.node(arguments[0]), arguments[1]), arguments[2]
    require(got is not None and got == want, f"got {arguments[1]} {got}, want {want}")


@command("assert_!detail", least=3, most=3)
def _assert_not_detail(world: World, arguments: Arguments) -> None:
    got, unwanted = _detail(world.node(arguments[0]), arguments[1]), arguments[2]
    require(got is not None and got != unwanted, f"got {arguments[1]} {got}, want another value")


@command("assert_config", least=3, most=None)
def _assert_config(world: World, arguments: Arguments) -> None:
    name, seqno, *members = arguments
    configs = dict(world.node(name).status().configs)
    got = configs.get(integer(seqno))
    require(got == set(members), f"got configurations {configs}, want {members} at {seqno}")


@command("assert_absent_config", least=2, most=2)
def _assert_absent_config(world: World, arguments: Arguments) -> None:
    configs = dict(world.node(arguments[0]).status().configs)
    require(integer(arguments[1]) not in configs, f"got configurations {configs}")


@command("assert_state_sync", is_checked=False)
def _assert_state_sync(world: World, arguments: Arguments) -> None:
    del arguments
    found = differences(world, world.nodes.values())
    require(not found, found)


@command("assert_commit_safety", least=1, most=1)
def _assert_commit_safety(world: World, arguments: Arguments) -> None:
    check_commit_safety(world, world.node(arguments[0]))


def _detail(node: Raft, field: str) -> str | None:
    """Return a field of a node's status as text, None if it is missing or unset."""
    value: object = getattr(node.status(), field, None)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


# Convergence


@command("loop_until_sync")
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
