"""``quorate node list|status``: which nodes are asked, what is shown of their answers."""

import json
from pathlib import Path

import pytest

from ledger.base.ids import TxId
from ledger.cli import main, node_status
from ledger.client import session as client_session
from ledger.client.nodes import ListedNode, NodeView
from ledger.client.session import Answer, RefusedError, Session

PRIMARY = NodeView("127.0.0.1:1", "a" * 64, "PartOfNetwork", "Leader", 3, TxId(3, 20))
BACKUP = NodeView("127.0.0.1:2", "b" * 64, "PartOfNetwork", "Follower", 3, TxId(3, 15), "Completed")
AWAY = NodeView("127.0.0.1:3", problem="no answer")


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    certificate = tmp_path / "service_cert.pem"
    certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    nodes = [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:2"}]
    described = {"nodes": nodes, "service_certificate": str(certificate)}
    (tmp_path / "sandbox.json").write_text(json.dumps(described))
    return tmp_path


def pretend(monkeypatch: pytest.MonkeyPatch, views: list[NodeView]) -> list[list[str]]:
    """Have ``views`` seen, and return the addresses that were asked."""
    asked: list[list[str]] = []

    async def looked_at(addresses: list[str], certificate: str) -> list[NodeView]:
        assert certificate.startswith("-----BEGIN")
        asked.append(list(addresses))
        return views

    monkeypatch.setattr(node_status, "_looked_at", looked_at)
    return asked


def test_status_shows_role_view_commit_lag_and_retirement(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = pretend(monkeypatch, [PRIMARY, BACKUP])
    assert main.run(["node", "status", "--sandbox", str(sandbox)]) == 0
    assert asked == [["127.0.0.1:1", "127.0.0.1:2"]]
    titles, primary, backup = capsys.readouterr().out.splitlines()
    assert titles.split() == ["node", "address", "role", "view", "commit", "lag", "retirement"]
    assert primary.split() == ["a" * 12, "127.0.0.1:1", "Leader", "3", "3.20", "0"]
    assert backup.split() == ["b" * 12, "127.0.0.1:2", "Follower", "3", "3.15", "5", "Completed"]


@pytest.mark.parametrize("views", [[PRIMARY, AWAY], [BACKUP], [AWAY]])
def test_a_service_that_is_not_well_is_told_by_the_exit_code(
    views: list[NodeView], sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, views)
    assert main.run(["node", "status", "--sandbox", str(sandbox)]) == node_status.EXIT_UNWELL


def test_status_as_json(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, [PRIMARY])
    assert main.run(["node", "status", "--sandbox", str(sandbox), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["role"], row["commit"], row["view"]) == ("Leader", "3.20", 3)


def test_list_shows_the_table(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def listed(addresses: list[str], certificate: str) -> list[ListedNode]:
        del certificate
        assert addresses == ["127.0.0.1:1", "127.0.0.1:2"]
        return [
            ListedNode("a" * 64, "Trusted", True, False, {"rpc": "127.0.0.1:1"}),
            ListedNode("b" * 64, "Retired", False, True, {"rpc": "127.0.0.1:2"}),
        ]

    monkeypatch.setattr(node_status, "_listed", listed)
    assert main.run(["node", "list", "--sandbox", str(sandbox)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["a" * 64, "Trusted", "primary", "rpc", "127.0.0.1:1"]
    assert lines[2] == ["b" * 64, "Retired", "removable", "rpc", "127.0.0.1:2"]


def test_who_does_not_answer_is_called_what_the_table_calls_it(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def listed(addresses: list[str], certificate: str) -> list[ListedNode]:
        del addresses, certificate
        return [ListedNode("c" * 64, "Trusted", False, False, {"rpc": AWAY.address})]

    async def looked_at_all(addresses: list[str], certificate: str) -> list[NodeView]:
        del addresses, certificate
        return [PRIMARY, AWAY, NodeView("127.0.0.1:4", problem="no answer")]

    monkeypatch.setattr(node_status, "_listed", listed)
    monkeypatch.setattr(node_status, "look_at_all", looked_at_all)
    assert main.run(["node", "status", "--sandbox", str(sandbox)]) == node_status.EXIT_UNWELL
    _, _, away, unknown = capsys.readouterr().out.splitlines()
    assert away.split() == ["c" * 12, AWAY.address, "away", "no", "answer"]
    assert unknown.split() == ["?", "127.0.0.1:4", "away", "no", "answer"]


def test_the_next_node_is_asked_when_one_refuses(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node that still joins knows no table."""
    asked: list[str] = []

    async def list_nodes(session: Session) -> list[ListedNode]:
        asked.append(session.address)
        if len(asked) == 1:
            raise RefusedError(Answer(404, {}, b"", session.address))
        return [ListedNode("a" * 64, "Trusted", True, False, {"rpc": session.address})]

    monkeypatch.setattr(node_status, "list_nodes", list_nodes)
    monkeypatch.setattr(client_session, "tls_context", lambda certificate, identity: None)  # noqa: ARG005
    assert main.run(["node", "list", "--sandbox", str(sandbox)]) == 0
    assert asked == ["127.0.0.1:1", "127.0.0.1:2"]
    assert "a" * 64 in capsys.readouterr().out


def test_what_a_service_says_cannot_play_tricks_on_a_terminal(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"error": {"code": "No", "message": "\x1b[2K\nall is well"}}).encode()
    refusal = RefusedError(Answer(400, {}, body, "127.0.0.1:1"))

    async def refuse(*_: object) -> None:
        raise refusal

    shown = r"got 400 No: \x1b[2K\nall is well"
    monkeypatch.setattr(node_status, "_listed", refuse)
    assert main.run(["node", "list", "--sandbox", str(sandbox)]) == 2
    assert capsys.readouterr().err == f"quorate: {shown}\n"
    pretend(monkeypatch, [NodeView("127.0.0.1:1", problem=str(refusal))])
    assert main.run(["node", "status", "--sandbox", str(sandbox)]) == node_status.EXIT_UNWELL
    assert capsys.readouterr().out.endswith(f"{shown}\n")
    monkeypatch.setattr(Session, "get", refuse)
    monkeypatch.setattr(client_session, "tls_context", lambda certificate, identity: None)  # noqa: ARG005
    assert main.run(["gov", "show", "--sandbox", str(sandbox)]) == 1
    assert capsys.readouterr().err == f"quorate gov: {shown}\n"


MISTAKES = [
    ([], "want --node and --service-cert, or --sandbox DIR"),
    (["--node", "127.0.0.1:1"], "want --node and --service-cert, or --sandbox DIR"),
    (["--sandbox", "/nowhere"], "cannot read /nowhere/sandbox.json"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_service_has_to_be_named(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["node", "status", *options]) == 2
    assert message in capsys.readouterr().err


NAMINGS = [
    (["--node", "{node}", "--service-cert", "{certificate}"], 1),
    (["--address", "{node}", "--cacert={certificate}"], 1),
    (["--sandbox={sandbox}"], 2),
    (["--dir", "{sandbox}"], 2),
    (["--sandbox", "/nowhere", "--node", "{node}", "--service-cert", "{certificate}"], 1),
    (["--sandbox", "{sandbox}", "--node", "{node}"], 1),
]


@pytest.mark.parametrize(("options", "count"), NAMINGS)
def test_a_service_is_named_as_for_gov_or_by_the_first_names(
    options: list[str], count: int, sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch, [PRIMARY])
    values = {
        "node": "127.0.0.1:9",
        "certificate": sandbox / "service_cert.pem",
        "sandbox": sandbox,
    }
    assert main.run(["node", "status", *(each.format_map(values) for each in options)]) == 0
    assert [len(addresses) for addresses in asked] == [count]


def test_a_service_is_named_by_the_environment(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch, [PRIMARY])
    monkeypatch.setenv("QUORATE_SANDBOX", str(sandbox))
    assert main.run(["node", "status"]) == 0
    assert len(asked) == 1


@pytest.mark.parametrize("command", ["list", "status"])
def test_help_names_one_spelling(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["node", command, "--help"]) == 0
    told = capsys.readouterr().out
    assert all(each in told for each in ("--node", "--service-cert", "--sandbox"))
    assert not any(each in told for each in ("--address", "--cacert", "--dir"))


def test_nobody_answers(sandbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = sandbox / "service_cert.pem"
    certificate.write_text("no certificate")
    assert main.run(["node", "status", "--sandbox", str(sandbox)]) != 0
    assert capsys.readouterr().err


def test_a_node_that_is_run_keeps_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["node", "--config"]) == 2
    assert "quorate node" in capsys.readouterr().err
