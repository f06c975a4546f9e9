"""The application that a node's configuration names: ``module:attribute``."""

import importlib

from ledger.app.application import App
from ledger.base.errors import MisuseError


def load_app(name: str) -> App:
    """Import an application.

    Args:
        name: ``module:attribute``, the attribute an ``App``.

    Raises:
        MisuseError: there is no such module or attribute, or it is no ``App``.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise MisuseError(f"got application {name!r}, which cannot be imported: {error}") from error
    app = getattr(module, attribute, None)
    if not isinstance(app, App):
        found = type(app).__name__
        raise MisuseError(f"got application {name!r}, which is {found}, want ledger.app.App")
    return app
