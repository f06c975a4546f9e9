"""Flags in help texts: without a type, as they take no value.

Some versions of Typer show ``<bool>`` behind them, as if a word had to follow.
"""

from typing import Any


def show_plain_flags(command: Any) -> None:  # noqa: ANN401  (the type is private to Typer)
    """Have the help of a command, and of those below it, show flags without a type."""
    all_parameters = command.get_params

    def parameters(context: object) -> list[Any]:
        found: list[Any] = all_parameters(context)  # with --help, which is made there
        for parameter in found:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return found

    command.get_params = parameters
    for below in getattr(command, "commands", {}).values():
        show_plain_flags(below)
