"""How a node judges who asks to join: every refusal, with what to do about it."""

from typing import Any

import msgspec
import pytest

from ledger.codec import canonical
from ledger.crypto.certs import certificate_request
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from ledger.lifecycle.join import (
    PENDING_NODES_MAX,
    Admitted,
    JoinRequest,
    Known,
    NetworkInfo,
    Refusal,
    Refused,
    judge,
)
from ledger.tables.nodes import (
    NODES_INFO,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    NodeStatus,
    QuoteInfo,
)
from ledger.tables.service import SERVICE_INFO, ServiceStatus
from tests.unit.lifecycle.join_kit import (
    ADDRESS,
    HOST_DATA,
    MEASUREMENT,
    allow,
    join_request,
    new_key,
    put_node,
    quote,
)

KEY, OTHER_KEY = new_key(), new_key()


def verdict(
    request: JoinRequest,
    tx: Tx | None = None,
    *,
    startup_seqno: int = 0,
    trust_at_once: bool = False,
) -> Admitted | Known | Refused:
    if tx is None:
        tx = Store().begin()
        allow(tx)
    return judge(tx, request, KEY.public, startup_seqno=startup_seqno, trust_at_once=trust_at_once)


def refusal(outcome: object) -> Refused:
    assert isinstance(outcome, Refused)
    return outcome


def test_a_good_request_waits_for_the_members() -> None:
    outcome = verdict(join_request(KEY))
    assert isinstance(outcome, Admitted)
    info = outcome.info
    assert info.status is NodeStatus.PENDING
    assert info.node_to_node_interface["published_address"] == ADDRESS
    assert (info.public_key, info.node_data) == (KEY.public.pem, {"operator": "x"})
    assert not info.retired_committed


TRUST = [
    (ServiceStatus.OPENING, True, NodeStatus.TRUSTED),
    (ServiceStatus.OPENING, False, NodeStatus.PENDING),
    (ServiceStatus.OPEN, True, NodeStatus.PENDING),
    (ServiceStatus.RECOVERING, True, NodeStatus.PENDING),
    (ServiceStatus.WAITING_FOR_RECOVERY_SHARES, True, NodeStatus.PENDING),
]


@pytest.mark.parametrize(("status", "at_once", "becomes"), TRUST)
def test_only_an_opening_service_trusts_at_once(
    status: ServiceStatus, at_once: bool, becomes: NodeStatus
) -> None:
    tx = Store().begin()
    allow(tx, status)
    outcome = verdict(join_request(KEY), tx, trust_at_once=at_once)
    assert isinstance(outcome, Admitted)
    assert outcome.info.status is becomes


def test_without_a_service_nobody_is_trusted() -> None:
    tx = Store().begin()
    allow(tx)
    tx.singleton(SERVICE_INFO).remove()
    outcome = verdict(join_request(KEY), tx, trust_at_once=True)
    assert isinstance(outcome, Admitted)
    assert outcome.info.status is NodeStatus.PENDING


def put_own(tx: Tx, **changes: Any) -> None:  # noqa: ANN401 - any field
    """Write the row that the joiner got when it first asked, as others have changed it since."""
    outcome = verdict(join_request(KEY))
    assert isinstance(outcome, Admitted)
    tx.table(NODES_INFO).put(KEY.public.id, msgspec.structs.replace(outcome.info, **changes))


@pytest.mark.parametrize(
    ("status", "takes_part"),
    [(NodeStatus.PENDING, False), (NodeStatus.TRUSTED, True), (NodeStatus.RETIRED, True)],
)
def test_who_asked_before_is_told_its_row(status: NodeStatus, takes_part: bool) -> None:
    tx = Store().begin()
    put_own(tx, status=status)
    outcome = verdict(join_request(KEY), tx)
    assert isinstance(outcome, Known)
    assert (outcome.info.status, outcome.takes_part) == (status, takes_part)


def test_who_was_removed_takes_part_until_that_is_committed_and_does_not_come_back() -> None:
    """Until then its vote may be needed, and without the keys it cannot give it."""
    store = Store()
    tx = store.begin()
    put_own(tx, status=NodeStatus.RETIRED, retired_committed=True)
    store.commit(tx, 1)
    outcome = verdict(join_request(KEY), store.begin())
    assert isinstance(outcome, Known)
    assert outcome.takes_part
    store.compact(1)
    refused = refusal(verdict(join_request(KEY), store.begin()))
    assert refused.why is Refusal.NODE_STATE
    assert "start a new one" in refused.message


