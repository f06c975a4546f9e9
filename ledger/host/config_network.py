"""Section ``network``: interfaces for clients and for other nodes."""

from dataclasses import dataclass
from typing import Any

from ledger.boundary.settings import InterfaceSettings, Redirections, Resolver
from ledger.host.schema import (
    INVALID,
    Invalid,
    Items,
    Key,
    Named,
    Optional,
    Problem,
    Problems,
    Section,
    plain,
    show,
)
from ledger.host.values import ADDRESS, REGEX, TEXT, choice, integer, size


@dataclass(frozen=True, slots=True)
class NodeToNode:
    """``network.node_to_node_interface``; ``published_address`` None is the bound one."""

    bind_address: str
    published_address: str | None


@dataclass(frozen=True, slots=True)
class Network:
    """Section ``network``.

    Attributes:
        interfaces: By name, in the order of the file. Addresses are as configured: ports may be
            0, ``published_address`` empty means the bound one.
    """

    node_to_node: NodeToNode
    interfaces: dict[str, InterfaceSettings]


def _interface(**values: Any) -> InterfaceSettings:  # noqa: ANN401  (typed by the readers)
    http, endorsement = values.pop("http_configuration"), values.pop("endorsement")
    values.pop("protocol")
    return InterfaceSettings(
        name="",
        bind_address=values.pop("bind_address"),
        published_address=values.pop("published_address") or "",
        authority=endorsement["authority"],
        max_body_size=http["max_body_size"],
        max_header_size=http["max_header_size"],
        max_headers_count=http["max_headers_count"],
        **values,
    )


def _network(
    node_to_node_interface: NodeToNode, rpc_interfaces: dict[str, InterfaceSettings]
) -> Network:
    return Network(node_to_node_interface, rpc_interfaces)


class _ResolverReader:
    """Reads a resolver: which keys ``target`` may have depends on ``kind``."""

    def __call__(self, value: object, path: str, problems: Problems) -> Resolver | Invalid:
        kind = value.get("kind") if isinstance(value, dict) else None
        section = {"NodeByRole": _BY_ROLE, "StaticAddress": _STATIC}.get(str(kind))
        if section is None:
            want = 'an object with "kind" "NodeByRole" or "StaticAddress", and "target"'
            problems.append(Problem(path, show(value), want))
            return INVALID
        return section(value, path, problems)


def _by_role(role: str) -> dict[str, object]:
    """Return where an interface with redirections redirects to when that is left out."""
    return {"kind": "NodeByRole", "target": {"role": role}}


_BY_ROLE = Section(
    lambda kind, target: Resolver(kind=kind, **target),
    {
        "kind": Key(choice("NodeByRole"), required=True),
        "target": Key(
            Section(
                plain,
                {
                    "role": Key(choice("primary", "backup"), required=True),
                    "interface": Key(Optional(TEXT)),
                },
            ),
            required=True,
        ),
    },
)
_STATIC = Section(
    lambda kind, target: Resolver(kind=kind, **target),
    {
        "kind": Key(choice("StaticAddress"), required=True),
        "target": Key(Section(plain, {"address": Key(ADDRESS, required=True)}), required=True),
    },
)
_HTTP = Section(
    plain,
    {
        "max_body_size": Key(size(1, 1 << 30), "1MB"),
        "max_header_size": Key(size(1, 1 << 30), "16KB"),
        "max_headers_count": Key(integer(1, 100_000), 256),
        "max_concurrent_streams_count": Key(integer(0, 1 << 31), 100),
        "initial_window_size": Key(size(0, 1 << 31), "64KB"),
        "max_frame_size": Key(size(0, 1 << 31), "16KB"),
    },
)
_AUTHORITY = choice(
    "Node", "Service", "Unsecured", refused={"ACME": "ACME is not supported, as in CCF 7"}
)
_INTERFACE = Section(
    _interface,
    {
        "bind_address": Key(ADDRESS, required=True),
        "published_address": Key(Optional(ADDRESS)),
        "protocol": Key(choice("tcp", refused={"udp": "udp is not supported"}), "tcp"),
        "app_protocol": Key(choice("HTTP1", refused={"HTTP2": "HTTP/2 is not supported"}), "HTTP1"),
        "max_open_sessions_soft": Key(integer(0, 1 << 31), 1000),
        "max_open_sessions_hard": Key(integer(0, 1 << 31), 1010),
        "http_configuration": Key(_HTTP, {}),
        "endorsement": Key(
            Section(plain, {"authority": Key(_AUTHORITY, required=True)}), {"authority": "Service"}
        ),
        "accepted_endpoints": Key(Optional(Items(REGEX))),
        "forwarding_timeout_ms": Key(integer(1, 3_600_000), 3000),
        "redirections": Key(
            Optional(
                Section(
                    Redirections,
                    {
                        "to_primary": Key(Optional(_ResolverReader()), _by_role("primary")),
                        "to_backup": Key(Optional(_ResolverReader()), _by_role("backup")),
                    },
                )
            )
        ),
    },
)
NETWORK = Section(
    _network,
    {
        "node_to_node_interface": Key(
            Section(
                NodeToNode,
                {
                    "bind_address": Key(ADDRESS, required=True),
                    "published_address": Key(Optional(ADDRESS)),
                },
            ),
            required=True,
        ),
        "rpc_interfaces": Key(Named(_INTERFACE, least=1), required=True),
    },
)
