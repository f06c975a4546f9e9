"""The nodes of a service: as its nodes table lists them, and as each of them sees itself."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ledger.base.errors import FormatError, LedgerError, UnavailableError
from ledger.base.ids import TxId
from ledger.client.session import Session

_NOTHING = TxId(0, 0)


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A row of the nodes table.

    Attributes:
        id: Node ID.
        status: Pending, Trusted or Retired.
        is_primary: Whether the node that was asked takes it for the primary.
        is_removable: Whether it is retired for good and can be stopped.
        addresses: Published address of each RPC interface.
    """

    id: str
    status: str
    is_primary: bool
    is_removable: bool
    addresses: dict[str, str]


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as it sees itself.

    Attributes:
        address: Where it was asked.
        id: Node ID; empty when it did not say it.
        state: Start-up state, for example ``PartOfNetwork``.
        role: Leader, Follower, Candidate, PreVoteCandidate, None; ``away`` without an answer.
        view: Current view.
        commit: Newest committed transaction it knows of.
        retirement: Phase of its retirement, empty while it is active.
        problem: Why it did not answer, else empty.
    """

    address: str
    id: str = ""
    state: str = ""
    role: str = "away"
    view: int = 0
    commit: TxId = _NOTHING
    retirement: str = ""
    problem: str = ""


async def list_nodes(session: Session) -> list[ListedNode]:
    """Return the nodes table as one node has it.

    Raises:
        UnavailableError: no answer.
        RefusedError: the service does not answer yet.
        FormatError: the answer is not what it has to be.
    """
    listed = (await session.get("/node/network/nodes")).expect(200).json()
    removable = (await session.get("/node/network/removable_nodes")).expect(200).json()
    try:
        over = {node["node_id"] for node in removable["nodes"]}
        return [
            ListedNode(
                id=str(node["node_id"]),
                status=str(node["status"]),
                is_primary=bool(node["primary"]),
                is_removable=node["node_id"] in over,
                addresses=_addresses(node["rpc_interfaces"]),
            )
            for node in listed["nodes"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"got nodes that cannot be read: {error!r}") from error


async def look_at(address: str, service_certificate: str, timeout_s: float) -> NodeView:
    """Ask one node how it is; one that does not answer is described too."""
    try:
        async with Session(address, service_certificate, timeout_s=timeout_s) as session:
            paths = ("/node/state", "/node/consensus", "/node/commit")
            state, consensus, commit = [
                (await session.get(path)).expect(200).json() for path in paths
            ]
            details: dict[str, Any] = consensus["details"]
            return NodeView(
                address=address,
                id=str(state["node_id"]),
                state=str(state["state"]),
                role=str(details.get("leadership_state", "None")),
                view=int(details["current_view"]),
                commit=TxId.parse(commit["transaction_id"]),
                retirement=str(details.get("retirement_phase", "")),
            )
    except UnavailableError as error:
        return NodeView(address, problem=str(error))
    except LedgerError as error:
        return NodeView(address, role="unknown", problem=str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return NodeView(address, role="unknown", problem=f"its answer cannot be read: {error!r}")


async def look_at_all(
    addresses: Iterable[str], service_certificate: str, timeout_s: float = 3.0
) -> list[NodeView]:
    """Ask several nodes at the same time, in the order given."""
    looks = (look_at(address, service_certificate, timeout_s) for address in addresses)
    return list(await asyncio.gather(*looks))


def _addresses(interfaces: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {
        name: str(interface.get("published_address") or interface["bind_address"])
        for name, interface in interfaces.items()
    }