@pytest.mark.parametrize("is_listed", [False, True])
def test_who_has_left_is_not_taken_in_again(is_listed: bool) -> None:
    tx = Store().begin()
    allow(tx)
    if is_listed:
        put_own(tx)
    request = join_request(KEY)
    outcome = judge(tx, request, KEY.public, startup_seqno=0, trust_at_once=False, has_left=True)
    assert refusal(outcome).why is Refusal.NODE_STATE


def test_who_left_and_still_takes_part_is_given_the_keys() -> None:
    tx = Store().begin()
    put_own(tx, status=NodeStatus.RETIRED)
    request = join_request(KEY)
    outcome = judge(tx, request, KEY.public, startup_seqno=0, trust_at_once=False, has_left=True)
    assert isinstance(outcome, Known)
    assert outcome.takes_part


def test_evidence_that_was_good_when_the_row_was_written_stays_good() -> None:
    """The node counts, whatever else is allowed to join by now."""
    tx = Store().begin()
    put_own(tx, status=NodeStatus.TRUSTED)
    assert not tx.table(VIRTUAL_MEASUREMENTS).has(MEASUREMENT)
    assert isinstance(verdict(join_request(KEY), tx), Known)


@pytest.mark.parametrize("measurement", [MEASUREMENT, "other"])
def test_other_evidence_than_that_of_the_row_is_judged_before_keys_are_given(
    measurement: str,
) -> None:
    tx = Store().begin()
    allow(tx)
    put_own(tx, status=NodeStatus.TRUSTED)
    other = quote(KEY, measurement=measurement, more="")
    outcome = verdict(join_request(KEY, quote_info=other), tx)
    if measurement == MEASUREMENT:
        assert isinstance(outcome, Known)
    else:
        assert refusal(outcome).why is Refusal.INVALID_QUOTE


def test_a_row_for_another_key_gives_nobody_the_keys() -> None:
    tx = Store().begin()
    put_own(tx, status=NodeStatus.TRUSTED, public_key=OTHER_KEY.public.pem)
    refused = refusal(verdict(join_request(KEY), tx))
    assert refused.why is Refusal.NODE_STATE
    assert "another public key" in refused.message


def raw(text: str) -> QuoteInfo:
    return msgspec.structs.replace(quote(KEY), quote=text)


def evidence(value: object) -> QuoteInfo:
    return raw(canonical.b64encode(canonical.dumps(value)))


EVIDENCE: list[tuple[QuoteInfo, str]] = [
    (msgspec.structs.replace(quote(KEY), format="OE_SGX_v1"), "is not verified by this version"),
    (raw("%"), "cannot be read"),
    (raw(canonical.b64encode(b"{")), "cannot be read"),
    (evidence({}), "cannot be read"),
    (evidence([]), "cannot be read"),
    (evidence("text"), "cannot be read"),
    (quote(KEY, report_data=1), "cannot be read"),
    (quote(KEY, report_data="%"), "cannot be read"),
    (quote(OTHER_KEY), "not for this node's key"),
    (quote(KEY, report_data=""), "not for this node's key"),
    (quote(KEY, measurement="other"), "add_virtual_measurement"),
    (quote(KEY, measurement=None), "add_virtual_measurement"),
    (quote(KEY, host_data="cd" * 32), "add_virtual_host_data"),
    (quote(KEY, host_data=["x"]), "add_virtual_host_data"),
]


@pytest.mark.parametrize(("info", "message"), EVIDENCE)
def test_evidence_is_checked(info: QuoteInfo, message: str) -> None:
    refused = refusal(verdict(join_request(KEY, quote_info=info)))
    assert refused.why is Refusal.INVALID_QUOTE
    assert message in refused.message


def test_the_unknown_host_data_is_told_so_that_members_can_allow_it() -> None:
    refused = refusal(verdict(join_request(KEY, quote_info=quote(KEY, host_data="cd" * 32))))
    assert "cd" * 32 in refused.message
    assert "Quote host data is not authorised" in refused.message


@pytest.mark.parametrize("table", ["measurement", "host_data"])
def test_what_is_not_allowed_any_more_does_not_join(table: str) -> None:
    tx = Store().begin()
    allow(tx)
    if table == "measurement":
        tx.table(VIRTUAL_MEASUREMENTS).remove(MEASUREMENT)
    else:
        tx.set(VIRTUAL_HOST_DATA).remove(HOST_DATA)
    assert refusal(verdict(join_request(KEY), tx)).why is Refusal.INVALID_QUOTE


OTHER_REQUEST = certificate_request(OTHER_KEY, "CN=Node", ["dNSName:x"]).pem


