"""Conversations of ``quorate gov`` with a service; a refusal ends the command with its reason."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from ledger.cli.gov_target import Target
from ledger.cli.gov_text import printable
from ledger.client.governance import Governance, Member
from ledger.client.session import RefusedError, Session

T = TypeVar("T")

EXIT_REFUSED = 1


def in_session(at: Target, body: Callable[[Session], Awaitable[T]]) -> T:
    """Run a conversation with the service; a refusal ends the command with its reason."""

    async def converse() -> T:
        async with at.session() as session:
            return await body(session)

    try:
        return asyncio.run(converse())
    except RefusedError as refusal:
        print(f"quorate gov: {printable(str(refusal))}", file=sys.stderr)
        raise typer.Exit(EXIT_REFUSED) from refusal


def reading(at: Target, body: Callable[[Governance], Awaitable[T]]) -> T:
    """Run a conversation in which somebody looks."""
    return in_session(at, lambda session: body(Governance(session)))


def as_member(at: Target, body: Callable[[Member], Awaitable[T]]) -> T:
    """Run a conversation in which a member acts."""
    identity = at.signer()
    return in_session(at, lambda session: body(Member(session, identity)))
