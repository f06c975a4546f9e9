"""The scenario language: one command per line, a word and arguments separated by commas.

``#`` starts a comment anywhere; a line that starts with ``====`` ends the commands. What follows it
in our own files is the recorded trace.
"""

from dataclasses import dataclass

from ledger.base.errors import FormatError

END = "===="


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a scenario.

    Attributes:
        line: Line number in the file, from 1.
        word: What to do.
        arguments: Its arguments, none of them interpreted yet.
    """

    line: int
    word: str
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command as it would be written."""
        return ",".join((self.word, *self.arguments))


@dataclass(frozen=True, slots=True)
class Arity:
    """How many arguments a command takes, both ends inclusive; ``most`` None for no limit."""

    least: int
    most: int | None

    def check(self, command: Command) -> None:
        """Refuse a command with too few or too many arguments.

        Raises:
            FormatError: the number of arguments is wrong.
        """
        count = len(command.arguments)
        if count < self.least or (self.most is not None and count > self.most):
            raise FormatError(
                f"line {command.line}: got {count} arguments for {command.word}, "
                f"want {self._wanted()}"
            )

    def _wanted(self) -> str:
        if self.most is None:
            return f"{self.least} or more"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def parse(text: str) -> list[Command]:
    """Read the commands of a scenario file; words and arguments are not judged yet."""
    commands: list[Command] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(END):
            break
        content = line.partition("#")[0].rstrip()
        if content.strip():
            word, *arguments = content.split(",")
            commands.append(Command(number, word, tuple(arguments)))
    return commands


def split_trace(text: str) -> tuple[str, str]:
    """Split one of our files into its commands (with the ``====`` line) and its recorded trace."""
    lines = text.splitlines(keepends=True)
    for position, line in enumerate(lines):
        if line.startswith(END):
            return "".join(lines[: position + 1]), "".join(lines[position + 1 :])
    return text if text.endswith("\n") else text + "\n", ""
