"""Changes that nodes make by themselves: what passes, and what is no such change."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from governance.interpreter import run
from governance.replay.recorded import recorded
from governance.replay.replay import Replay
from governance.replay.unsigned import judge_unsigned
from governance.replay.verdict import Verdict
from ledger.codec.canonical import b64encode, dumps
from ledger.codec.entry import parse_entry
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS, RECOVERY_SHARES, SUBMITTED_SHARES
from ledger.tables.members import MEMBER_INFO, USER_CERTS
from ledger.tables.nodes import NODES_ENDORSED_CERTIFICATES, NODES_INFO, NodeInfo, NodeStatus
from ledger.tables.service import (
    CONSTITUTION,
    JWT_ISSUERS,
    JWT_SIGNING_KEYS,
    PREVIOUS_SERVICE_IDENTITY,
    SERVICE_INFO,
    JwtIssuer,
    ServiceInfo,
    ServiceStatus,
)
from tests.unit.governance.gov_kit import NOW, first_member, person
from tests.unit.governance.replay_kit import (
    LedgerConsortium,
    bent,
    difference,
    node_identity,
    node_key,
    node_row,
)
from tests.unit.governance.replay_story import node_of_story, story


def before(*writes: Callable[[Tx], None]) -> Tx:
    """Return a view of the tables at the end of the story, with some more writes."""
    tx = story().replica.begin()
    for write in writes:
        write(tx)
    return tx


def judged(changes: Changes, *writes: Callable[[Tx], None]) -> Verdict:
    verdict = judge_unsigned(100, changes, before(*writes))
    assert verdict is not None
    return verdict


def row(info: NodeInfo) -> bytes:
    return NODES_INFO.value.encode(info)


def retired() -> tuple[str, NodeInfo]:
    node_id = node_of_story(story(), "rack 3")
    info = before().table(NODES_INFO).get(node_id)
    assert info is not None
    assert info.status is NodeStatus.RETIRED
    return node_id, info


def test_a_retirement_is_closed() -> None:
    node_id, info = retired()
    closed = msgspec.structs.replace(info, retired_committed=True)
    assert judged({NODES_INFO.name: {node_id.encode(): row(closed)}}) == Verdict("retirement")


@pytest.mark.parametrize(
    "change",
    [
        {"retired_committed": False},
        {"retired_committed": True, "node_data": "other"},
        {"retired_committed": True, "status": NodeStatus.TRUSTED},
    ],
)
def test_a_retirement_changes_nothing_else(change: dict[str, Any]) -> None:
    node_id, info = retired()
    other = msgspec.structs.replace(info, **change)
    verdict = judged({NODES_INFO.name: {node_id.encode(): row(other)}})
    assert verdict.problem is not None


def test_a_trusted_node_does_not_change_by_itself() -> None:
    it = story()
    info = before().table(NODES_INFO).get(it.node_id)
    assert info is not None
    for change in ({"status": NodeStatus.RETIRED}, {"node_data": 1}, {"retired_committed": True}):
        other = msgspec.structs.replace(info, **change)
        verdict = judged({NODES_INFO.name: {it.node_id.encode(): row(other)}})
        assert verdict.problem == "a node's row changed without a decision of the members"


def close(tx: Tx) -> None:
    node_id, info = retired()
    tx.table(NODES_INFO).put(node_id, msgspec.structs.replace(info, retired_committed=True))


def test_a_node_is_forgotten_once_its_retirement_is_over() -> None:
    key = retired()[0].encode()
    gone: Changes = {NODES_INFO.name: {key: None}, NODES_ENDORSED_CERTIFICATES.name: {key: None}}
    assert judged(gone, close) == Verdict("forgotten node")
    assert judged(gone).problem == "the node is forgotten before its retirement is over"
    kept: Changes = {**gone, NODES_ENDORSED_CERTIFICATES.name: {key: b"-"}}
    assert judged(kept, close).problem == "the node is forgotten and its certificate is not"
    assert judged({NODES_INFO.name: {b"00": None}}).problem is not None


def joining(name: str, status: NodeStatus, change: dict[str, Any] | None = None) -> Changes:
    info = msgspec.structs.replace(node_row(name, 9000, status), ledger_secret_seqno=None)
    info = msgspec.structs.replace(info, **(change or {}))
    key = node_key(name).public.id.encode()
    return {NODES_INFO.name: {key: row(info)}}


def endorsed(name: str) -> Changes:
    key = node_key(name).public.id.encode()
    pem = story().keys.service.endorse(node_identity(name).request, NOW, 10).pem
    return {NODES_ENDORSED_CERTIFICATES.name: {key: pem.encode()}}


def opening(tx: Tx) -> None:
    service = tx.singleton(SERVICE_INFO).get()
    assert service is not None
    tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(service, status=ServiceStatus.OPENING))


def test_a_node_joins_as_pending_while_the_service_is_open() -> None:
    assert judged(joining("new", NodeStatus.PENDING)) == Verdict("join")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": NodeStatus.TRUSTED}, "says what no join request says"),
        ({"status": NodeStatus.RETIRED}, "says what no join request says"),
        ({"ledger_secret_seqno": 1}, "says what no join request says"),
        ({"retired_committed": True}, "says what no join request says"),
        ({"public_key": "-"}, "says what no join request says"),
        ({"certificate_signing_request": None}, "no request for a certificate"),
        ({"certificate_signing_request": "-"}, "is refused"),
        (
            {"node_to_node_interface": {"published_address": "127.0.0.1:1000"}},
            "has the node-to-node address 127.0.0.1:1000",
        ),
    ],
)
def test_a_node_does_not_join_otherwise(change: dict[str, Any], words: str) -> None:
    verdict = judged(joining("new", NodeStatus.PENDING, change))
    assert verdict.problem is not None
    assert words in verdict.problem


def test_evidence_is_judged_by_the_policy_of_that_time() -> None:
    changes = joining("new", NodeStatus.PENDING)
    info = node_row("other", 9000, NodeStatus.PENDING)
    key = node_key("new").public.id.encode()
    value = changes[NODES_INFO.name][key]
    assert value is not None
    foreign = msgspec.structs.replace(NODES_INFO.value.decode(value), quote_info=info.quote_info)
    verdict = judged({NODES_INFO.name: {key: row(foreign)}})
    assert verdict.problem is not None
    assert "report data is not for this node's key" in verdict.problem


def test_a_node_is_trusted_at_once_only_while_the_service_opens() -> None:
    trusted = joining("new", NodeStatus.TRUSTED)
    assert judged(trusted | endorsed("new"), opening) == Verdict("join")
    assert judged(trusted | endorsed("new")).problem is not None
    assert judged(trusted, opening).problem == "a Trusted node got no certificate"
    key = node_key("new").public.id.encode()
    rows = {key: next(iter(endorsed("other")[NODES_ENDORSED_CERTIFICATES.name].values()))}
    verdict = judged(trusted | {NODES_ENDORSED_CERTIFICATES.name: rows}, opening)
    assert verdict.problem is not None
    assert "the certificate is for key" in verdict.problem


def test_a_pending_node_gets_no_certificate() -> None:
    verdict = judged(joining("new", NodeStatus.PENDING) | endorsed("new"))
    assert verdict.problem == "a Pending node got a certificate"


def test_a_certificate_alone_is_nobodys_decision() -> None:
    assert judged(endorsed("new")).problem == "nobody decided on it"
    assert judged(endorsed("node0")).problem == "nobody decided on it"


def token_rows(*issuers: str) -> bytes:
    der = story().keys.node.key.public.der
    return dumps([{"issuer": each, "public_key": b64encode(der)} for each in issuers])


def issuers(tx: Tx) -> None:
    tx.table(JWT_ISSUERS).put("https://auto", JwtIssuer(auto_refresh=True))
    tx.table(JWT_ISSUERS).put("https://by-hand", JwtIssuer())
    tx.map(JWT_SIGNING_KEYS.name).put(b"both", token_rows("https://auto", "https://by-hand"))


@pytest.mark.parametrize(
    ("kid", "value", "passes"),
    [
        (b"new", token_rows("https://auto"), True),
        (b"both", token_rows("https://by-hand"), True),
        (b"both", token_rows("https://by-hand", "https://auto"), True),
        (b"new", token_rows("https://by-hand"), False),
        (b"new", token_rows("https://unknown"), False),
        (b"both", token_rows("https://auto"), False),
        (b"both", None, False),
        (b"new", None, False),
        (b"new", b"[]", False),
        (b"new", b"{", False),
        (b"new", dumps([{"issuer": "https://auto", "public_key": "AAAA"}]), False),
    ],
)
def test_keys_are_refreshed_of_issuers_that_are_refreshed(
    kid: bytes, value: bytes | None, passes: bool
) -> None:
    verdict = judged({JWT_SIGNING_KEYS.name: {kid: value}}, issuers)
    assert (verdict.problem is None) == passes, verdict


def waiting(tx: Tx) -> None:
    service = tx.singleton(SERVICE_INFO).get()
    assert service is not None
    status = ServiceStatus.WAITING_FOR_RECOVERY_SHARES
    tx.singleton(SERVICE_INFO).put(msgspec.structs.replace(service, status=status))


def test_shares_are_taken_while_the_service_waits_for_them() -> None:
    alice = person("alice").id.encode()
    share: Changes = {SUBMITTED_SHARES.name: {alice: b'"AAAA"'}}
    assert judged(share, waiting) == Verdict("share")
    last = share | {ENCRYPTED_LEDGER_SECRETS.name: {SINGLETON_KEY: b"{}"}}
    assert judged(last, waiting) == Verdict("share")
    assert judged(share).problem is not None
    assert judged({SUBMITTED_SHARES.name: {b"x": b"1"}}, waiting).problem is not None
    with_more = share | {MEMBER_INFO.name: {alice: b"{}"}}
    assert judged(with_more, waiting).problem is not None


def recovery(**change: object) -> Changes:
    service = before().singleton(SERVICE_INFO).get()
    assert service is not None
    info = ServiceInfo(cert=person("s2").pem, status=ServiceStatus.RECOVERING)
    new = msgspec.structs.replace(info, **change)
    return {
        SERVICE_INFO.name: {SINGLETON_KEY: SERVICE_INFO.value.encode(new)},
        PREVIOUS_SERVICE_IDENTITY.name: {SINGLETON_KEY: dumps(service.cert)},
        NODES_INFO.name: {b"node": b"{}"},
    }


def test_another_service_may_continue_a_ledger() -> None:
    verdict = judged(recovery())
    assert (verdict.what, verdict.problem) == ("recovery", None)
    assert verdict.taken


def test_a_recovery_decides_nothing_else() -> None:
    assert judged(recovery(status=ServiceStatus.OPEN)).problem == (
        "the service is Open, want Recovering"
    )
    for extra in (CONSTITUTION.name, USER_CERTS.name, MEMBER_INFO.name):
        verdict = judged(recovery() | {extra: {b"key": b"value"}})
        assert verdict.problem == "a recovery decides nothing else"
    foreign = recovery()
    foreign[PREVIOUS_SERVICE_IDENTITY.name] = {SINGLETON_KEY: dumps("another")}
    assert judged(foreign).problem is not None
    alone = recovery()
    del alone[SERVICE_INFO.name]
    assert judged(alone).problem is not None


def opened(**change: object) -> Changes:
    service = before().singleton(SERVICE_INFO).get()
    assert service is not None
    new = msgspec.structs.replace(service, status=ServiceStatus.OPEN)
    new = msgspec.structs.replace(new, **change)
    return {
        SERVICE_INFO.name: {SINGLETON_KEY: SERVICE_INFO.value.encode(new)},
        RECOVERY_SHARES.name: {SINGLETON_KEY: b"{}"},
    }


def test_a_recovered_service_opens_again() -> None:
    assert judged(opened(), waiting) == Verdict("recovered")
    assert judged(opened(service_data=1), waiting).problem is not None
    assert judged(opened()).problem is not None


# -- genesis ---------------------------------------------------------------------------


def bent_genesis(edit: Callable[[Changes], None]) -> str:
    found = difference(bent(story(), 1, edit))
    assert found is not None
    assert found.what == "genesis"
    assert found.tx_id.seqno == 1
    return found.message


def test_a_genesis_makes_nobody_active() -> None:
    def activate(changes: Changes) -> None:
        rows = changes[MEMBER_INFO.name]
        for key, value in rows.items():
            assert value is not None
            rows[key] = value.replace(b"Accepted", b"Active")

    assert "want" in bent_genesis(activate) or "replay gives" in bent_genesis(activate)


def test_a_genesis_gives_its_node_a_certificate_of_the_service() -> None:
    def self_signed(changes: Changes) -> None:
        pem = node_identity("node0").self_signed.pem.encode()
        changes[NODES_ENDORSED_CERTIFICATES.name] = {story().node_id.encode(): pem}

    assert "the node's certificate is refused" in bent_genesis(self_signed)


def test_a_genesis_has_one_node() -> None:
    def two(changes: Changes) -> None:
        changes[NODES_INFO.name] |= joining("new", NodeStatus.PENDING)[NODES_INFO.name]

    assert "got 2 rows in public:ccf.gov.nodes.info, want one" in bent_genesis(two)


def test_a_genesis_keeps_the_rules_of_the_threshold() -> None:
    it = LedgerConsortium(members=(first_member("alice", recovers=False),), threshold=3)
    found = difference(it.entries)
    assert found is not None
    assert "recovery threshold 3" in found.message


def test_a_ledger_without_a_constitution_is_no_service() -> None:
    def without(changes: Changes) -> None:
        del changes[CONSTITUTION.name]

    replay = Replay(run)
    entry = recorded(parse_entry(bent(story(), 1, without)[0]))
    assert replay.feed(dataclasses.replace(entry)) is None
    assert not replay.report.scripts_replayed
    assert "holds no constitution" in replay.report.warnings[0]


def test_nothing_is_judged_of_entries_without_governance() -> None:
    store = Store()
    assert judge_unsigned(5, {"public:records": {b"key": b"value"}}, store.begin()) is None
