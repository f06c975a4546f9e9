"""``quorate node``: run one node until it is asked to stop."""

from ledger.launch.arguments import parse_arguments
from ledger.launch.node_process import run_node


def run(arguments: list[str]) -> int:
    """Run a node with these options and return its exit code."""
    try:
        parsed = parse_arguments(arguments)
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else 1
    return run_node(parsed)
