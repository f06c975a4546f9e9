"""Changing the nodes of an open service: what members and operators do, step by step.

A node is added by starting it, having the members trust it, and waiting until it serves. It is
removed by having the members remove it, waiting until it is removable, stopping it, and having the
service forget it.
"""

import time
from collections.abc import Sequence
from typing import Any

from ledger.base.errors import LedgerError, UnavailableError
from ledger.client.governance import Member
from ledger.client.identity import Identity
from ledger.client.service import Polling
from ledger.client.session import RefusedError, Session
from ledger.sandbox.configuration import INTERFACE
from ledger.sandbox.opening import Tell, agree
from ledger.sandbox.process import NodeProcess

TIMEOUT_S = 60.0


async def trust_node(
    session: Session, members: Sequence[Identity], node_id: str, tell: Tell
) -> None:
    """Have the members accept a node that waits as Pending."""
    valid_from = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 60))
    args = {"node_id": node_id, "valid_from": valid_from}
    await _decide(session, members, {"name": "transition_node_to_trusted", "args": args}, tell)


async def retire_node(
    session: Session, members: Sequence[Identity], node_id: str, tell: Tell
) -> None:
    """Have the members remove a node, and wait until it may be stopped."""
    await _decide(session, members, {"name": "remove_node", "args": {"node_id": node_id}}, tell)
    await wait_until_removable(session, node_id)


async def wait_until_pending(session: Session, node_id: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a node has asked to join.

    Raises:
        UnavailableError: it did not in time.
    """
    polling = Polling(timeout_s)
    while await status_of(session, node_id) is None:
        await polling.pause(f"node {node_id} is not known, want it Pending")


async def wait_until_removable(
    session: Session, node_id: str, timeout_s: float = TIMEOUT_S
) -> None:
    """Wait until the retirement of a node is committed everywhere it has to be.

    Raises:
        UnavailableError: it is not in time.
    """
    polling = Polling(timeout_s)
    while True:
        try:
            answer = (await session.get("/node/network/removable_nodes")).expect(200)
        except (UnavailableError, RefusedError) as error:
            found = str(error)
        else:
            if any(node["node_id"] == node_id for node in answer.json()["nodes"]):
                return
            found = f"node {node_id} is not among the removable nodes"
        await polling.pause(found)


async def forget_node(session: Session, node_id: str, timeout_s: float = TIMEOUT_S) -> None:
    """Have the service forget a node that is removable.

    Raises:
        RefusedError: it is not removable.
        UnavailableError: nobody could do it in time.
    """
    polling = Polling(timeout_s)
    while True:
        try:
            answer = await session.request("DELETE", f"/node/network/nodes/{node_id}")
        except UnavailableError as error:
            found = str(error)
        else:
            # After an answer that was lost the node may be gone already.
            if answer.status in {200, 404}:
                return
            if answer.status < 500:
                raise RefusedError(answer)
            found = f"got {answer.status}"
        await polling.pause(f"node {node_id} cannot be forgotten: {found}")


async def status_of(session: Session, node_id: str) -> str | None:
    """Return Pending, Trusted or Retired; None for a node that is not known, or nobody answers."""
    try:
        answer = await session.get(f"/node/network/nodes/{node_id}")
    except UnavailableError:
        return None
    return str(answer.json()["status"]) if answer.status == 200 else None


async def wait_until_serving(
    node: NodeProcess, service_certificate: str, timeout_s: float = TIMEOUT_S
) -> None:
    """Wait until a node answers users and knows a primary: it has caught up with that.

    Raises:
        UnavailableError: not in time, or the node ended; with the end of its log.
    """
    polling = Polling(timeout_s)
    async with Session(node.address(INTERFACE), service_certificate) as session:
        while True:
            try:
                status = (await session.get("/node/ready/app")).status
                found = f"/node/ready/app answers {status}"
            except UnavailableError as error:
                status, found = 0, str(error)
            if status == 204:
                return
            if node.exit_code is not None:
                raise UnavailableError(f"node ended with {node.exit_code}:\n{node.log_tail()}")
            await polling.pause(f"node {node.node_id} does not serve: {found}")


async def _decide(
    session: Session, members: Sequence[Identity], action: dict[str, Any], tell: Tell
) -> None:
    """Agree on an action, again when an election comes between: every action can be repeated."""
    polling = Polling(TIMEOUT_S)
    while True:
        try:
            await agree([Member(session, each) for each in members], [action], tell)
        except UnavailableError as error:
            found: LedgerError = error
        except RefusedError as error:
            if error.status < 500:
                raise
            found = error
        else:
            return
        await polling.pause(f"{action['name']} is not decided: {found}")
