"""What the node's host data covers, and what it does not."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ledger.base.errors import MisuseError, UnavailableError
from ledger.boundary.settings import InterfaceSettings, Settings
from ledger.codec import canonical
from ledger.enclave.platforms import VIRTUAL_MEASUREMENT, VirtualPlatform, die_with_parent
from ledger.host.config import read_configuration
from ledger.host.config_sections import Configuration
from ledger.host.inputs import build_settings
from ledger.host.log import Level
from ledger.host.sockets import listen
from ledger.launch.digest import code_digest, host_data
from ledger.launch.node_process_command import enclave_command


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "digested_package"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "rules.star").write_text("def vote(): pass\n")
    (tmp_path / "digested_module.py").write_text("app = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    sys.modules.pop("digested_package", None)


def test_every_byte_and_name_of_the_code_counts(package: Path) -> None:
    before = code_digest(["digested_package"])
    assert code_digest(["digested_package"]) == before
    (package / "rules.star").write_text("def vote(): fail()\n")
    changed = code_digest(["digested_package"])
    (package / "rules.star").rename(package / "other.star")
    renamed = code_digest(["digested_package"])
    assert len({before, changed, renamed}) == 3


def test_caches_do_not_count(package: Path) -> None:
    before = code_digest(["digested_package"])
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (package / "y.pyc").write_bytes(b"y")
    assert code_digest(["digested_package"]) == before
    shutil.rmtree(package / "__pycache__")


def test_order_of_packages_does_not_count_and_modules_do(package: Path) -> None:
    del package
    one = code_digest(["digested_package", "digested_module"])
    assert one == code_digest(["digested_module", "digested_package"])
    assert one != code_digest(["digested_package"])


def test_missing_package_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="no_such_package_at_all"):
        code_digest(["no_such_package_at_all"])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "c.star").write_text("pass\n")
    configuration = read_configuration(
        {
            "network": {
                "node_to_node_interface": {"bind_address": "127.0.0.1:0"},
                "rpc_interfaces": {"main": {"bind_address": "127.0.0.1:0"}},
            },
            "command": {
                "type": "Start",
                "start": {
                    "constitution_files": ["c.star", "c.star"],
                    "members": [{"certificate_file": "m.pem"}],
                },
            },
        }
    )
    assert isinstance(configuration, Configuration)
    interface, peers = listen("main", "127.0.0.1:0", None), listen("n2n", "127.0.0.1:0", None)
    try:
        return build_settings(configuration, [interface], peers, Level.INFO, None)
    finally:
        interface.close()
        peers.close()


def test_settings_carry_files_and_resolved_addresses(settings: Settings) -> None:
    assert settings.command.constitution == "pass\n\npass\n"  # type: ignore[union-attr]  # it starts
    assert settings.interfaces[0].name == "main"
    assert not settings.interfaces[0].bind_address.endswith(":0")
    assert settings.interfaces[0].published_address == settings.interfaces[0].bind_address


def changed_interface(settings: Settings, **changes: object) -> Settings:
    interface: InterfaceSettings = msgspec.structs.replace(settings.interfaces[0], **changes)
    return msgspec.structs.replace(settings, interfaces=(interface,))


def test_what_host_data_covers(settings: Settings) -> None:
    variants = [
        settings,
        msgspec.structs.replace(settings, app="app_samples.logging.app:other"),
        msgspec.structs.replace(settings, log_level="debug"),
        changed_interface(settings, authority="Unsecured"),
        changed_interface(settings, accepted_endpoints=("/node/.*",)),
        changed_interface(settings, accepted_endpoints=()),
        changed_interface(settings, max_body_size=1),
        changed_interface(settings, max_open_sessions_hard=9999),
        changed_interface(settings, name="other"),
    ]
    assert len({host_data(variant) for variant in variants}) == len(variants)


def test_what_host_data_leaves_out(settings: Settings) -> None:
    same = [
        changed_interface(settings, bind_address="127.0.0.1:1", published_address="x:2"),
        changed_interface(settings, authority="Node"),
        msgspec.structs.replace(settings, ledger_chunk_size=1, node_data_json="{}"),
    ]
    assert {host_data(variant) for variant in same} == {host_data(settings)}


def test_virtual_evidence_is_ccfs() -> None:
    platform = VirtualPlatform(bytes(range(32)))
    evidence = platform.evidence(b"\x01")
    assert evidence.format == "Insecure_Virtual"
    assert canonical.loads(evidence.quote) == {
        "measurement": "Insecure hard-coded virtual measurement v1",
        "host_data": bytes(range(32)).hex(),
        "report_data": canonical.b64encode(b"\x01" + bytes(63)),
    }
    assert platform.measurement() == VIRTUAL_MEASUREMENT.encode()
    assert platform.host_data() == bytes(range(32))


def test_another_parent_is_noticed() -> None:
    with pytest.raises(UnavailableError, match="want the host, 1"):
        die_with_parent(1)


def test_application_is_looked_for_in_the_current_directory_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_app.py").write_text("app = None\n")
    monkeypatch.chdir(tmp_path)
    command = enclave_command("virtual", "my_own_app:app")
    assert command[-1] == str(tmp_path)
    assert command[:2] == [sys.executable, "-I"]
    with pytest.raises(MisuseError, match="no_such_package_at_all"):
        enclave_command("virtual", "no_such_package_at_all:app")
