"""Who may touch which table, and what tables look like to scripts."""

import contextlib
import time

import pytest

from governance.script_access import Access, Phase, access_of
from governance.script_host import ScriptHost
from governance.script_tables import LISTING_SIZE_MAX
from governance.scripting import HostError
from ledger.kv.store import Store
from ledger.kv.tx import Tx
from tests.unit.governance.gov_kit import person

R, W, RW, NONE = Access.READ, Access.WRITE, Access.READ | Access.WRITE, Access.NONE
READING = (Phase.VALIDATE, Phase.RESOLVE, Phase.BALLOT)


@pytest.mark.parametrize(
    ("table", "reading", "applying"),
    [
        ("public:ccf.internal.signatures", R, R),
        ("public:quorate.internal.x", R, R),
        ("public:ccf.gov.members.info", R, RW),
        ("public:quorate.gov.script_limits", R, RW),
        ("public:records", NONE, W),
        ("public:", NONE, W),
        ("public:CCF.gov.members.info", NONE, W),
        ("records", NONE, NONE),
        ("ccf.gov.members.info", NONE, NONE),
        ("ccf.internal.x", NONE, NONE),
        ("public:ccf.other", NONE, NONE),
        ("public:quorate.other", NONE, NONE),
        ("quorate.gov.x", NONE, NONE),
    ],
)
def test_the_matrix(table: str, reading: Access, applying: Access) -> None:
    for phase in READING:
        assert access_of(phase, table) == reading
    assert access_of(Phase.APPLY, table) == applying


@pytest.mark.parametrize(
    ("phase", "name", "table", "message"),
    [
        (
            Phase.APPLY,
            "kv.get",
            "public:records",
            "apply may not read table public:records: apply only writes tables of applications",
        ),
        (
            Phase.VALIDATE,
            "kv.get",
            "public:records",
            (
                "validate may not read table public:records: "
                "no decision depends on tables of applications"
            ),
        ),
        (
            Phase.RESOLVE,
            "kv.put",
            "public:ccf.gov.users.certs",
            (
                "resolve may not write table public:ccf.gov.users.certs: "
                "governance tables are written by apply alone"
            ),
        ),
        (
            Phase.APPLY,
            "kv.put",
            "public:ccf.internal.tree",
            (
                "apply may not write table public:ccf.internal.tree: "
                "tables of the framework are read-only to scripts"
            ),
        ),
        (
            Phase.APPLY,
            "kv.put",
            "records",
            "apply may not write table records: scripts see public tables only",
        ),
        (
            Phase.BALLOT,
            "kv.get",
            "public:ccf.new",
            "ballot may not read table public:ccf.new: names under this prefix are reserved",
        ),
    ],
)
def test_a_violation_names_table_phase_and_rule(
    phase: Phase, name: str, table: str, message: str
) -> None:
    host = ScriptHost(Store().begin(), phase, 0)
    with pytest.raises(HostError) as caught:
        host(name, [table, "key", "value"])
    assert str(caught.value) == message


def applying() -> tuple[Tx, ScriptHost]:
    tx = Store().begin()
    return tx, ScriptHost(tx, Phase.APPLY, 0)


@pytest.mark.parametrize(
    ("table", "key", "value", "stored"),
    [
        ("public:ccf.gov.users.certs", "id", "pem", b"pem"),
        ("public:ccf.gov.users.info", "id", {"user_data": 3}, b'{"user_data":3}'),
        ("public:ccf.gov.constitution", None, "text", b'"text"'),
        ("public:ccf.gov.proposals", "id", "AAE=", b"\x00\x01"),
        ("public:ccf.gov.nodes.virtual.host_data", "aa", True, bytes(8)),
        ("public:ccf.gov.nodes.snp.uvm_endorsements", "did", {"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ("public:ccf.gov.mine", "k", [1, None], b"[1,null]"),
        ("public:ccf.gov.mine", None, "x", b'"x"'),
    ],
)
def test_values_have_the_encoding_of_their_table(
    table: str, key: str | None, value: object, stored: bytes
) -> None:
    tx, host = applying()
    host("kv.put", [table, key, value])
    raw_key = bytes(8) if key is None else key.encode()
    assert tx.map(table).get(raw_key) == stored
    assert host("kv.get", [table, key]) == value
    assert host("kv.has", [table, key]) is True
    assert host("kv.items", [table]) == [[key, value]]
    assert host("kv.keys", [table]) == [key]
    assert host("kv.size", [table]) == 1
    host("kv.remove", [table, key])
    assert host("kv.get", [table, key]) is None
    host("kv.put", [table, key, value])
    host("kv.clear", [table])
    assert host("kv.size", [table]) == 0


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("kv.put", ["public:ccf.gov.users.certs", "id", 3], "cannot hold this value"),
        ("kv.put", ["public:ccf.gov.users.certs", None, "x"], "got no key"),
        ("kv.put", ["public:ccf.gov.constitution", "k", "x"], "single value"),
        ("kv.put", ["public:ccf.gov.members.info", "id", {"status": "Boss"}], "cannot hold"),
        ("kv.put", ["public:ccf.gov.proposals", "id", "?"], "cannot hold"),
        ("kv.put", ["public:ccf.gov.proposals", "id", 3], "want base64"),
        ("kv.put", ["public:ccf.gov.nodes.virtual.host_data", "aa", 1], "want True"),
        ("kv.put", ["public:ccf.gov.mine", 3, "x"], "got int, want text"),
        ("kv.put", ["public:ccf.gov.mine", "\ud800", "x"], "UTF-8"),
        ("kv.put", ["public:ccf.gov.mine", "k", "\ud800"], "cannot hold"),
        ("kv.put", ["", "k", "x"], "empty map name"),
        ("kv.put", [3, "k", "x"], "want text"),
        ("kv.put", ["public:ccf.gov.mine"], "want more"),
        ("kv.put_bytes", ["public:ccf.gov.users.certs", "AA==", "AA=="], "its own encoding"),
        ("kv.put_bytes", ["public:records", "?", "AA=="], "base64"),
        ("kv.drop", ["public:records"], "no host function 'kv.drop'"),
    ],
)
def test_what_cannot_be_done_is_said(name: str, arguments: list[object], words: str) -> None:
    _, host = applying()
    with pytest.raises(HostError, match=words.replace("?", r"\?")):
        host(name, arguments)


