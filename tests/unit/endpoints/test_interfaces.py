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


@pytest.mark.parametrize(
    ("accepted", "served"),
    [
        (["/node/ready/.*", "/node/state", "/app/.*"], ["ready/app", "ready/gov", "state"]),
        (["/node/com.*"], ["commit"]),
        (["/app/.*"], []),
        (None, []),
    ],
)
def test_operators_are_told_what_is_served_in_the_clear(
    accepted: list[str] | None, served: list[str]
) -> None:
    line = Interface("a", accepted, unsecured=True).in_the_clear()
    paths = ", ".join(f"/node/{name}" for name in served)
    what = f"only {paths}" if paths else "nothing"
    assert f"Interface a is plain TCP: of what accepted_endpoints lists, it serves {what};" in line


def test_refuses_what_is_no_expression() -> None:
    with pytest.raises(MisuseError, match=r"'\(' of interface a"):
        Interface("a", ["("])
