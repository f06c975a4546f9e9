"""The ``quorate`` command: finds the sub-command and loads only that one.

``COMMANDS`` names the modules. Each of them has ``app``, a ``typer.Typer``; ``node`` is read by
the standard library alone, so that the host process of a node stays small. ``node list`` and
``node status`` ask nodes that run.
"""

import importlib
import sys
from typing import TYPE_CHECKING

from ledger.base.errors import LedgerError, MisuseError
from ledger.cli.flags import show_plain_flags
from ledger.cli.gov_text import printable
from ledger.launch.start_checks import refuse_optimised_interpreter

if TYPE_CHECKING:
    import typer

COMMANDS = {
    "node": "ledger.cli.node",
    "sandbox": "ledger.cli.sandbox",
    "keygen": "ledger.cli.keygen",
    "gov": "ledger.cli.gov",
    "audit": "ledger.cli.audit",
    "ledger": "ledger.cli.ledger",
}
"""Sub-commands in the order of the help text, with the module of each."""

NODE_QUESTIONS = {"list": "ledger.cli.node_status", "status": "ledger.cli.node_status"}
"""What comes behind ``node`` instead of its options, with the module of each."""

EXIT_MISTAKE = 2

SUMMARIES = {
    "node": "Run one node of a service; list and status look at nodes that run.",
    "sandbox": "Run a whole local service, with members, users and keys.",
    "keygen": "Make keys and a certificate for a member or user.",
    "gov": "Govern a service: propose, vote, acknowledge, look.",
    "audit": "Check a ledger offline, down to every signature.",
    "ledger": "Look at transactions of a ledger, split chunks.",
}


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    try:
        refuse_optimised_interpreter()
    except MisuseError as error:
        return _complain(error)
    name = arguments[0] if arguments else "--help"
    if name in {"-h", "--help", "help"}:
        sys.stdout.write(_help())
        return 0 if arguments else 2
    if name in {"-v", "--version"}:
        from ledger.launch.arguments import version_text  # noqa: PLC0415  (not for other commands)

        sys.stdout.write(version_text() + "\n")
        return 0
    if name.startswith("-"):  # CCF's way to start a node, whatever the program is called
        name, arguments = "node", ["node", *arguments]
    if name not in COMMANDS:
        return _complain(f"got command {name!r}, want one of {', '.join(COMMANDS)}")
    question = NODE_QUESTIONS.get(arguments[1]) if name == "node" and arguments[1:] else None
    module = importlib.import_module(question or COMMANDS[name])
    if name == "node" and question is None:
        code: int = module.run(arguments[1:])
        return code
    return _run_typer(module.app, f"quorate {name}", arguments[1:])


def _run_typer(app: "typer.Typer", program: str, arguments: list[str]) -> int:
    import typer  # noqa: PLC0415  (not for ``node``)

    from ledger.cli.streams import discard_output, standard_output  # noqa: PLC0415  (the same)

    command = typer.main.get_command(app)
    show_plain_flags(command)
    try:
        with standard_output(program, EXIT_MISTAKE):
            code = command.main(args=arguments, prog_name=program, standalone_mode=True)
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else int(finished.code is not None)
    except typer.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        discard_output()
        return 1
    except LedgerError as error:
        return _complain(error)
    return code if isinstance(code, int) else 0


def _complain(problem: object) -> int:
    sys.stderr.write(f"quorate: {printable(str(problem))}\n")
    return EXIT_MISTAKE


def _help() -> str:
    lines = [
        "Usage: quorate COMMAND [OPTIONS]",
        "       quorate --config FILE [OPTIONS]   (a node)",
        "",
        "A consortium ledger: operators run nodes, members govern, users call.",
        "",
        "Commands:",
        *(f"  {name:<10}{SUMMARIES[name]}" for name in COMMANDS),
        "",
        "Options:",
        "  -v, --version   Version and platform",
        "  -h, --help      This text; also behind every command",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
