"""Handlers of the simulated service: what clients and operators do in one transaction.

Each call is a program drawn from a number: reads, writes, waits. It writes down what it read, and
what it read is later compared with the state before its entry. A handler that waits is a generator
and keeps its transaction open while others run, as those of ``endpoints`` do.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.base.errors import MisuseError
from ledger.base.ids import TxId
from ledger.crypto.hashing import sha256
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint, Mode, Suspension
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response
from ledger.kv.handle import MapHandle
from ledger.kv.tx import Tx
from ledger.lifecycle.secrets_in_ledger import open_service, rekey, reshare
from ledger.lifecycle.start import FirstNode, Genesis, write_genesis
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeStatus
from ledger.tables.service import ServiceConfiguration
from ledger.testing.sim_replica_identity import (
    NOW,
    PLATFORM,
    SeededEntropy,
    identity,
    in_plain_cover,
    recovery_members,
    service,
)
from ledger.testing.sim_replica_node import ReplicaNode

if TYPE_CHECKING:
    from ledger.codec.writeset import Changes
    from ledger.consensus.tx_status import TxStatus

MAPS = ("records", "public:records", "public:log")
KEYS = tuple(b"key%d" % number for number in range(6))
Waiting = Generator[Suspension, Any, Response]
TRUSTED, RETIRED, PENDING = NodeStatus.TRUSTED, NodeStatus.RETIRED, NodeStatus.PENDING


@dataclass(slots=True)
class RangeRead:
    """Rows of a map that a call read in order, from ``begin`` on; all below ``end`` if it is set.

    Attributes:
        name: The map.
        begin: First key asked for.
        end: First key that was not looked at any more; None when it read to the end of the map.
        rows: Keys and values.
        own: Keys that the call had written itself.
    """

    name: str
    begin: bytes
    end: bytes | None
    rows: list[tuple[bytes, bytes]]
    own: frozenset[bytes]


class Operation:
    """One call of a client or an operator.

    Attributes:
        number: Its number.
        kind: Name of its handler.
        arguments: What the handler needs.
        node: The node that it is made at.
        begin: The node's commit when the transaction of the last run began.
        after: Highest seqno that some client knew to be committed when it began.
        tx: Transaction of its last run.
        reads: Per map and key, the record read: 8 bytes of version and the value, None for none.
        ranges: Rows read in order.
        committed_reads: Per map and key, the committed value read.
        changes: Its writes, once they have an ID.
        claims: Its claims digest.
        tx_id: The ID that it was given.
        read_id: The ID of what it read, when it wrote nothing.
        response: Its answer.
        status: The final status that a client was told.
        resume: Continues it while it waits.
    """

    __slots__ = (
        "after",
        "arguments",
        "begin",
        "chance",
        "changes",
        "claims",
        "committed_reads",
        "kind",
        "node",
        "number",
        "ranges",
        "read_id",
        "reads",
        "request",
        "response",
        "resume",
        "runs",
        "status",
        "tx",
        "tx_id",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        kind: str,
        arguments: tuple[Any, ...],
        node: ReplicaNode,
        request: Request,
        after: int,
    ) -> None:
        self.number = number
        self.kind = kind
        self.arguments = arguments
        self.node = node
        self.request = request
        self.after = after
        self.runs = 0
        self.chance = Random(number)  # noqa: S311
        self.begin = TxId(0, 0)
        self.tx: Tx | None = None
        self.reads: dict[tuple[str, bytes], bytes | None] = {}
        self.ranges: list[RangeRead] = []
        self.committed_reads: dict[tuple[str, bytes], bytes | None] = {}
        self.changes: Changes | None = None
        self.claims: bytes | None = None
        self.tx_id: TxId | None = None
        self.read_id: TxId | None = None
        self.response: Response | None = None
        self.status: TxStatus | None = None
        self.resume: Callable[[Any], None] | None = None

    def start_run(self, tx: Tx) -> None:
        """Forget an earlier run that met a conflict."""
        self.runs += 1
        self.chance = Random(self.number)  # noqa: S311
        self.tx = tx
        self.begin = self.node.replica.commit_id
        self.reads.clear()
        self.ranges.clear()
        self.committed_reads.clear()


class Wait:
    """Something that takes a while: the schedule says when it is over."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def start(self, resume: Callable[[Any], None]) -> None:
        """See ``Suspension``."""
        self._operation.resume = resume


