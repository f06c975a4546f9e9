"""The register of commands: what a word means, what it takes, and what is checked after it."""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.testing.scenario_language import Arity
from ledger.testing.scenario_world import ScenarioFailedError, World

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


def command(
    *words: str, least: int = 0, most: int | None = 0, is_checked: bool = True
) -> Callable[[Run], Run]:
    """Register a command under its words."""

    def register(run: Run) -> Run:
        for word in words:
            COMMANDS[word] = Definition(run, Arity(least, most), is_checked)
        return run

    return register


def require(condition: bool, otherwise: str) -> None:
    """Fail the scenario unless a condition holds."""
    if not condition:
        raise ScenarioFailedError(otherwise)
