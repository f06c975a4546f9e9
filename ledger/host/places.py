"""Places that the configuration names, looked at before anything starts.

An output file that cannot be written would end a node that has already begun its ledger, and the
ledger then forbids to start again: so what can be seen beforehand is refused beforehand. What
cannot (a full disk, a directory that is removed meanwhile) still ends the node.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ledger.base.errors import FormatError
from ledger.host.config_sections import Configuration
from ledger.host.schema import Problem, Problems, show


def unusable_places(configuration: Configuration, made: Path | None = None) -> Problems:
    """Return what is wrong with directories and output files, in the order of the schema.

    Args:
        configuration: What a node is about to be started with.
        made: A directory that is made before that, as the ledger's is by the node.
    """
    problems: Problems = []
    for i, directory in enumerate(configuration.ledger.read_only_directories):
        if os.access(directory, os.F_OK) and not _is_directory(Path(directory)):
            got = f"{show(directory)}, which is a file"
            problems.append(Problem(f"ledger.read_only_directories[{i}]", got, "a directory"))
    to_be_made: set[Path] = set()
    for path in filter(None, (Path(configuration.ledger.directory), made)):
        to_be_made |= {path.absolute(), *path.absolute().parents}
    for key, file in _output_files(configuration):
        problem = _why_not_written(Path(file), to_be_made)
        if problem is not None:
            problems.append(Problem(key, f"{show(file)}, {problem}", "a file that can be written"))
    return problems


def make_ledger_directory(path: Path) -> None:
    """Make the main ledger directory, if it is not there yet.

    Raises:
        FormatError: it cannot be made, or something else is there.
    """
    got = f"ledger.directory: got {show(str(path))}"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FormatError(f"{got}, which is or is below a file, want a directory") from error
    except OSError as error:
        raise FormatError(
            f"{got}, which cannot be made ({error.strerror}), want a directory"
        ) from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise FormatError(f"{got}, want a directory that can be read and written")


def check_ledger_directory(path: Path) -> None:
    """Refuse what ``make_ledger_directory`` would refuse, as far as can be seen; make nothing.

    Raises:
        FormatError: it cannot be made, or something else is there.
    """
    absolute = path.absolute()
    there = next(each for each in (absolute, *absolute.parents) if os.path.lexists(each))
    got = f"ledger.directory: got {show(str(path))}"
    if not _is_directory(there):
        raise FormatError(f"{got}, which is or is below a file, want a directory")
    if not os.access(
        there, os.R_OK | os.W_OK | os.X_OK if there == absolute else os.W_OK | os.X_OK
    ):
        raise FormatError(f"{got}, want a directory that can be made, read and written")


def _output_files(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield key and path of every file that this start writes."""
    output, command = configuration.output_files, configuration.command
    for name in (
        "node_certificate_file",
        "pid_file",
        "node_to_node_address_file",
        "rpc_addresses_file",
    ):
        path: str | None = getattr(output, name)
        if path is not None:
            yield f"output_files.{name}", path
    if command.type == "Start":  # who joins reads it
        yield "command.service_certificate_file", command.service_certificate_file


def _why_not_written(path: Path, to_be_made: Collection[Path]) -> str | None:
    """Return what is wrong with a file that will be put in place of whatever is there.

    Args:
        path: The file.
        to_be_made: Directories that are made before the file is written.
    """
    if _is_directory(path) or path.absolute() in to_be_made:
        return "which is a directory"
    if not _is_directory(path.parent):
        made = path.parent.absolute() in to_be_made and not os.access(path.parent, os.F_OK)
        return None if made else "whose directory does not exist"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "whose directory cannot be written"
    return None


def _is_directory(path: Path) -> bool:
    """Say whether a path is a directory and can be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False
