"""Files that the node writes for operators, each of them whole or not there at all."""

import os
from pathlib import Path

from ledger.base.errors import LedgerError
from ledger.boundary.sentences import PID_FILE_EXISTS

_MODE = 0o644


class PidFileExistsError(LedgerError):
    """Another node runs here, or one ended and its file was not removed."""


def write_file(path: Path, data: bytes) -> None:
    """Write a file atomically and durably: readers see the old one, the new one, or none.

    Raises:
        OSError: it could not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_synced(temporary, data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_pid_file(path: Path) -> None:
    """Refuse to start where a process file exists.

    Raises:
        PidFileExistsError: it exists.
    """
    if path.exists():
        raise PidFileExistsError(PID_FILE_EXISTS.format(path=path))


def write_pid_file(path: Path, pid: int) -> None:
    """Write the process file; of two nodes that start at once, one is refused.

    The file stays when the node ends, as CCF's does: an operator removes it to start again. Only
    a node that never began removes it itself.

    Raises:
        PidFileExistsError: it exists.
        OSError: it could not be written.
    """
    temporary = path.with_name(f".{path.name}.{pid}.tmp")
    try:
        _write_synced(temporary, str(pid).encode())
        os.link(temporary, path)
    except FileExistsError:
        raise PidFileExistsError(PID_FILE_EXISTS.format(path=path)) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_pid_file(path: Path, pid: int) -> None:
    """Remove the process file, unless it is another node's by now or cannot be removed."""
    try:
        if path.read_bytes() == str(pid).encode():
            path.unlink()
    except OSError:
        return  # the next start says that it is there


def _write_synced(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
