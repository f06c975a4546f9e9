"""Reading governance: what each GET answers, byte shapes as CCF's clients expect them."""

import msgspec
import pytest

from governance import answers
from governance.defaults import constitution
from governance.frontend import API_VERSIONS, COMMANDS, LATER_READS, READS, build
from governance.javascript_reads import ENDPOINTS, MODULES
from ledger.endpoints.endpoint import Forwarding, Mode, Redirection
from ledger.kv.tx import Tx
from ledger.tables.members import RecoveryRole
from ledger.tables.nodes import NODES_INFO, NodeInfo, NodeStatus, QuoteInfo
from ledger.tables.service import CONSTITUTION, SERVICE_INFO
from tests.unit.governance.gov_kit import (
    HOST_DATA,
    VERSION,
    Consortium,
    action,
    encryption_key,
    first_member,
    person,
)
from tests.unit.governance.test_gov_keys import rsa_jwk


def test_service_info() -> None:
    service = Consortium(threshold=2)
    assert service.get("/service/info").json() == {
        "status": "Opening",
        "certificate": service.service_pem,
        "recoveryCount": 0,
        "serviceData": None,
        "creationTransactionId": "2.1",
        "configuration": {
            "recoveryThreshold": 2,
            "maximumNodeCertificateValidityDays": 365,
            "maximumServiceCertificateValidityDays": 365,
            "recentCoseProposalsWindowSize": 100,
        },
    }


def test_the_constitution_is_text() -> None:
    answer = Consortium().get("/service/constitution")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.text == constitution()


def test_before_there_is_a_service() -> None:
    service = Consortium()

    def forget(tx: Tx) -> None:
        tx.singleton(SERVICE_INFO).remove()
        tx.singleton(CONSTITUTION).remove()

    service.write(forget)
    for path in ("/service/info", "/service/constitution"):
        answer = service.get(path)
        assert (answer.status, answer.error_code) == (404, "ResourceNotFound")
    answer = service.propose("alice")
    assert (answer.status, answer.error_code) == (500, "InternalError")


def test_members() -> None:
    members = [
        first_member("alice", data={"a": 1}, role=RecoveryRole.OWNER),
        first_member("bob"),
        first_member("carol", recovers=False),
    ]
    service = Consortium(members)
    listed = {each["memberId"]: each for each in service.get("/service/members").json()["value"]}
    key = encryption_key().public.pem
    assert listed[person("alice").id] == {
        "memberId": person("alice").id,
        "status": "Active",
        "memberData": {"a": 1},
        "certificate": person("alice").pem,
        "publicEncryptionKey": key,
        "recoveryRole": "Owner",
    }
    assert listed[person("bob").id]["recoveryRole"] == "Participant"
    assert listed[person("carol").id]["recoveryRole"] == "NonParticipant"
    assert "publicEncryptionKey" not in listed[person("carol").id]
    one = service.get(f"/service/members/{person('bob').id}").json()
    assert one == listed[person("bob").id]


def test_nodes() -> None:
    service = Consortium()
    answer = service.get(f"/service/nodes/{service.node_id}").json()
    assert answer["certificate"] == "-"
    assert answer["quoteInfo"]["format"] == "Insecure_Virtual"
    assert answer["quoteInfo"]["details"] == {
        "measurement": "virtual",
        "reportData": "AAAA",
        "hostData": HOST_DATA,
    }
    assert answer["rpcInterfaces"] == {
        "main": {"publishedAddress": "127.0.0.1:2", "protocol": "tcp"}
    }
    assert (answer["status"], answer["nodeData"], answer["retiredCommitted"]) == (
        "Trusted",
        None,
        False,
    )
    assert service.get("/service/nodes").json() == {"value": [answer]}