Program = Callable[[Operation, CallContext], Waiting]


def _application(operation: Operation, ctx: CallContext) -> Waiting:
    """Read and write a few keys, in a way that the operation's number decides."""
    chance, tx = operation.chance, ctx.tx
    for _ in range(chance.randint(1, 5)):
        name, key = chance.choice(MAPS), chance.choice(KEYS)
        rows = tx.map(name)
        match chance.randrange(10 if not tx.read_only else 5):
            case 0 | 1 | 2:
                _read(operation, rows, key)
            case 3:
                _read_range(operation, rows, key)
            case 4 if chance.random() < 0.5:
                yield Wait(operation)
            case 4:
                committed = rows.get_committed(key)
                operation.committed_reads[name, key] = committed
            case 5:
                rows.remove(key)
            case 6 | 7:
                seen = _read(operation, rows, key) or b""
                rows.put(key, b"%d after %b" % (operation.number, sha256(seen)[:4]))
            case _:
                rows.put(key, b"%d" % operation.number)
    if chance.random() < 0.3:
        ctx.claims_digest = operation.claims = sha256(b"%d" % operation.number)
    return Response(200)


def _read(operation: Operation, rows: MapHandle, key: bytes) -> bytes | None:
    """Read a key, noting what came of it; own writes are not noted."""
    own = operation.tx.changes.get(rows.name, {}) if operation.tx is not None else {}
    value = rows.get(key)
    if key in own:
        if value != own[key]:
            raise MisuseError(f"read {value!r}, wrote {own[key]!r}")
        return value
    version = rows.version_of(key)
    if value is None or version is None:
        operation.reads[rows.name, key] = None
    else:
        operation.reads[rows.name, key] = version.to_bytes(8, "little") + value
    return value


def _read_range(operation: Operation, rows: MapHandle, begin: bytes) -> None:
    """Read some rows in order."""
    limit = operation.chance.randint(1, 8)
    own = operation.tx.changes.get(rows.name, {}) if operation.tx is not None else {}
    found: list[tuple[bytes, bytes]] = []
    end: bytes | None = None
    for key, value in rows.items(begin):
        found.append((key, value))
        if len(found) == limit:
            end = key + b"\0"
            break
    operation.ranges.append(RangeRead(rows.name, begin, end, found, frozenset(own)))


def _genesis(operation: Operation, ctx: CallContext) -> Waiting:
    """Write the first transaction of the service."""
    (number,) = operation.arguments
    own = identity(number)
    measurement, host_data = PLATFORM.measurement().decode(), PLATFORM.host_data().hex()
    first = FirstNode(own.node_id, own.row(TRUSTED), own.certificate, measurement, host_data)
    configuration = ServiceConfiguration(recovery_threshold=1)
    certificate = service()[1].pem
    write_genesis(ctx.tx, Genesis((), "", configuration, certificate, None, first))
    yield from ()
    return Response(200)


