r"""Runs scenario files on nodes of the consensus core.

After each command but the plain assertions, the committed prefix of every node must be held by a
quorum; at the end of the file the nodes must converge.

A session::

    driver = Driver(jitter=lambda limit: 0)
    driver.run(parse("start_node,0\nemit_signature,2\nassert_commit_idx,0,2"))
"""

from collections.abc import Iterable

from ledger.base.errors import FormatError
from ledger.base.ids import NodeId
from ledger.consensus.testing import make_node
from ledger.consensus.types import Entry, EntryRole, Jitter
from ledger.testing import scenario_commands, scenario_extra
from ledger.testing import scenario_payload as payload
from ledger.testing.checkers import InvariantError
from ledger.testing.checkers_full import FullChecker, Whole
from ledger.testing.scenario_language import Command
from ledger.testing.scenario_register import COMMANDS
from ledger.testing.scenario_trace import Trace
from ledger.testing.scenario_world import (
    NodeFactory,
    ScenarioFailedError,
    World,
    check_commit_safety,
)

VOCABULARY = (scenario_commands, scenario_extra)
"""Modules that put their commands into the register."""


class Driver:
    """Runs one scenario.

    Attributes:
        world: The nodes and everything between them.
        trace: What happened, one line each.
    """

    def __init__(
        self,
        *,
        jitter: Jitter,
        factory: NodeFactory = make_node,
        invariants: bool = True,
    ) -> None:
        """Prepare a world without nodes.

        Args:
            jitter: Source of chance of the nodes.
            factory: Makes nodes.
            invariants: Whether to check every invariant of the protocol after each command too.
        """
        self.trace = Trace()
        self.world = World(factory, jitter, self.trace)
        self._checker = FullChecker(_role_of) if invariants else None

    def run(self, commands: Iterable[Command]) -> None:
        """Run the commands, then require that the nodes converge.

        Raises:
            FormatError: a command does not exist or is used wrongly.
            ScenarioFailedError: an expectation failed.
        """
        for command in commands:
            self.run_one(command)
        if self.world.must_converge:
            self.run_one(Command(0, "loop_until_sync", ()))

    def run_one(self, command: Command) -> None:
        """Run one command and the check that follows it."""
        definition = COMMANDS.get(command.word)
        if definition is None:
            raise FormatError(f"line {command.line}: got {command.word!r}, want a known command")
        definition.arity.check(command)
        self.trace.begin(command)
        try:
            definition.run(self.world, command.arguments)
            if definition.is_checked:
                for node in self.world.nodes.values():
                    check_commit_safety(self.world, node)
            if self._checker is not None:
                self._checker.check(self._wholes())
        except InvariantError as error:
            raise InvariantError(error.invariant, f"{error.what} (line {command.line})") from error
        except (FormatError, ScenarioFailedError) as error:
            raise type(error)(f"line {command.line}, {command.text}: {error}") from error
        except AssertionError as error:
            error.add_note(f"line {command.line}, {command.text}")
            raise
        self.trace.end(self.world.nodes.values())

    def _wholes(self) -> dict[NodeId, Whole]:
        world = self.world
        return {
            name: Whole(node, world.ledgers[name], is_alive=name not in world.stopped)
            for name, node in world.nodes.items()
        }


def _role_of(entry: Entry) -> EntryRole:
    role = payload.apply(entry.view, entry.seqno, entry.data)
    assert role is not None, "a node holds only entries that apply"
    return role