@pytest.mark.parametrize("quote", ["", "?", "e30=", "W10=", "eyJ4Ijox"])
def test_a_node_with_odd_evidence_is_listed(quote: str) -> None:
    service = Consortium()
    info = NodeInfo(
        node_to_node_interface={},
        rpc_interfaces={},
        quote_info=QuoteInfo(format="Insecure_Virtual", quote=quote, endorsements=""),
        encryption_pub_key="",
        status=NodeStatus.PENDING,
    )
    service.write(lambda tx: tx.table(NODES_INFO).put("ab" * 32, info))
    answer = service.get(f"/service/nodes/{'ab' * 32}")
    assert answer.status == 200
    assert "certificate" not in answer.json()


def test_evidence_of_hardware() -> None:
    service = Consortium()
    quote = QuoteInfo(
        format="AMD_SEV_SNP_v1",
        quote="AA==",
        endorsements="AQ==",
        uvm_endorsements="Ag==",
        endorsed_tcb="00",
    )
    info = NodeInfo(
        node_to_node_interface={},
        rpc_interfaces={"a": {}},
        quote_info=quote,
        encryption_pub_key="",
        status=NodeStatus.TRUSTED,
    )
    service.write(lambda tx: tx.table(NODES_INFO).put("ab" * 32, info))
    assert service.get(f"/service/nodes/{'ab' * 32}").json()["quoteInfo"] == {
        "format": "AMD_SEV_SNP_v1",
        "rawQuote": "AA==",
        "endorsements": "AQ==",
        "uvmEndorsements": "Ag==",
        "endorsedTcb": "00",
    }


def test_the_join_policy_begins_with_the_first_node() -> None:
    assert Consortium().get("/service/join-policy").json() == {
        "sgx": {"measurements": []},
        "virtual": {"measurements": ["virtual"], "hostData": [HOST_DATA]},
        "snp": {"measurements": [], "hostData": {}, "uvmEndorsements": {}, "tcbVersions": {}},
    }


def test_transactions() -> None:
    service = Consortium()
    newest = service.log.store.version
    assert service.get("/service/transactions/commit").json() == {
        "status": "Committed",
        "transactionId": f"2.{newest}",
    }
    for text, status in [("2.1", "Committed"), (f"2.{newest + 1}", "Unknown"), ("3.1", "Invalid")]:
        answer = service.get(f"/service/transactions/{text}")
        assert answer.json() == {"status": status, "transactionId": text}
        assert answer.tx_id is None
    for text in ("2", "a.b", "0.1", "2.1.1"):
        answer = service.get(f"/service/transactions/{text}")
        assert (answer.status, answer.error_code) == (400, "InvalidQueryParameterValue")


@pytest.mark.parametrize("kind", ["members", "users", "nodes"])
def test_one_that_is_not_there(kind: str) -> None:
    service = Consortium()
    answer = service.get(f"/service/{kind}/{'00' * 32}")
    assert (answer.status, answer.error_code) == (404, "ResourceNotFound")
    for text in ("00", "zz" * 32, "AB" * 32):
        answer = service.get(f"/service/{kind}/{text}")
        assert (answer.status, answer.error_code) == (400, "InvalidResourceName")


def test_reads_are_local_and_writes_go_to_the_primary() -> None:
    for endpoint in build(Consortium().parts).endpoints:
        reads = endpoint.method == "GET"
        assert (endpoint.mode in {Mode.READONLY, Mode.COMMAND}) == reads
        assert (endpoint.forwarding is Forwarding.SOMETIMES) == reads
        assert (endpoint.redirection is Redirection.NONE) == reads
        assert endpoint.openapi["summary"]
        assert endpoint.openapi["parameters"][0]["name"] == "api-version"
        assert endpoint.path == "/api" or {"200", "204"} & endpoint.openapi["responses"].keys()


