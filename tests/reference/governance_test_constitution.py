"""The majority constitution with further actions that only tests want."""

from pathlib import Path

from governance.defaults import file_paths

ACTIONS_FILE = Path(__file__).with_name("governance_test_actions.star")


def constitution_files() -> list[str]:
    """Return its files in order, for ``constitution_files`` of a node's configuration."""
    files = [
        path for path in file_paths() if Path(path).name not in {"actions.star", "resolve.star"}
    ]
    at = next(index for index, path in enumerate(files) if Path(path).name == "validate.star")
    return [*files[:at], str(ACTIONS_FILE), *files[at:]]


def constitution_source() -> str:
    """Return its source."""
    return "\n".join(Path(path).read_text() for path in constitution_files())