def test_bytes_reach_tables_of_applications() -> None:
    tx, host = applying()
    host("kv.put_bytes", ["public:records", "AAE=", "Ag=="])
    assert tx.map("public:records").get(b"\x00\x01") == b"\x02"
    host("kv.remove_bytes", ["public:records", "AAE="])
    assert tx.map("public:records").get(b"\x00\x01") is None


def test_a_listing_is_bounded() -> None:
    tx, host = applying()
    tx.map("public:ccf.gov.mine").put(b"k", b"1" * (LISTING_SIZE_MAX + 1))
    with pytest.raises(HostError, match="too large to list"):
        host("kv.items", ["public:ccf.gov.mine"])


def test_a_value_that_is_no_text_is_said() -> None:
    tx, host = applying()
    tx.map("public:ccf.gov.mine").put(b"\xff", b"{")
    with pytest.raises(HostError, match="key that is no text"):
        host("kv.keys", ["public:ccf.gov.mine"])
    tx.map("public:ccf.gov.users.certs").put(b"k", b"\xff")
    with pytest.raises(HostError, match="scripts cannot read"):
        host("kv.get", ["public:ccf.gov.users.certs", "k"])


@pytest.mark.parametrize("phase", READING)
def test_only_apply_changes_anything(phase: Phase) -> None:
    host = ScriptHost(Store().begin(), phase, 0)
    for name in ("jwt.set_keys", "node.rekey_ledger", "node.open_service", "node.endorse"):
        with pytest.raises(HostError, match="only apply changes anything"):
            host(name, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        (
            "crypto.sha256",
            ["abc"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "crypto.sha256_base64",
            ["YWJj"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        ("text.base64_encode", ["ü"], "w7w="),
        ("text.base64_decode", ["w7w="], "ü"),
        ("text.is_hex", ["0a" * 32, 32], True),
        ("text.is_hex", ["0A" * 32, 32], False),
        ("text.is_hex", ["0a" * 31, 32], False),
        ("text.is_hex", [3, 32], False),
        ("text.is_hex", ["", None], True),
        ("text.url_problem", ["https://login.example.com:8443/tenant/v2.0"], None),
        ("clock.created_at", [], 1234),
    ],
)
def test_pure_functions(name: str, arguments: list[object], answer: object) -> None:
    host = ScriptHost(Store().begin(), Phase.VALIDATE, 1234)
    assert host(name, arguments) == answer


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "https://",
        "https://a.example/?q=1",
        "https://a.example/#f",
        "https://a b",
        "https://user@a.example",
        "https://a.example:99999",
        "https://a.example/\n",
        3,
        None,
    ],
)
def test_addresses_that_are_none(url: object) -> None:
    host = ScriptHost(Store().begin(), Phase.VALIDATE, 0)
    assert host("text.url_problem", [url])


MUCH = 4 * 1024 * 1024
CERTIFICATE = person("alice").pem
NUMBER = {"kid": "k", "kty": "RSA", "n": "_" * MUCH, "e": "AQAB"}


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("crypto.sha256", "a" * MUCH),
        ("crypto.sha256_base64", "A" * MUCH),
        ("crypto.certificate_problem", "-----BEGIN CERTIFICATE-----\n" + "A" * MUCH),
        ("crypto.certificate_problem", "-----BEGIN CERTIFICATE-----\n" * (MUCH // 28)),
        ("crypto.certificate_bundle_problem", CERTIFICATE * (MUCH // len(CERTIFICATE))),
        ("crypto.certificate_bundle_problem", CERTIFICATE * 100),
        ("crypto.encryption_key_problem", "-----BEGIN PUBLIC KEY-----\n" + "A" * MUCH),
        ("crypto.jwk_problem", NUMBER),
        ("crypto.jwk_problem", NUMBER | {"n": "AQAB", "e": "_" * MUCH}),
        ("crypto.jwk_problem", NUMBER | {"kty": "EC", "crv": "P-256", "x": "_" * MUCH, "y": "AA"}),
        ("crypto.jwk_problem", {"kid": "k", "x5c": ["A" * MUCH]}),
        ("text.base64_encode", "a" * MUCH),
        ("text.base64_decode", "YWFh" * (MUCH // 4)),
        ("text.is_hex", "a" * MUCH),
        ("text.url_problem", "https://a/" + "%" * MUCH + "?"),
        ("text.url_problem", "https://" + "a." * (MUCH // 2)),
        ("text.time_problem", "1" * MUCH),
        ("script.limits_problem", {"steps_max": "1" * MUCH}),
        ("kv.get", "public:ccf.gov." + "a" * MUCH),
    ],
)
def test_no_call_keeps_the_node_long(name: str, argument: object) -> None:
    """All wait while a call is answered, so what it costs is bounded, whatever it is given."""
    host = ScriptHost(Store().begin(), Phase.BALLOT, 0)
    begun = time.process_time()
    with contextlib.suppress(HostError):
        host(name, [argument, None])
    assert time.process_time() - begun < 0.5