def test_there_is_no_javascript() -> None:
    service = Consortium()
    assert service.get("/service/javascript-app").json() == {"endpoints": {}}
    assert service.get("/service/javascript-modules").json() == {"value": []}
    missing = service.get("/service/javascript-modules/%2Fa.js")
    assert (missing.status, missing.error_code) == (404, "ResourceNotFound")
    older = service.get("/service/javascript-modules", "?api-version=2023-06-01-preview")
    assert (older.status, older.error_code) == (400, "UnsupportedApiVersionValue")


def test_javascript_that_a_constitution_made_for_ccf_would_write() -> None:
    service = Consortium()
    stored = {"js_module": "/a.js", "js_function": "f", "authn_policies": ["no_auth"], "x": 1}

    def body(tx: Tx) -> None:
        tx.table(MODULES).put("/a.js", "export function f() {}")
        tx.table(ENDPOINTS).put("GET /app/a", stored)

    service.write(body)
    shown = {"jsModule": "/a.js", "jsFunction": "f", "authnPolicies": ["no_auth"]}
    path = "/service/javascript-app"
    assert service.get(path).json() == {"endpoints": {"/app/a": {"GET": shown}}}
    original = service.get(path, VERSION + "&case=original").json()
    assert original == {"endpoints": {"/app/a": {"GET": stored}}}
    odd = service.get(path, VERSION + "&case=upper")
    assert (odd.status, odd.error_code) == (400, "InvalidQueryParameterValue")
    assert service.get("/service/javascript-modules").json() == {"value": [{"moduleName": "/a.js"}]}
    source = service.get("/service/javascript-modules/%2Fa.js")
    assert (source.body, source.headers["content-type"]) == (
        b"export function f() {}",
        "text/plain",
    )


OLDER = "?api-version=2023-06-01-preview"


def test_there_is_a_document_for_each_version() -> None:
    service = Consortium()
    newest = service.get("/api").json()
    assert service.get("/api", "").json() == newest
    older = service.get("/api", OLDER).json()
    assert (newest["info"]["version"], older["info"]["version"]) == API_VERSIONS[::-1]
    javascript = {path for path in newest["paths"] if path.startswith("/service/javascript-")}
    assert set(newest["paths"]) - set(older["paths"]) == javascript
    assert len(javascript) == 3
    for document in (newest, older):
        for path in document["paths"].values():
            for operation in (path[verb] for verb in ("get", "post") if verb in path):
                [version] = [each for each in operation["parameters"] if "version" in each["name"]]
                assert version["schema"]["enum"] == [document["info"]["version"]]
    unknown = service.get("/api", "?api-version=2020-01-01")
    assert (unknown.status, unknown.error_code) == (400, "UnsupportedApiVersionValue")


def test_what_is_answered_is_what_the_document_says() -> None:
    service = Consortium()
    service.open()
    service.pass_actions(
        action("set_user", cert=person("user0").pem, user_data={"a": 1}),
        action("set_jwt_issuer", issuer="https://a", jwks={"keys": [rsa_jwk()]}),
        action("add_snp_host_data", host_data="ab" * 32, security_policy=""),
    )
    failing = "def vote(proposal, proposer_id): return missing"
    proposal_id = service.propose("alice", action("trigger_ledger_chunk")).json()["proposalId"]
    assert service.vote("alice", proposal_id, failing).status == 200
    ids = {
        "proposalId": proposal_id,
        "memberId": person("alice").id,
        "userId": person("user0").id,
        "nodeId": service.node_id,
        "transactionId": "2.1",
    }
    seen = set()
    for path, _, _, kind in (*READS, *LATER_READS, *COMMANDS):
        answer = service.get(path.format_map(ids | {"moduleName": "x"}))
        if kind is str or answer.status == 404:
            continue
        assert answer.status == 200, (path, answer)
        msgspec.json.decode(answer.body, type=kind)
        seen.add(path)
    assert len(seen) >= 17
    proposed = service.propose("alice", action("trigger_snapshot"))
    assert msgspec.json.decode(proposed.body, type=answers.Proposal).ballot_count == 0
