"""Names in a node's certificate: what clients and other nodes dial."""

from types import SimpleNamespace
from typing import Any

from ledger.launch.identity import alternative_names


def settings(*addresses: str, configured: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - the part that is looked at
    published = [SimpleNamespace(published_address=address) for address in addresses]
    return SimpleNamespace(
        node_certificate=SimpleNamespace(subject_alt_names=configured),
        interfaces=published[:-1],
        node_to_node=published[-1],
    )


def test_every_published_host_is_named_once() -> None:
    given = settings("127.0.0.1:1", "[::1]:2", "[0:0::1]:3", "node.example:4", "127.0.0.1:5")
    assert alternative_names(given) == [
        "iPAddress:127.0.0.1",
        "iPAddress:::1",
        "dNSName:node.example",
    ]


def test_configured_names_come_alone() -> None:
    names = ("dNSName:service.example",)
    assert alternative_names(settings("127.0.0.1:1", "[::1]:2", configured=names)) == names
