"""Commands of ours: what the published ones cannot say.

Out-of-order and repeated delivery, single facts (``assert_last``), nodes as in production, options,
and what is needed to write a simulated schedule down.
"""

import json
from random import Random

from ledger.base.errors import FormatError, LedgerError, MisuseError
from ledger.base.ids import NodeId, TxId
from ledger.testing import scenario_payload as payload
from ledger.testing.scenario_commands import disconnect_node
from ledger.testing.scenario_register import Arguments, command, require
from ledger.testing.scenario_world import ScenarioFailedError, World, integer


@command("assert_last", least=2, most=2, is_checked=False)
def _assert_last(world: World, arguments: Arguments) -> None:
    node, want = world.node(arguments[0]), TxId.parse(arguments[1])
    got = TxId(node.view_at(node.last), node.last)
    require(got == want, f"got {got} as the last entry of {node.node_id}, want {want}")


@command("seed", least=1, most=1)
def _seed(world: World, arguments: Arguments) -> None:
    """Seed ``shuffle`` and ``duplicate``."""
    world.chance = Random(integer(arguments[0]))  # noqa: S311


@command("duplicate_one", least=1, most=1)
def _duplicate_one(world: World, arguments: Arguments) -> None:
    """Queue about half of a node's messages a second time, each somewhere behind the first."""
    queue = world.queues[world.node(arguments[0]).node_id]
    for sent in list(queue):
        if world.chance.random() < 0.5:
            first = queue.index(sent)
            queue.insert(world.chance.randint(first + 1, len(queue)), sent)


@command("restart", least=1, most=1)
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


@command("jitter", least=1, most=1)
def _jitter(world: World, arguments: Arguments) -> None:
    """Let every later random number be this one, or the greatest allowed if that is less."""
    value = integer(arguments[0])
    world.set_jitter(lambda limit: min(value, limit))


@command("deliver", least=2, most=3)
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


@command("keep", least=3, most=3)
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


@command("deliver_kept", least=1, most=1)
def _deliver_kept(world: World, arguments: Arguments) -> None:
    """Deliver a message that was kept, as it was sent; any number of times."""
    kept = world.kept.get(arguments[0])
    if kept is None:
        raise FormatError(f"got {arguments[0]!r} to deliver, want one of {list(world.kept)}")
    world.deliver_as_sent(*kept)


@command("append", least=2, most=2)
def _append(world: World, arguments: Arguments) -> None:
    """Let a named node append an entry, refused unless it is primary."""
    node = world.node(arguments[0])
    world.propose(node, lambda seqno: payload.raw(seqno, arguments[1]))


@command("sign", least=1, most=1)
def _sign(world: World, arguments: Arguments) -> None:
    """Let a named node append a signature."""
    world.propose(world.node(arguments[0]), payload.signature)


@command("configure", least=2, most=None)
def _configure(world: World, arguments: Arguments) -> None:
    """Let a named node append exactly this configuration."""
    name, *members = arguments
    world.configure(world.node(name), members)


@command("mark_removable", least=2, most=None)
def _mark_removable(world: World, arguments: Arguments) -> None:
    """Let a named node append an entry that marks nodes as removable."""
    name, *names = arguments
    nodes = frozenset(NodeId(other) for other in names)
    world.propose(world.node(name), lambda seqno: payload.retired_committed(seqno, nodes))


@command("create", least=1, most=1)
def _create(world: World, arguments: Arguments) -> None:
    """Create a node linked with every node, not ticking, as in production."""
    world.create(arguments[0], is_ticking=False)
    world.link_with_all(arguments[0])


@command("bootstrap", least=1, most=1)
def _bootstrap(world: World, arguments: Arguments) -> None:
    """Make a node primary without an election."""
    node = world.node(arguments[0])
    node.bootstrap_primary()
    world.collect(node)


@command("join", least=3, most=3)
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


@command("stop", least=1, most=1)
def _stop(world: World, arguments: Arguments) -> None:
    """End a node for ever: nothing reaches it, and nothing of it counts but what it holds."""
    disconnect_node(world, arguments)
    world.stopped.add(world.node(arguments[0]).node_id)


@command("hand_over", least=1, most=1)
def _hand_over(world: World, arguments: Arguments) -> None:
    """Let a node that is about to stop ask a successor to stand."""
    node = world.node(arguments[0])
    node.hand_over()
    world.collect(node)


@command("persisted", least=2, most=2)
def _persisted(world: World, arguments: Arguments) -> None:
    """Tell a node how far its disk has got."""
    node = world.node(arguments[0])
    seqno = integer(arguments[1])
    node.persisted(seqno, node.view_at(seqno))
    world.collect(node)


@command("option", least=2, most=2)
def _option(world: World, arguments: Arguments) -> None:
    """Set an optional behaviour of nodes made from now on, by its name in ``Settings``."""
    try:
        value = json.loads(arguments[1])
    except ValueError:
        value = None
    if not isinstance(value, bool | int):
        raise FormatError(f"got {arguments[1]!r}, want true, false or a number")
    world.set_option(arguments[0], value)


@command("end", is_checked=False)
def _end(world: World, arguments: Arguments) -> None:
    """End the file without requiring that the nodes converge."""
    del arguments
    world.must_converge = False
