"""Configuration under fire: valid ones mutated, as values and as bytes.

``QUORATE_FUZZ_INPUTS`` sets the number of inputs of each kind (default 3,000).
"""

import copy
import json
import os
import random
from typing import Any

from ledger.base.errors import FormatError
from ledger.host.config import read_configuration
from ledger.host.config_file import parse_json
from ledger.host.config_sections import Configuration

INPUTS = int(os.environ.get("QUORATE_FUZZ_INPUTS", "3000"))
SEED = 20

VALID: dict[str, Any] = {
    "network": {
        "node_to_node_interface": {"bind_address": "127.0.0.1:0", "published_address": "a.b:1"},
        "rpc_interfaces": {
            "main": {
                "bind_address": "127.1.2.3:0",
                "published_address": "[::1]:8080",
                "protocol": "tcp",
                "app_protocol": "HTTP1",
                "max_open_sessions_soft": 10,
                "max_open_sessions_hard": 12,
                "http_configuration": {
                    "max_body_size": "2MB",
                    "max_header_size": "20KB",
                    "max_headers_count": 10,
                },
                "endorsement": {"authority": "Node"},
                "accepted_endpoints": ["/node/.*", "/app/[a-z]+"],
                "forwarding_timeout_ms": 1000,
                "redirections": {
                    "to_primary": {"kind": "NodeByRole", "target": {"role": "primary"}},
                    "to_backup": {"kind": "StaticAddress", "target": {"address": "b:443"}},
                },
            },
        },
    },
    "command": {
        "type": "Start",
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
            "service_configuration": {"recovery_threshold": 1},
            "service_subject_name": "CN=Some Service,O=Some",
            "cose_signatures": {"issuer": "issuer", "subject": "subject"},
        },
        "join": {"target_rpc_address": "127.0.0.1:8000", "retry_timeout": "2s"},
        "recover": {"previous_service_identity_file": "old.pem"},
    },
    "node_certificate": {
        "subject_name": "CN=A Node",
        "subject_alt_names": ["iPAddress:127.0.0.1", "dNSName:node.example"],
        "curve_id": "Secp256R1",
    },
    "attestation": {"snp_endorsements_servers": [{"type": "AMD", "url": "kdsintf.amd.com"}]},
    "ledger": {"directory": "my.ledger", "read_only_directories": ["old"], "chunk_size": "20KB"},
    "snapshots": {"directory": "snaps", "tx_count": 100, "read_only_directory": "old_snaps"},
    "ledger_signatures": {"tx_count": 10, "delay": "100ms", "min_interval": "500us"},
    "consensus": {"message_timeout": "50ms", "election_timeout": "1s", "pre_vote": False},
    "jwt": {"key_refresh_interval": "1800s"},
    "logging": {"format": "Json"},
    "output_files": {"pid_file": "0.pid", "rpc_addresses_file": "0.rpc_addresses"},
    "memory": {"circuit_size": "16MB"},
    "idle_connection_timeout": None,
    "worker_threads": 2,
    "app": "banking.app:app",
    "platform": "virtual",
}

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 1 << 63, 1 << 200, -(1 << 200), 0.5, 1e308, "", "0", "\0",
    "\ud800",
    "x" * 5000, "5MB", "5ms", "-5MB", "999999999999999TB", "99999999999999999TB", "1e3MB",
    "\uff15MB",
    "127.0.0.1:80", "[::1]:80", "[::1%lo]:80", ":80", "a:99999", "a:-1", "a:٣", "(" * 200, "(a+)+$",
    "[", "\\", "*", "(?P<a>x)(?P=b)", "CN=", "CN=a=b", "iPAddress:", "iPAddress:::1", "dNSName:*.a",
    "Start", "Join", "Recover", "a:b:c", "module:app", [], {}, [[]], [{}], {"": None},
    [None] * 2000, {str(i): i for i in range(200)},
]  # fmt: skip


def paths_of(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += paths_of(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += paths_of(item, (*path, index))
    return found


PATHS = paths_of(VALID)


def mutate(chance: random.Random) -> object:
    value: Any = copy.deepcopy(VALID)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        path = chance.choice(PATHS)
        if not path:
            continue
        place = value
        for step in path[:-1]:
            if not isinstance(place, dict | list):
                break
            try:
                place = place[step]
            except (KeyError, IndexError, TypeError):
                break
        else:
            change(place, path[-1], chance)
    return value


def change(place: object, last: object, chance: random.Random) -> None:
    kind = chance.randrange(4)
    if isinstance(place, dict):
        if kind == 0:
            place.pop(last, None)
        elif kind == 1:
            place[chance.choice(("surprise", "", "\0", "x" * 3000, str(last) + "s"))] = 1
        else:
            place[last] = copy.deepcopy(chance.choice(STRANGE))
    elif isinstance(place, list):
        place[:] = [copy.deepcopy(chance.choice(STRANGE)) for _ in range(chance.randrange(4))]


def test_the_start_is_valid() -> None:
    assert isinstance(read_configuration(VALID), Configuration)


def test_mutated_values_are_accepted_or_every_problem_has_a_place() -> None:
    chance = random.Random(SEED)
    accepted = several = deep = 0
    for _ in range(INPUTS):
        value = mutate(chance)
        read = read_configuration(value)
        if isinstance(read, Configuration):
            accepted += 1
            continue
        assert read
        for problem in read:
            line = problem.line()
            assert len(line) < 5000
            assert line.isascii() or line.encode("utf-8", "surrogatepass")
            assert problem.want
            assert problem.got
        several += len(read) > 1
        deep += any(problem.path.count(".") >= 3 for problem in read)
    # Depth reached: mutants get past the outermost checks, in both directions.
    assert accepted > INPUTS // 50
    assert several > INPUTS // 50
    assert deep > INPUTS // 20


def test_mutated_bytes_give_json_or_a_format_error() -> None:
    chance = random.Random(SEED + 1)
    whole = json.dumps(VALID).encode()
    parsed = 0
    for _ in range(INPUTS):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            position = chance.randrange(len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[position] = chance.randrange(256)
            elif kind == 1:
                del data[position : position + chance.randrange(1, 40)]
            elif kind == 2:
                data[position:position] = chance.choice(
                    (b"[" * 70, b'{"a":' * 70, b"\xff", b"\\ud800", b"1" * 5000, b"NaN", b'"')
                )
            else:
                del data[position:]
            if not data:
                break
        try:
            value = parse_json(bytes(data), "file")
        except FormatError:
            continue
        parsed += 1
        read_configuration(value)
    assert parsed > INPUTS // 50
