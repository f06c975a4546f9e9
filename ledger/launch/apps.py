"""The application that a node's configuration names: ``module:attribute``."""

import importlib
import sys
import traceback
from pathlib import Path

from ledger.app.application import App
from ledger.base.errors import MisuseError


class BrokenApplicationError(MisuseError):
    """The application's own code raised; that is the cause of this error."""


def load_app(name: str) -> App:
    """Import an application.

    Args:
        name: ``module:attribute``, the attribute an ``App``.

    Raises:
        BrokenApplicationError: it raised something when it was imported.
        MisuseError: there is no such module or attribute, or it is no ``App``.
    """
    module_name, _, attribute = name.partition(":")
    got = f"got application {name!r}"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise MisuseError(f"{got}, which cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:
        raised = f"raised {type(error).__name__}{_place(error, module_name)}"
        raise BrokenApplicationError(
            f"{got}, which {raised} when it was imported: {_message(error)}"
        ) from error
    if not hasattr(module, attribute):
        raise MisuseError(f"{got}, whose module has no {attribute!r}, want ledger.app.App")
    app = getattr(module, attribute)
    if not isinstance(app, App):
        raise MisuseError(f"{got}, which is {type(app).__name__}, want ledger.app.App")
    return app


def _message(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _place(error: BaseException, module_name: str) -> str:
    """Return where it was raised: the last place within the application's package.

    What the application calls there may be ours or a library's, and is not what has to change.
    """
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f" at {_shown(error.filename)}:{error.lineno}"
    package = module_name.partition(".")[0]
    places = [
        f" at {_shown(frame.f_code.co_filename)}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return places[-1] if places else ""


def _shown(file: str) -> str:
    """Return the path of a module's file below the directory that it is imported from."""
    path = Path(file)
    roots = [root for root in sys.path if root and path.is_relative_to(root)]
    return str(path.relative_to(max(roots, key=len))) if roots else file
