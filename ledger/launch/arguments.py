"""The command line of a node: ``quorate node``, with the options of CCF's node executable.

It is read with the standard library alone, so that the host process stays small.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ledger.base.errors import FormatError
from ledger.host.log import Level
from ledger.host.schema import Refused
from ledger.host.values import APPLICATION, parse_time_ms


@dataclass(frozen=True, slots=True)
class NodeArguments:
    """Options of one node.

    Attributes:
        config: Configuration file.
        config_timeout_ms: How long to wait until the file is complete.
        check: Only check the configuration.
        log_level: Least severity that is logged.
        app: ``module:attribute``, instead of the configuration's; None keeps that.
    """

    config: Path
    config_timeout_ms: float = 0.0
    check: bool = False
    log_level: Level = Level.INFO
    app: str | None = None


def parse_arguments(arguments: Sequence[str], program: str = "quorate node") -> NodeArguments:
    """Read the options. Help, version and mistakes end the process, as usual for a command."""
    parsed = _parser(program).parse_args(arguments)
    return NodeArguments(
        config=Path(parsed.config),
        config_timeout_ms=parsed.config_timeout,
        check=parsed.check,
        log_level=parsed.log_level,
        app=parsed.app,
    )


def version_text() -> str:
    """Return name, version and platform of this installation."""
    try:
        version = metadata.version("quorate")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"Quorate {version}\nPlatform: virtual"


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Run one node: the host process, which starts the enclave process.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c", "--config", required=True, metavar="FILE", help="node configuration, JSON"
    )
    parser.add_argument(
        "--config-timeout",
        type=_time,
        default=0.0,
        metavar="TIME",
        help="wait so long until the file is there and complete, e.g. 10s (default 0s)",
    )
    parser.add_argument(
        "--check", action="store_true", help="check the configuration, start nothing"
    )
    parser.add_argument(
        "--log-level",
        type=_level,
        default=Level.INFO,
        metavar="LEVEL",
        help="trace, debug, info (default), fail or fatal",
    )
    parser.add_argument(
        "--app",
        type=_application,
        metavar="MODULE:APP",
        help="application, instead of the one in the configuration",
    )
    parser.add_argument("-v", "--version", action="version", version=version_text())
    return parser


def _time(text: str) -> float:
    try:
        return parse_time_ms(text)
    except Refused as refused:
        raise argparse.ArgumentTypeError(f"got {text!r}, want {refused.want}") from None


def _level(text: str) -> Level:
    try:
        return Level.parse(text)
    except FormatError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _application(text: str) -> str:
    problems: list[object] = []
    read = APPLICATION(text, "--app", problems)  # type: ignore[arg-type]  # only its emptiness counts
    if problems or not isinstance(read, str):
        raise argparse.ArgumentTypeError(
            f"got {text!r}, want module:attribute, e.g. banking.app:app"
        )
    return read