@pytest.mark.parametrize("pem", [None, "", "no PEM", OTHER_REQUEST])
def test_the_certificate_is_asked_for_the_same_key(pem: str | None) -> None:
    refused = refusal(verdict(join_request(KEY, certificate_signing_request=pem)))
    assert refused.why is Refusal.CSR_KEY


@pytest.mark.parametrize(
    ("starts_from", "service_from", "is_refused"),
    [(None, 0, False), (0, 0, False), (10, 10, False), (11, 10, False), (9, 10, True),
     (None, 1, True)],
)  # fmt: skip
def test_entries_before_the_primarys_snapshot_cannot_be_supplied(
    starts_from: int | None, service_from: int, is_refused: bool
) -> None:
    outcome = verdict(join_request(KEY, startup_seqno=starts_from), startup_seqno=service_from)
    if is_refused:
        refused = refusal(outcome)
        assert refused.why is Refusal.STARTUP_SEQNO
        assert "StartupSeqnoIsOld" in refused.message
        assert "newer snapshot" in refused.message
    else:
        assert isinstance(outcome, Admitted)


@pytest.mark.parametrize(
    ("status", "is_refused"),
    [(NodeStatus.PENDING, True), (NodeStatus.TRUSTED, True), (NodeStatus.RETIRED, False)],
)
def test_an_address_is_taken_once(status: NodeStatus, is_refused: bool) -> None:
    tx = Store().begin()
    allow(tx)
    put_node(tx, "e" * 64, status, ADDRESS)
    outcome = verdict(join_request(KEY), tx)
    if is_refused:
        refused = refusal(outcome)
        assert refused.why is Refusal.ALREADY_EXISTS
        assert status.value in refused.message
        assert "use another address" in refused.message
    else:
        assert isinstance(outcome, Admitted)


def test_pending_nodes_are_limited() -> None:
    tx = Store().begin()
    allow(tx)
    for number in range(PENDING_NODES_MAX):
        assert isinstance(verdict(join_request(KEY), tx), Admitted)
        put_node(tx, f"{number:064x}", NodeStatus.PENDING, f"127.0.0.1:{8000 + number}")
    refused = refusal(verdict(join_request(KEY), tx))
    assert refused.why is Refusal.TOO_MANY
    assert "remove_node" in refused.message


GOOD = {"published_address": "127.0.0.1:1"}
NETWORKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"rpc": GOOD}),
    ({"published_address": None}, {"rpc": GOOD}),
    ({"published_address": 1}, {"rpc": GOOD}),
    ({"published_address": ":1"}, {"rpc": GOOD}),
    ({"published_address": "host"}, {"rpc": GOOD}),
    ({"published_address": "host:0"}, {"rpc": GOOD}),
    ({"published_address": "host:65536"}, {"rpc": GOOD}),
    ({"published_address": "host:1x"}, {"rpc": GOOD}),
    ({"published_address": "host:" + "\u0661"}, {"rpc": GOOD}),
    ({"published_address": "h" * 300 + ":1"}, {"rpc": GOOD}),
    (GOOD, {}),
    (GOOD, {"rpc": None}),
    (GOOD, {"rpc": "127.0.0.1:1"}),
    (GOOD, {"rpc": GOOD, "other": {}}),
    (GOOD, {str(number): GOOD for number in range(65)}),
]


@pytest.mark.parametrize(("node_to_node", "rpc"), NETWORKS)
def test_addresses_have_the_shape_that_readers_of_the_table_rely_on(
    node_to_node: dict[str, Any], rpc: dict[str, Any]
) -> None:
    network = NetworkInfo(node_to_node_interface=node_to_node, rpc_interfaces=rpc)
    refused = refusal(verdict(join_request(KEY, node_info_network=network)))
    assert refused.why is Refusal.SHAPE


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:65535", "node.example:443"])
def test_usual_addresses_are_taken(address: str) -> None:
    interface = {"published_address": address}
    network = NetworkInfo(node_to_node_interface=interface, rpc_interfaces={"rpc": interface})
    assert isinstance(verdict(join_request(KEY, node_info_network=network)), Admitted)


@pytest.mark.parametrize("pem", ["", "PEM", KEY.public.pem])
def test_secrets_can_be_encrypted_to_a_joiner(pem: str) -> None:
    """Else the next rekey would fail for everybody."""
    refused = refusal(verdict(join_request(KEY, public_encryption_key=pem)))
    assert refused.why is Refusal.SHAPE
    assert "public_encryption_key" in refused.message
