"""A pipeline over bare endpoints, for tests of its checks one by one."""

from collections.abc import Callable
from typing import Any

from ledger.endpoints.auth import AuthPolicy, no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Handler, Mode
from ledger.endpoints.forwarding import Placement
from ledger.endpoints.interfaces import Interface
from ledger.endpoints.local_log import LocalLog
from ledger.endpoints.pipeline import Frontend, Pipeline
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import JSON, Response
from ledger.endpoints.turns import Turns
from ledger.testing.app_client import Caller

NOW = 1_750_000_000.0

Plain = Callable[[CallContext], Response]
"""A handler that does not wait."""


def answer(status: int = 200, body: bytes = b"true") -> Plain:
    """Return a handler that touches nothing."""

    def handler(_context: CallContext) -> Response:
        return Response(status, body, JSON)

    return handler


def writing(status: int = 200, apply_writes: bool | None = None) -> Plain:
    """Return a handler that counts its runs in a table."""

    def handler(context: CallContext) -> Response:
        counts = context.tx.map("counts")
        runs = int.from_bytes(counts.get(b"runs") or b"", "big") + 1
        counts.put(b"runs", runs.to_bytes(4, "big"))
        context.apply_writes = apply_writes
        return Response(status, str(runs).encode(), JSON)

    return handler


def reading(context: CallContext) -> Response:
    """Answer with the count."""
    runs = int.from_bytes(context.tx.map("counts").get(b"runs") or b"", "big")
    return Response(200, str(runs).encode(), JSON)


class Hold:
    """A suspension that the test ends."""

    def __init__(self) -> None:
        self.resume: Callable[[Any], None] | None = None

    def start(self, resume: Callable[[Any], None]) -> None:
        self.resume = resume

    def end(self, result: object = None) -> None:
        assert self.resume is not None, "it was started"
        resume, self.resume = self.resume, None
        resume(result)


class Kit:
    """A log, three registries, doors and switches."""

    def __init__(
        self,
        *,
        interfaces: tuple[Interface, ...] = (),
        placement: Placement | None = None,
        tell_messages: bool = False,
    ) -> None:
        self.log = LocalLog(commits_at_once=False)
        self.open = {"/app": True, "/node": True, "/gov": True}
        self.registries = {prefix: Registry(prefix) for prefix in self.open}
        self.failures: list[str] = []
        self.now = NOW
        self._interfaces = interfaces
        self._placement = placement
        self._tell_messages = tell_messages

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        prefix: str = "/app",
        mode: Mode = Mode.READWRITE,
        auth: tuple[AuthPolicy, ...] = (no_auth,),
        respond_after_commit: bool = False,
        turns: Turns | None = None,
    ) -> None:
        self.registries[prefix].add(
            Endpoint(
                method=method,
                path=path,
                handler=handler,
                mode=mode,
                auth=auth,
                respond_after_commit=respond_after_commit,
                turns=turns,
            )
        )

    def build(self) -> Pipeline:
        def door(prefix: str) -> Callable[[], bool]:
            return lambda: self.open[prefix]

        return Pipeline(
            self.log,
            [
                Frontend(registry, door(prefix), back_pressured=prefix != "/node")
                for prefix, registry in self.registries.items()
            ],
            now=lambda: self.now,
            on_failure=self.failures.append,
            interfaces=self._interfaces,
            placement=self._placement,
            tell_messages=self._tell_messages,
        )

    def caller(self, pipeline: Pipeline | None = None) -> Caller:
        """Return somebody without a certificate, on a pipeline of their own unless given."""
        return Caller(pipeline or self.build(), None)
