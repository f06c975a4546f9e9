"""Standard output of a command: wherever it goes, it does not end in a traceback."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ledger.cli.gov_text import printable


@contextmanager
def standard_output(program: str, exit_code: int) -> Iterator[None]:
    """Run a command so that its output takes every text and that all of it was written.

    What an encoding lacks is escaped. A reader that has gone (a closed pipe) is left to the caller.

    Args:
        program: Begins the message when the output cannot be written.
        exit_code: Of the process in that case.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        discard_output()
        if error.filename is None:
            problem = f"cannot write standard output: {error.strerror}"
        else:
            problem = printable(str(error))
        print(f"{program}: {problem}", file=sys.stderr)
        raise typer.Exit(exit_code) from error


def discard_output() -> None:
    """Let what is still buffered go nowhere: Python writes it when it ends, and would complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
