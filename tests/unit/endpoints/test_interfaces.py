"""Which paths an interface lets through."""

import pytest

from ledger.base.errors import MisuseError
from ledger.endpoints.interfaces import UNSECURED_PATHS, Interface


@pytest.mark.parametrize(
    ("interface", "path", "accepted"),
    [
        (Interface("a"), "/anything", True),
        (Interface("a", []), "/anything", False),
        (Interface("a", ["/app/.*", "/node/state"]), "/app/log/private", True),
        (Interface("a", ["/app/.*", "/node/state"]), "/node/state", True),
        (Interface("a", ["/app/.*", "/node/state"]), "/node/state/more", False),
        (Interface("a", ["/app/.*", "/node/state"]), "/gov/api", False),
        # The whole path has to match.
        (Interface("a", ["/node"]), "/node/state", False),
        (Interface("a", ["state"]), "/node/state", False),
        # Plain TCP: nothing without expressions, and nothing that the list lacks.
        (Interface("a", unsecured=True), "/node/state", False),
        (Interface("a", [".*"], unsecured=True), "/node/state", True),
        (Interface("a", ["/node/ready/.*"], unsecured=True), "/node/ready/app", True),
        (Interface("a", ["/node/ready/.*"], unsecured=True), "/node/state", False),
        (Interface("a", [".*"], unsecured=True), "/node/network", False),
        (Interface("a", [".*"], unsecured=True), "/app/log/private", False),
        (Interface("a", [".*"], unsecured=True), "/gov/service/info", False),
    ],
)
def test_accepts(interface: Interface, path: str, accepted: bool) -> None:
    assert interface.accepts(path) is accepted
    assert interface.restricted or accepted


def test_unsecured_paths_are_of_the_node_alone() -> None:
    assert all(path.startswith("/node/") for path in UNSECURED_PATHS)


def test_refuses_what_is_no_expression() -> None:
    with pytest.raises(MisuseError, match=r"'\(' of interface a"):
        Interface("a", ["("])