def _change_nodes(operation: Operation, ctx: CallContext) -> Waiting:
    """Trust and remove nodes, those for which it is possible, as the default constitution does."""
    trusting, leaving = operation.arguments
    if operation.chance.random() < 0.3:
        yield Wait(operation)
    table = ctx.tx.table(NODES_INFO)
    certificates = ctx.tx.table(NODES_ENDORSED_CERTIFICATES)
    rows = dict(table.items())
    for number in trusting:
        own = identity(number)
        info = rows.get(own.node_id)
        if info is not None and info.status is PENDING:
            rows[own.node_id] = info = msgspec.structs.replace(info, status=TRUSTED)
            table.put(own.node_id, info)
            certificates.put(own.node_id, own.certificate)
    for node in leaving:
        info = rows.get(node)
        trusted = sum(1 for each in rows.values() if each.status is TRUSTED)
        if info is not None and info.status is PENDING:
            table.remove(node)
            del rows[node]
        elif info is not None and info.status is TRUSTED and trusted > 1:
            rows[node] = info = msgspec.structs.replace(info, status=RETIRED)
            table.put(node, info)
    return Response(200)


def _forget_nodes(operation: Operation, ctx: CallContext) -> Waiting:
    """Delete the rows of nodes that are gone for good."""
    table = ctx.tx.table(NODES_INFO)
    for node, _ in list(table.items()):
        committed = table.get_committed(node)
        if committed is not None and committed.retired_committed:
            table.remove(node)
            ctx.tx.table(NODES_ENDORSED_CERTIFICATES).remove(node)
    yield from ()
    del operation
    return Response(200)


def _describe_node(operation: Operation, ctx: CallContext) -> Waiting:
    """Write the row of some node anew, with other data."""
    table = ctx.tx.table(NODES_INFO)
    rows = list(table.items())
    if operation.chance.random() < 0.3:
        yield Wait(operation)
    node, info = operation.chance.choice(rows)
    table.put(node, msgspec.structs.replace(info, node_data=operation.number))
    return Response(200)


def _open(operation: Operation, ctx: CallContext) -> Waiting:
    """Open the service."""
    entropy = SeededEntropy(operation.number)
    latest = operation.node.replica.sealers.chain.latest
    members = recovery_members()
    open_service(ctx.tx, latest, service()[0], members, entropy=entropy, now=NOW)
    in_plain_cover(ctx.tx)
    yield from ()
    return Response(200)


def _rekey(operation: Operation, ctx: CallContext) -> Waiting:
    """Make a new ledger secret."""
    if operation.chance.random() < 0.3:
        yield Wait(operation)
    latest = operation.node.replica.sealers.chain.latest
    rekey(ctx.tx, latest, recovery_members(), SeededEntropy(operation.number))
    in_plain_cover(ctx.tx)
    if operation.chance.random() < 0.3:
        yield Wait(operation)
    return Response(200)


def _reshare(operation: Operation, ctx: CallContext) -> Waiting:
    """Make new recovery shares."""
    latest = operation.node.replica.sealers.chain.latest
    reshare(ctx.tx, latest, recovery_members(), SeededEntropy(operation.number))
    in_plain_cover(ctx.tx)
    if operation.chance.random() < 0.3:
        yield Wait(operation)
    return Response(200)


PROGRAMS: dict[str, Program] = {
    "write": _application,
    "read": _application,
    "genesis": _genesis,
    "change_nodes": _change_nodes,
    "forget_nodes": _forget_nodes,
    "describe_node": _describe_node,
    "open": _open,
    "rekey": _rekey,
    "reshare": _reshare,
}


def endpoint_of(operation: Operation) -> Endpoint:
    """Return the endpoint that an operation calls."""
    program = PROGRAMS[operation.kind]

    def handler(ctx: CallContext) -> Response | Waiting:
        operation.start_run(ctx.tx)
        running = program(operation, ctx)
        try:
            first = next(running)
        except StopIteration as end:
            response: Response = end.value
            return response
        return _rest(first, running)

    mode = Mode.READONLY if operation.kind == "read" else Mode.READWRITE
    return Endpoint(
        method="POST", path=f"/{operation.kind}", handler=handler, auth=(no_auth,), mode=mode
    )


def _rest(first: Suspension, running: Waiting) -> Waiting:
    """Go on with a program that has begun to wait."""
    result = yield first
    while True:
        try:
            waits = running.send(result)
        except StopIteration as end:
            response: Response = end.value
            return response
        result = yield waits
