"""How the enclave process is started: interpreter, isolated mode, explicit import paths.

With ``-I`` and an empty environment Python ignores the current directory and every variable,
so each directory that code may come from is named on the command line: where this framework
is, and where the application is. They come behind the standard library, so that no file there
can take the place of one of its modules.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import ledger
from ledger.base.errors import MisuseError
from ledger.enclave.platforms import VirtualPlatform

ENCLAVE_MODULE = "ledger.launch.enclave_main"
_BOOTSTRAP = """\
import runpy, sys
module, count = sys.argv[1], int(sys.argv[2])
paths, rest = sys.argv[3:3 + count], sys.argv[3 + count:]
site = next((i for i, p in enumerate(sys.path) if p.endswith("site-packages")), len(sys.path))
sys.path[site:site] = paths[:1]
sys.path.extend(paths[1:])
sys.argv[1:] = rest
runpy.run_module(module, run_name="__main__")
"""


def enclave_command(platform: str, app: str, module: str = ENCLAVE_MODULE) -> list[str]:
    """Return program and arguments of the enclave; the descriptors' numbers go behind them.

    Args:
        platform: Name of the platform.
        app: ``module:attribute`` of the application.
        module: What runs in the process.

    Raises:
        MisuseError: the application is neither installed nor in the current directory.
    """
    assert platform == "virtual", "the configuration allows no other platform"
    assert sys.executable, "the interpreter knows where it is"
    framework = Path(ledger.__file__).resolve().parents[1]
    paths = [str(framework)]
    application = _directory_of(app)
    if application != framework:
        paths.append(str(application))
    interpreter = [sys.executable, "-I", "-c", _BOOTSTRAP, module, str(len(paths)), *paths]
    return VirtualPlatform.command(interpreter)


def _directory_of(app: str) -> Path:
    """Return the directory that the application is imported from; the current one comes last."""
    package = app.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # __main__ is a module without one
        spec = None
    if spec is None:
        spec = importlib.machinery.PathFinder.find_spec(package, [str(Path.cwd())])
    if spec is None:
        raise MisuseError(
            f"app: got {app!r}, want an application that is installed or in {Path.cwd()}, "
            f"where there is no {package!r}"
        )
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve().parent
    assert spec.origin is not None, "a module without a package is a file"
    return Path(spec.origin).resolve().parent
