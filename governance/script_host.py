"""Answers the calls of scripts: one function a name, arguments checked before anything is done.

The clock stands still at the time the member's message says it was made. What only the node can
do (``node.…``) is for ``apply`` alone.
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from governance import checks, issuers
from governance.limits import limits_problem
from governance.node_actions import NodeActions
from governance.operations import NodeOperations, OperationRefused
from governance.proposal_store import drop_open
from governance.script_access import Phase
from governance.script_tables import ScriptTables
from governance.scripting import HostError
from ledger.base.errors import FormatError
from ledger.codec import canonical
from ledger.crypto.certificate import Certificate
from ledger.kv.tx import Tx

T = TypeVar("T")
Function = Callable[[list[Any]], Any]


class ScriptHost:
    """Host functions for one script over one transaction; call it with name and arguments."""

    __slots__ = ("_created_at", "_functions", "_phase", "_tables", "_tx")

    def __init__(
        self,
        tx: Tx,
        phase: Phase,
        created_at: int,
        operations: NodeOperations | None = None,
        *,
        refuse_volatile: bool = False,
    ) -> None:
        """Bind to a transaction.

        Args:
            tx: Where tables are read and written.
            phase: What the script is run for; decides what it may touch.
            created_at: Seconds since 1970 that the script's clock shows.
            operations: The node; None where there is none to ask.
            refuse_volatile: Refuse to read tables that change with every signature.
        """
        self._tx = tx
        self._phase = phase
        self._created_at = created_at
        self._functions: dict[str, Function] = dict(_PURE)
        self._functions["clock.created_at"] = lambda _: created_at
        self._tables = ScriptTables(tx, phase, refuse_volatile=refuse_volatile)
        self._add_tables(self._tables)
        self._add_apply(operations)

    @property
    def refused_table(self) -> str | None:
        """The volatile table that the script wanted to read and might not, if there was one."""
        return self._tables.refused_table

    def __call__(self, name: str, arguments: list[Any]) -> Any:  # noqa: ANN401 - JSON of any shape
        """Answer one call.

        Raises:
            HostError: no such function, wrong arguments, or the function says no.
        """
        function = self._functions.get(name)
        if function is None:
            raise HostError(f"there is no host function {name[:60]!r}")
        try:
            return function(arguments)
        except IndexError:
            raise HostError(f"{name} got {len(arguments)} arguments, want more") from None
        except OperationRefused as refusal:
            raise HostError(str(refusal)) from refusal

    def _add_tables(self, tables: ScriptTables) -> None:
        self._functions |= {
            "kv.get": lambda a: tables.get(_text(a[0]), _key(a[1])),
            "kv.has": lambda a: tables.has(_text(a[0]), _key(a[1])),
            "kv.put": lambda a: tables.put(_text(a[0]), _key(a[1]), a[2]),
            "kv.remove": lambda a: tables.remove(_text(a[0]), _key(a[1])),
            "kv.clear": lambda a: tables.clear(_text(a[0])),
            "kv.keys": lambda a: tables.keys(_text(a[0])),
            "kv.items": lambda a: tables.items(_text(a[0])),
            "kv.size": lambda a: tables.size(_text(a[0])),
            "kv.put_bytes": lambda a: tables.put_bytes(_text(a[0]), _bytes(a[1]), _bytes(a[2])),
            "kv.remove_bytes": lambda a: tables.remove_bytes(_text(a[0]), _bytes(a[1])),
        }

    def _add_apply(self, operations: NodeOperations | None) -> None:
        if self._phase is not Phase.APPLY:
            for name in _APPLY_ONLY:
                self._functions[name] = _refuse_outside_apply(name, self._phase)
            return
        tx = self._tx
        self._functions["proposals.drop_open"] = lambda a: drop_open(tx, _text(a[0]))
        self._functions["jwt.set_keys"] = lambda a: issuers.set_keys(tx, _text(a[0]), a[1])
        self._functions["jwt.remove_keys"] = lambda a: issuers.remove_keys(tx, _text(a[0]))
        if operations is None:
            return
        actions = NodeActions(tx, operations)
        self._functions |= {
            "node.open_service": lambda a: actions.open_service(_text(a[0]), _key(a[1])),
            "node.refresh_recovery_shares": lambda _: actions.refresh_recovery_shares(),
            "node.rekey_ledger": lambda _: actions.rekey_ledger(),
            "node.give_state_digest": lambda a: operations.give_state_digest(tx, _text(a[0])),
            "node.latest_ledger_secret_seqno": lambda _: operations.latest_ledger_secret_seqno(tx),
            "node.endorse": lambda a: actions.endorse(_text(a[0]), _text(a[1]), _days(a[2])),
            "node.renew_service_certificate": lambda a: actions.renew_service_certificate(
                _text(a[0]), _days(a[1])
            ),
            "node.trigger_ledger_chunk": lambda _: operations.trigger_ledger_chunk(tx),
            "node.trigger_snapshot": lambda _: operations.trigger_snapshot(tx),
        }


_APPLY_ONLY = (
    "proposals.drop_open",
    "jwt.set_keys",
    "jwt.remove_keys",
    "node.open_service",
    "node.refresh_recovery_shares",
    "node.rekey_ledger",
    "node.give_state_digest",
    "node.latest_ledger_secret_seqno",
    "node.endorse",
    "node.renew_service_certificate",
    "node.trigger_ledger_chunk",
    "node.trigger_snapshot",
)


def _refuse_outside_apply(name: str, phase: Phase) -> Function:
    def refuse(arguments: list[Any]) -> None:
        del arguments
        raise HostError(f"{phase.value} may not call {name}: only apply changes anything")

    return refuse


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise HostError(f"got {type(value).__name__}, want text")
    return value


def _key(value: object) -> str | None:
    return None if value is None else _text(value)


def _bytes(value: object) -> bytes:
    try:
        return canonical.b64decode(_text(value))
    except FormatError as error:
        raise HostError(str(error)) from error


def _days(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise HostError(f"got {type(value).__name__}, want a whole number of days")
    return value


def _certificate_id(pem: str) -> str:
    try:
        return Certificate.parse(pem).id
    except FormatError as error:
        raise HostError(str(error)) from error


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise HostError("got text without a UTF-8 form") from error


def _base64_text(data: str) -> str:
    try:
        return _bytes(data).decode()
    except UnicodeDecodeError as error:
        raise HostError("got base64 of bytes that are not UTF-8 text") from error


_PURE: dict[str, Function] = {
    "crypto.sha256": lambda a: hashlib.sha256(_utf8(_text(a[0]))).hexdigest(),
    "crypto.sha256_base64": lambda a: hashlib.sha256(_bytes(a[0])).hexdigest(),
    "crypto.certificate_problem": lambda a: checks.certificate_problem(a[0]),
    "crypto.certificate_id": lambda a: _certificate_id(_text(a[0])),
    "crypto.certificate_bundle_problem": lambda a: checks.certificate_bundle_problem(a[0]),
    "crypto.encryption_key_problem": lambda a: checks.encryption_key_problem(a[0]),
    "crypto.jwk_problem": lambda a: checks.jwk_problem(a[0]),
    "text.base64_encode": lambda a: canonical.b64encode(_utf8(_text(a[0]))),
    "text.base64_decode": lambda a: _base64_text(_text(a[0])),
    "text.is_hex": lambda a: checks.is_hex(a[0], a[1]),
    "text.url_problem": lambda a: checks.url_problem(a[0]),
    "text.time_problem": lambda a: checks.time_problem(a[0]),
    "script.limits_problem": lambda a: limits_problem(a[0]),
}
