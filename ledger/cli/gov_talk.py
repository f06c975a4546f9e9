"""Conversations of ``quorate gov`` with a service; a refusal ends the command with its reason."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer

from ledger.cli.gov_target import Target
from ledger.client.governance import API_VERSION, Member
from ledger.client.session import Answer, RefusedError, Session

T = TypeVar("T")

EXIT_REFUSED = 1
VERSION = f"api-version={API_VERSION}"
_COSE = {"content-type": "application/cose"}


def in_session(at: Target, body: Callable[[Session], Awaitable[T]]) -> T:
    """Run a conversation with the service; a refusal ends the command with its reason."""

    async def converse() -> T:
        async with at.session() as session:
            return await body(session)

    try:
        return asyncio.run(converse())
    except RefusedError as refusal:
        print(f"quorate gov: {refusal}", file=sys.stderr)
        raise typer.Exit(EXIT_REFUSED) from refusal


def as_member(at: Target, body: Callable[[Member], Awaitable[T]]) -> T:
    """Run a conversation in which a member acts."""
    identity = at.signer()
    return in_session(at, lambda session: body(Member(session, identity)))


def get_json(at: Target, *paths: str) -> list[Any]:
    """Return the JSON answers of some paths below one service."""

    async def read(session: Session) -> list[Any]:
        answers = []
        for path in paths:
            mark = "&" if "?" in path else "?"
            answer = await session.get(f"{path}{mark}{VERSION}")
            answers.append(answer.expect(200).json())
        return answers

    return in_session(at, read)


def get_text(at: Target, path: str) -> str:
    """Return what a path answers, as text."""

    async def read(session: Session) -> str:
        answer = await session.get(f"{path}?{VERSION}")
        return answer.expect(200).body.decode("utf-8", "replace")

    return in_session(at, read)


def send(at: Target, path: str, message: bytes) -> Answer:
    """Send a signed message and return the answer, which is a good one."""

    async def post(session: Session) -> Answer:
        return (await session.post(path, body=message, headers=_COSE)).expect()

    return in_session(at, post)
