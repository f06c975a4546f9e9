"""What code runs, as one number: a digest over installed files and security-relevant settings.

On ``virtual`` it is the host data of the node's evidence, so that a node with another
application, another framework version or laxer interfaces is another node to the join policy.
Never part of it: addresses, paths, names of nodes, the command.
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from ledger.base.errors import UnavailableError
from ledger.boundary.settings import InterfaceSettings, Settings
from ledger.codec import canonical

FRAMEWORK_PACKAGES = ("ledger", "governance")
_IGNORED_DIRECTORIES = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache"})
_IGNORED_SUFFIXES = frozenset({".pyc", ".pyo"})


def code_digest(packages: Iterable[str]) -> bytes:
    """Return SHA-256 over the canonical JSON of all files' names and SHA-256 digests.

    Args:
        packages: Import names of top-level packages or modules; order does not matter.

    Raises:
        UnavailableError: one of them is not installed.
    """
    files: dict[str, str] = {}
    for package in packages:
        for name, path in _files_of(package):
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(canonical.dumps(files)).digest()


def host_data(settings: Settings) -> bytes:
    """Return the digest over code and security-relevant settings, 32 bytes."""
    application = settings.app.partition(":")[0].partition(".")[0]
    subject = {
        "app": settings.app,
        "code": code_digest({*FRAMEWORK_PACKAGES, application}).hex(),
        "interfaces": {item.name: _interface_subject(item) for item in settings.interfaces},
        "log_level": settings.log_level,
    }
    return hashlib.sha256(canonical.dumps(subject)).digest()


def _interface_subject(interface: InterfaceSettings) -> dict[str, object]:
    accepted = interface.accepted_endpoints
    return {
        "accepted_endpoints": None if accepted is None else list(accepted),
        "max_body_size": interface.max_body_size,
        "max_header_size": interface.max_header_size,
        "max_headers_count": interface.max_headers_count,
        "max_open_sessions_hard": interface.max_open_sessions_hard,
        "max_open_sessions_soft": interface.max_open_sessions_soft,
        "unsecured": interface.authority == "Unsecured",
    }


def _files_of(package: str) -> list[tuple[str, Path]]:
    """Return name relative to the import root, and path, of every file of a package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise UnavailableError(f"got package {package!r}, which is not installed here")
    if spec.submodule_search_locations is None:
        assert spec.origin is not None, "a module without a package is a file"
        path = Path(spec.origin)
        return [(path.name, path)]
    found = []
    for location in spec.submodule_search_locations:
        root = Path(location)
        for path in root.rglob("*"):
            inner = path.relative_to(root)
            ignored = _IGNORED_DIRECTORIES.intersection(inner.parts[:-1])
            if not ignored and path.is_file() and path.suffix not in _IGNORED_SUFFIXES:
                found.append((f"{package}/{inner.as_posix()}", path))
    return found
