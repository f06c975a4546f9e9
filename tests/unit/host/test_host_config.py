"""Configuration: defaults, every kind of mistake with its place, all mistakes at once."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.base.errors import FormatError
from ledger.host.config import read_configuration
from ledger.host.config_file import (
    FileIncompleteError,
    parse_json,
    read_json_file,
    wait_for_json_file,
)
from ledger.host.config_sections import Configuration

MINIMAL: dict[str, Any] = {
    "network": {
        "node_to_node_interface": {"bind_address": "127.0.0.1:0"},
        "rpc_interfaces": {"main": {"bind_address": "127.0.0.1:0"}},
    },
    "command": {
        "type": "Start",
        "start": {
            "constitution_files": ["a.star"],
            "members": [{"certificate_file": "m.pem", "encryption_public_key_file": "e.pem"}],
        },
    },
}

FULL: dict[str, Any] = {
    "network": {
        "node_to_node_interface": {
            "bind_address": "127.0.0.1:0",
            "published_address": "node.example:8081",
        },
        "rpc_interfaces": {
            "primary_rpc_interface": {
                "bind_address": "127.1.2.3:0",
                "published_address": "node.example:8080",
                "protocol": "tcp",
                "app_protocol": "HTTP1",
                "max_open_sessions_soft": 10,
                "max_open_sessions_hard": 12,
                "http_configuration": {
                    "max_body_size": "2MB",
                    "max_header_size": "20KB",
                    "max_headers_count": 10,
                    "max_concurrent_streams_count": 100,
                    "initial_window_size": "64KB",
                    "max_frame_size": "16KB",
                },
                "endorsement": {"authority": "Node"},
                "accepted_endpoints": ["/node/.*"],
                "forwarding_timeout_ms": 1000,
                "redirections": {
                    "to_primary": {
                        "kind": "NodeByRole",
                        "target": {"role": "primary", "interface": "other"},
                    },
                    "to_backup": {
                        "kind": "StaticAddress",
                        "target": {"address": "backup.example:443"},
                    },
                },
            },
            "operator": {"bind_address": "[::1]:443", "endorsement": {"authority": "Unsecured"}},
        },
    },
    "command": {
        "type": "Join",
        "service_certificate_file": "service.pem",
        "start": {
            "constitution_files": ["a.star", "b.star"],
            "members": [
                {
                    "certificate_file": "m.pem",
                    "encryption_public_key_file": "e.pem",
                    "data_json_file": "d.json",
                    "recovery_role": "Owner",
                },
                {"certificate_file": "n.pem"},
            ],
            "service_configuration": {
                "recovery_threshold": 1,
                "maximum_node_certificate_validity_days": 10,
                "maximum_service_certificate_validity_days": 20,
                "recent_cose_proposals_window_size": 5,
            },
            "initial_service_certificate_validity_days": 2,
            "service_subject_name": "CN=Some Service,O=Some",
            "cose_signatures": {"issuer": "issuer", "subject": "subject"},
        },
        "join": {
            "target_rpc_address": "127.0.0.1:8000",
            "retry_timeout": "2s",
            "follow_redirect": False,
            "fetch_recent_snapshot": False,
            "fetch_snapshot_max_attempts": 1,
            "fetch_snapshot_retry_interval": "5s",
            "fetch_snapshot_max_size": "1GB",
        },
        "recover": {
            "previous_service_identity_file": "old.pem",
            "initial_service_certificate_validity_days": 3,
            "previous_sealed_ledger_secret_location": "sealed",
        },
    },
    "node_certificate": {
        "subject_name": "CN=A Node",
        "subject_alt_names": ["iPAddress:127.0.0.1", "dNSName:node.example"],
        "curve_id": "Secp256R1",
        "initial_validity_days": 4,
    },
    "node_data_json_file": "node.json",
    "service_data_json_file": "service.json",
    "attestation": {
        "snp_security_policy_file": "$POLICY/policy",
        "snp_uvm_endorsements_file": "uvm",
        "snp_endorsements_file": None,
        "snp_endorsements_servers": [
            {"type": "AMD", "url": "kdsintf.amd.com", "max_retries_count": 2}
        ],
    },
    "ledger": {
        "directory": "my.ledger",
        "read_only_directories": ["old", "older"],
        "chunk_size": "20KB",
        "sync": "none",
    },
    "snapshots": {"directory": "snaps", "tx_count": 100, "read_only_directory": "old_snaps"},
    "ledger_signatures": {"tx_count": 10, "delay": "100ms", "min_interval": "500us"},
    "consensus": {
        "message_timeout": "50ms",
        "election_timeout": "1s",
        "max_uncommitted_tx_count": 0,
        "pre_vote": False,
    },
    "jwt": {"key_refresh_interval": "1800s"},
    "logging": {"format": "Json", "host_level": "Info"},
    "output_files": {
        "node_certificate_file": "0.pem",
        "pid_file": "0.pid",
        "node_to_node_address_file": "0.node_address",
        "rpc_addresses_file": "0.rpc_addresses",
        "sealed_ledger_secret_location": "sealed",
    },
    "memory": {"circuit_size": "16MB", "max_msg_size": "64MB", "max_fragment_size": "256KB"},
    "idle_connection_timeout": None,
    "client_connection_timeout": "1s",
    "node_client_interface": "127.0.0.1",
    "worker_threads": 2,
    "tick_interval": "5ms",
    "slow_io_logging_threshold": "20ms",
    "ignore_first_sigterm": True,
    "node_to_node_message_limit": 1000,
    "historical_cache_soft_limit": "1048576",
    "app": "banking.app:app",
    "platform": "virtual",
}


def accepted(value: object) -> Configuration:
    read = read_configuration(value)
    assert isinstance(read, Configuration), read
    return read


def refused(value: object) -> list[tuple[str, str, str]]:
    read = read_configuration(value)
    assert isinstance(read, list), "the configuration is refused"
    return [(problem.path, problem.got, problem.want) for problem in read]


def test_minimal_configuration_gets_the_documented_defaults() -> None:
    read = accepted(MINIMAL)
    interface = read.network.interfaces["main"]
    assert (interface.max_open_sessions_soft, interface.max_open_sessions_hard) == (1000, 1010)
    assert (interface.max_body_size, interface.max_header_size) == (1 << 20, 16 << 10)
    assert (interface.max_headers_count, interface.forwarding_timeout_ms) == (256, 3000)
    assert (interface.authority, interface.accepted_endpoints) == ("Service", None)
    assert (read.ledger.directory, read.ledger.chunk_size) == ("ledger", 5 << 20)
    assert read.ledger.sync == "commit"
    signatures = read.ledger_signatures
    assert (signatures.tx_count, signatures.delay_ms, signatures.min_interval_ms) == (
        5000,
        1000,
        10,
    )
    consensus = read.consensus
    assert (consensus.message_timeout_ms, consensus.election_timeout_ms) == (100, 5000)
    assert (consensus.max_uncommitted_tx_count, consensus.pre_vote) == (10_000, True)
    assert (read.idle_connection_timeout_ms, read.tick_interval_ms) == (60_000, 10)
    assert read.slow_io_logging_threshold_ms == 10
    assert read.output_files.node_certificate_file == "nodecert.pem"
    assert read.output_files.pid_file == "node.pid"
    assert read.command.service_certificate_file == "service_cert.pem"
    assert read.node_certificate.subject_name == "CN=CCF Node"
    assert read.node_certificate.curve_id == "Secp384R1"
    assert read.jwt_key_refresh_interval_ms == 1_800_000
    assert read.historical_cache_soft_limit == 512 << 20
    start = read.command.start
    assert start is not None
    assert start.service_subject_name == "CN=CCF Service"
    assert start.service_configuration.recovery_threshold == 0
    assert start.members[0].role == "Participant"
    assert read.logging_format == "Text"


@pytest.mark.parametrize(
    ("signatures", "min_interval_ms"),
    [({"delay": "5ms"}, 5), ({"delay": "0s"}, 0), ({"delay": "10ms"}, 10), ({"delay": "1s"}, 10)],
)
def test_shortest_time_between_signatures_follows_a_short_delay(
    signatures: dict[str, str], min_interval_ms: float
) -> None:
    read = accepted({**MINIMAL, "ledger_signatures": signatures})
    assert read.ledger_signatures.min_interval_ms == min_interval_ms


def test_every_key_is_accepted_and_read() -> None:
    read = accepted(FULL)
    first, second = read.network.interfaces.values()
    assert first.max_body_size == 2 << 20
    assert first.redirections is not None
    assert first.redirections.to_primary is not None
    assert first.redirections.to_primary.interface == "other"
    assert first.redirections.to_backup is not None
    assert first.redirections.to_backup.address == "backup.example:443"
    assert second.bind_address == "[::1]:443"
    assert second.authority == "Unsecured"
    assert read.idle_connection_timeout_ms is None
    assert read.ledger_signatures.min_interval_ms == 0.5
    assert read.ledger.read_only_directories == ("old", "older")
    assert read.command.join is not None
    assert read.command.join.fetch_snapshot_max_size == 1 << 30
    assert read.historical_cache_soft_limit == 1 << 20
    assert (read.app, read.platform) == ("banking.app:app", "virtual")
    assert read.command.start is not None
    assert [m.role for m in read.command.start.members] == ["Owner", "NonParticipant"]


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("node.example", "node.example"),
        ("::1", "::1"),
        ("[::1]:0", "::1"),
    ],
)
def test_client_interface_is_a_host(written: str, host: str) -> None:
    assert accepted({**MINIMAL, "node_client_interface": written}).node_client_interface == host


def at(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(configuration: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = configuration
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        place[int(last) if isinstance(place, list) else last] = value

    return change


MAIN = "network.rpc_interfaces.main"
REFUSED: list[tuple[str, object, str, str]] = [
    ("surprise", 1, "surprise", "no such key; known here: app, attestation"),
    ("ledger", {"chunk_sise": "1MB"}, "ledger.chunk_sise", "no such key"),
    ("ledger", {"chunk_size": 5000}, "ledger.chunk_size", "a size as a string"),
    ("ledger", {"chunk_size": "5mb"}, "ledger.chunk_size", "a size: an integer and B, KB"),
    ("ledger", {"chunk_size": "5ms"}, "ledger.chunk_size", "a size: an integer and B, KB"),
    ("ledger", {"chunk_size": "1.5MB"}, "ledger.chunk_size", "a size: an integer and B, KB"),
    ("ledger", {"chunk_size": "0B"}, "ledger.chunk_size", "1 to 4294967295"),
    ("ledger", {"chunk_size": "4GB"}, "ledger.chunk_size", "1 to 4294967295"),
    ("ledger", {"directory": ""}, "ledger.directory", "a path, not an empty"),
    ("ledger", {"directory": "a\0b"}, "ledger.directory", "a path"),
    ("ledger", {"directory": "\udc00"}, "ledger.directory", "a path"),
    ("ledger", {"sync": "always"}, "ledger.sync", '"commit" or "none"'),
    ("ledger", {"read_only_directories": "old"}, "ledger.read_only_directories", "a list"),
    ("ledger", {"read_only_directories": [1]}, "ledger.read_only_directories[0]", "a path"),
    ("ledger", {"read_only_directories": ["ledger"]}, "ledger.read_only_directories[0]", "another"),
    ("ledger", [], "ledger", "an object"),
    ("consensus", {"election_timeout": "5"}, "consensus.election_timeout", "a time: an integer"),
    ("consensus", {"election_timeout": "5KB"}, "consensus.election_timeout", "a time: an integer"),
    ("consensus", {"election_timeout": 5000}, "consensus.election_timeout", "a time as a string"),
    ("consensus", {"election_timeout": "100ms"}, "consensus.election_timeout", "more than"),
    (
        "consensus",
        {"election_timeout": "2s", "message_timeout": "3s"},
        "consensus.election_timeout",
        'more than consensus.message_timeout, "3s"',
    ),
    ("consensus", {"message_timeout": "0ms"}, "consensus.message_timeout", "a time from 1ms"),
    ("consensus", {"pre_vote": "yes"}, "consensus.pre_vote", "true or false"),
    ("consensus", {"max_uncommitted_tx_count": -1}, "consensus.max_uncommitted_tx_count", "an int"),
    ("consensus", {"max_uncommitted_tx_count": True}, "consensus.max_uncommitted_tx_count", "an "),
    ("ledger_signatures", {"tx_count": 0}, "ledger_signatures.tx_count", "an integer from 1"),
    ("ledger_signatures", {"tx_count": 1.5}, "ledger_signatures.tx_count", "an integer from 1"),
    ("ledger_signatures", {"min_interval": "2s"}, "ledger_signatures.min_interval", "at most"),
    ("ledger_signatures", {"min_interval": None}, "ledger_signatures.min_interval", "a time"),
    (
        "ledger_signatures",
        {"delay": "5ms", "min_interval": "6ms"},
        "ledger_signatures.min_interval",
        "at most",
    ),
    (f"{MAIN}.bind_address", "127.0.0.1", f"{MAIN}.bind_address", "host:port"),
    (f"{MAIN}.bind_address", "127.0.0.1:65536", f"{MAIN}.bind_address", "host:port"),
    (f"{MAIN}.bind_address", "::1:80", f"{MAIN}.bind_address", "host:port"),
    (f"{MAIN}.bind_address", "[::1:80", f"{MAIN}.bind_address", "host:port"),
    (f"{MAIN}.bind_address", "a b:80", f"{MAIN}.bind_address", "host:port"),
    (f"{MAIN}.bind_address", None, f"{MAIN}.bind_address", "host:port"),
    (f"{MAIN}.published_address", "x:y", f"{MAIN}.published_address", "host:port"),
    (f"{MAIN}.protocol", "udp", f"{MAIN}.protocol", "udp is not supported"),
    (f"{MAIN}.app_protocol", "HTTP2", f"{MAIN}.app_protocol", "HTTP/2 is not supported"),
    (f"{MAIN}.endorsement", {}, f"{MAIN}.endorsement.authority", "required"),
    (f"{MAIN}.endorsement", {"authority": "ACME"}, f"{MAIN}.endorsement.authority", "ACME is not"),
    (f"{MAIN}.accepted_endpoints", ["("], f"{MAIN}.accepted_endpoints[0]", "a regular expression"),
    (f"{MAIN}.max_open_sessions_soft", 2000, f"{MAIN}.max_open_sessions_hard", "at least"),
    (f"{MAIN}.redirections", {"to_primary": {}}, f"{MAIN}.redirections.to_primary", '"kind"'),
    (
        f"{MAIN}.redirections",
        {"to_backup": {"kind": "StaticAddress", "target": {"role": "backup"}}},
        f"{MAIN}.redirections.to_backup.target.role",
        "no such key; known here: address",
    ),
    ("network.rpc_interfaces", {}, "network.rpc_interfaces", "1 to 100 entries"),
    ("command.type", "start", "command.type", '"Start" or "Join" or "Recover"'),
    ("command.type", "Join", "command.join", "command.type is Join"),
    ("command.type", "Recover", "command.type", "recovery of a service is not built yet"),
    ("command.start.members", [], "command.start.members", "a list of 1 to"),
    (
        "command.start.members.0",
        {"certificate_file": "m.pem", "recovery_role": "Owner"},
        "command.start.members[0].encryption_public_key_file",
        "the role Owner",
    ),
    (
        "command.start.service_subject_name",
        "Service",
        "command.start.service_subject_name",
        "a subject name",
    ),
    (
        "node_certificate",
        {"subject_name": 'CN=Ünï, O="a,b"'},
        "node_certificate.subject_name",
        "commas inside them are not supported",
    ),
    (
        "node_certificate",
        {"subject_alt_names": ["127.0.0.1"]},
        "node_certificate.subject_alt_names[0]",
        "iPAddress:",
    ),
    ("node_certificate", {"curve_id": "P-384"}, "node_certificate.curve_id", '"Secp384R1" or'),
    ("tick_interval", "1001ms", "tick_interval", "a time from 1ms to 1s"),
    ("platform", "snp", "platform", "snp is not built yet"),
    ("app", "no colon", "app", "module:attribute"),
    ("logging", {"format": "text"}, "logging.format", '"Text" or "Json"'),
]


@pytest.mark.parametrize(("path", "value", "where", "want"), REFUSED)
def test_mistakes_are_refused_with_place_and_expectation(
    path: str, value: object, where: str, want: str
) -> None:
    configuration = copy.deepcopy(MINIMAL)
    at(path, value)(configuration)
    problems = refused(configuration)
    assert [p for p in problems if p[0] == where and want in p[2]], problems


def test_all_mistakes_are_listed_with_their_values() -> None:
    configuration = copy.deepcopy(MINIMAL)
    configuration["ledger"] = {"chunk_size": "5 MB", "sync": 7}
    configuration["tick_interval"] = "never"
    del configuration["command"]["type"]
    assert [(where, got) for where, got, _ in refused(configuration)] == [
        ("command.type", "nothing"),
        ("ledger.chunk_size", '"5 MB"'),
        ("ledger.sync", "7"),
        ("tick_interval", '"never"'),
    ]


def test_regular_expression_that_warns_is_accepted_silently() -> None:
    configuration = copy.deepcopy(MINIMAL)
    at(f"{MAIN}.accepted_endpoints", ["[[]"])(configuration)
    assert accepted(configuration).network.interfaces["main"].accepted_endpoints == ("[[]",)


@pytest.mark.parametrize("given", ["to_primary", "to_backup", ""])
def test_redirections_that_are_left_out_go_by_role(given: str) -> None:
    """As in CCF: an interface that redirects needs not be told where the primary is."""
    fixed = {"kind": "StaticAddress", "target": {"address": "fixed.example:443"}}
    configuration = copy.deepcopy(MINIMAL)
    at(f"{MAIN}.redirections", {given: fixed} if given else {})(configuration)
    redirections = accepted(configuration).network.interfaces["main"].redirections
    assert redirections is not None
    for role, resolver in (
        ("primary", redirections.to_primary),
        ("backup", redirections.to_backup),
    ):
        assert resolver is not None
        if given == f"to_{role}":
            assert resolver.address == "fixed.example:443"
        else:
            assert (resolver.kind, resolver.role, resolver.interface) == ("NodeByRole", role, None)


def test_two_interfaces_cannot_share_a_port() -> None:
    configuration = copy.deepcopy(MINIMAL)
    interfaces = configuration["network"]["rpc_interfaces"]
    interfaces["main"]["bind_address"] = "127.0.0.1:7000"
    interfaces["other"] = {"bind_address": "127.0.0.1:7000"}
    assert refused(configuration)[0][0] == "network.rpc_interfaces.other.bind_address"


@pytest.mark.parametrize(
    ("consensus", "got", "want"),
    [
        ({"election_timeout": "5s", "message_timeout": "6s"}, '"5s"', '"6s"'),
        ({"election_timeout": "50ms"}, '"50ms"', "100ms by default"),
        ({"message_timeout": "6000ms"}, "5000ms by default", '"6000ms"'),
    ],
)
def test_times_are_told_as_they_are_written(consensus: dict[str, str], got: str, want: str) -> None:
    expected = ("consensus.election_timeout", got, f"more than consensus.message_timeout, {want}")
    assert refused({**MINIMAL, "consensus": consensus}) == [expected]


@pytest.mark.parametrize("value", [None, [], "text", 1, True])
def test_other_json_is_refused(value: object) -> None:
    assert refused(value)[0][2] == "an object"


def test_every_required_key_is_missed() -> None:
    assert [where for where, got, _ in refused({}) if got == "nothing"] == ["network", "command"]


PARSE_REFUSED: list[tuple[str, bytes, type[Exception]]] = [
    ("nothing", b"", FileIncompleteError),
    ("half an object", b'{"a": 1', FileIncompleteError),
    ("no UTF-8", b'{"a": "\xff"}', FileIncompleteError),
    ("two values", b"{} {}", FileIncompleteError),
    ("repeated key", b'{"a": 1, "a": 2}', FormatError),
    ("not a number", b'{"a": NaN}', FormatError),
    ("65 deep", b"[" * 65 + b"]" * 65, FormatError),
    ("very deep", b"[" * 100_000, FormatError),
    ("huge integer", b"1" * 10_000, FileIncompleteError),
]


@pytest.mark.parametrize(
    ("data", "error"), [case[1:] for case in PARSE_REFUSED], ids=[case[0] for case in PARSE_REFUSED]
)
def test_strict_json(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_json(data, "file")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1, "a": 2}', 'c.json: got the key "a" twice, want it once'),
        (b'{"a": {"b": [1, {"c": 1, "c": 2}]}}', 'c.json: got the key "a.b[1].c" twice'),
        (b'[{"": 1, "": {"a": 1, "a": 1}}]', 'c.json: got the key "[0]." twice'),
        (b'{"a": NaN}', "c.json: got NaN, want a JSON number"),
    ],
)
def test_what_is_refused_is_named_with_its_file(data: bytes, said: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_json(data, "c.json")
    assert str(caught.value).startswith(said)


def test_64_deep_is_accepted() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64, "file")


def test_file_above_the_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(b'"' + b"x" * 100 + b'"')
    with pytest.raises(FormatError, match="more than 50 bytes"):
        read_json_file(path, size_max=50)


def test_waiting_gives_up_with_the_last_reason(tmp_path: Path) -> None:
    with pytest.raises(FileIncompleteError, match="cannot read"):
        wait_for_json_file(tmp_path / "missing.json", 0)


def test_waiting_takes_the_complete_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"a": 1}))
    assert wait_for_json_file(path, 0) == {"a": 1}
