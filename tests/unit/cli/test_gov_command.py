"""``quorate gov`` without a service: building, checking, preparing, complaining."""

import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from governance.defaults import Variant, constitution
from governance.interpreter import run
from governance.scripting import LIMIT_RANGES, ScriptCall
from ledger.base.errors import FormatError, MisuseError
from ledger.cli.gov_actions import GUIDES, build_action, explain
from ledger.cli.gov_target import target
from ledger.cli.gov_text import printable, proposal_lines, service_lines, summary_line
from ledger.cli.main import run as quorate
from ledger.client.identity import Identity, create_identity
from ledger.codec.canonical import b64decode
from ledger.crypto.cose_governance import parse_request, verify_request
from ledger.crypto.keys import Curve

NOW = 1_750_000_000
ID = "ab" * 32
CHECK_MAX_S = 60.0
"""Far above the limits of a script, 3 s of processor time: other tests run at the same time."""
SQUARED = "[x for x in [3] for k in range(60) for x in [x * x]][0]"
"""Takes long without taking steps."""
STEPS = "[None for k in range(60000000) if k < 0]"


@pytest.fixture(name="member")
def make_member(tmp_path: Path) -> Identity:
    return create_identity(tmp_path, "alice", NOW, curve=Curve.P256)


def test_the_guide_explains_the_actions_that_there_are() -> None:
    source = constitution() + "\ndef names(): return {name: None for name in ACTIONS}\n"
    outcome = run(ScriptCall("c", source, "names", ()), lambda *_: None)
    assert list(outcome.value) == list(GUIDES)


@pytest.mark.parametrize("name", GUIDES)
def test_the_guide_knows_the_arguments(name: str) -> None:
    """The constitution finds every required argument missing, and knows every optional one."""
    guide = GUIDES[name]
    source = constitution() + f"\ndef check(args): return ACTIONS['{name}'].check(args)\n"

    def problem(args: dict[str, object]) -> object:
        return run(ScriptCall("c", source, "check", (args,)), lambda *_: "no").value

    for each in guide.required:
        others: dict[str, object] = {other: "x" for other in guide.required if other != each}
        found = str(problem(others))
        assert "is missing" in found or ": " in found
    for each in guide.optional:
        if name != "set_script_limits":
            assert "no argument of this action" not in str(problem({each: "x"}))
    assert explain(name).count("--arg ") == len(guide.required) + len(guide.optional)


def test_limits_are_explained_with_their_ranges() -> None:
    for name, (least, most) in LIMIT_RANGES.items():
        assert f"{least} to {most}" in explain("set_script_limits").partition(name)[2]


@pytest.mark.parametrize(
    ("name", "words", "args"),
    [
        ("trigger_snapshot", [], {}),
        ("remove_user", ["user_id=" + ID], {"user_id": ID}),
        ("set_user", ["cert=a=b", "user_data:=[1, null]"], {"cert": "a=b", "user_data": [1, None]}),
        ("set_user", ["cert=", "user_data:=2"], {"cert": "", "user_data": 2}),
        ("an_action_of_our_own", ["x:=true", "y=true"], {"x": True, "y": "true"}),
    ],
)
def test_words_become_an_action(name: str, words: list[str], args: dict[str, object]) -> None:
    assert build_action(name, words) == {"name": name, "args": args}


def test_arguments_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"a": 1}\n')
    built = build_action("set_user", [f"cert=@{file}", f"user_data:=@{file}"])
    assert built["args"] == {"cert": '{"a": 1}\n', "user_data": {"a": 1}}


@pytest.mark.parametrize(
    ("name", "words", "error"),
    [
        ("remove_user", [], MisuseError),
        ("remove_user", ["user=x"], MisuseError),
        ("remove_user", ["user_id"], MisuseError),
        ("remove_user", ["=x"], MisuseError),
        ("remove_user", [":=1"], MisuseError),
        ("set_user", ["cert=x", "user_data:={"], FormatError),
        ("set_user", ["cert=@/no/such/file"], FormatError),
    ],
)
def test_other_words_are_refused(name: str, words: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        build_action(name, words)


class TestCheck:
    def check(self, tmp_path: Path, name: str, text: str, *options: str) -> int:
        file = tmp_path / name
        file.write_text(text)
        return quorate(["gov", "check", str(file), *options])

    def test_proposals(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.check(tmp_path, "p.json", '{"actions": [{"name": "trigger_snapshot"}]}') == 0
        assert "would take it" in capsys.readouterr().out
        assert self.check(tmp_path, "p.json", '{"actions": [{"name": "coup"}]}') == 1
        assert "coup at position 0: there is no such action" in capsys.readouterr().out
        assert self.check(tmp_path, "p.json", "[]") == 2
        assert self.check(tmp_path, "p.json", "{") == 2

    def test_constitutions(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for variant in Variant:
            assert self.check(tmp_path, "c.star", constitution(variant)) == 0
        assert self.check(tmp_path, "c.star", "def validate(p): pass") == 1
        assert "resolve" in capsys.readouterr().out

    def test_a_proposal_by_another_constitution(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        strict = tmp_path / "strict.star"
        strict.write_text("def validate(proposal): fail('never')\n")
        option = ("--constitution", str(strict))
        assert self.check(tmp_path, "p.json", '{"actions": []}', *option) == 1
        assert "refuse it: never" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("ballot", "code", "verdict"),
        [
            ("def vote(p, by): return len(p['actions']) == 0", 0, "The ballot: for"),
            ("def vote(p, by): return False", 0, "The ballot: against"),
            ("def vote(p, by): return kv.size('public:ccf.gov.members.info') > 3", 0, "against"),
            ("def vote(p, by): fail('hm')", 1, "The ballot fails: hm"),
            ("def vote(p, by): fail('a\\n\\x1b[2Kb')", 1, r"fails: a\n\x1b[2Kb"),
            ("def vote(p, by): return True # " + "x" * 65_536, 1, "want at most 65536"),
            (f"x = {SQUARED}", 1, "fails: resources ran out: "),
            (f"def vote(p, by): return {SQUARED} > 0", 1, "fails: resources ran out: "),
            ("def vote(p, by): return len([0] * 1000000000)", 1, "bytes of memory"),
            (f"def vote(p, by): return len({STEPS})", 1, "more than 50000000 steps"),
        ],
    )
    def test_ballots(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        ballot: str,
        code: int,
        verdict: str,
    ) -> None:
        file = tmp_path / "b.star"
        file.write_text(ballot)
        assert self.check(tmp_path, "p.json", '{"actions": []}', "--ballot", str(file)) == code
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith(verdict) or verdict.removesuffix(" ") in first
        assert second == "A service would take it."

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (f"x = {SQUARED}", "does not load: resources ran out: "),
            (f"x = {STEPS}", "does not load: the script took more than 50000000 steps"),
            ("x = [0] * 1000000000", "bytes of memory"),
            ("fail('one\\ntwo')", r"does not load: one\ntwo"),
            ('\\"""\n' * 80_000, "A service would refuse it: "),  # long, and slow to scan
        ],
    )
    @pytest.mark.parametrize("kind", ["constitution", "ballot"])
    def test_scripts_of_others_are_bounded(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, line: str, words: str
    ) -> None:
        source = constitution() if kind == "constitution" else "def vote(p, by): return True"
        begin = time.monotonic()
        assert self.check(tmp_path, "s.star", f"{source}\n{line}\n") == 1
        assert time.monotonic() - begin < CHECK_MAX_S
        shown = capsys.readouterr()
        assert words in shown.out
        assert len(shown.out.splitlines()) == 1
        assert shown.err == ""

    def test_a_constitution_of_others_judges_within_the_limits(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hostile = tmp_path / "hostile.star"
        hostile.write_text(f"def validate(proposal): return {SQUARED}\n")
        option = ("--constitution", str(hostile))
        assert self.check(tmp_path, "p.json", '{"actions": []}', *option) == 1
        assert "refuse it: resources ran out: " in capsys.readouterr().out


class TestVault:
    def test_a_message_is_finished_with_a_signature_made_elsewhere(
        self, tmp_path: Path, member: Identity, capsys: pytest.CaptureFixture[str]
    ) -> None:
        content = tmp_path / "content.json"
        content.write_text('{"ballot": "x"}')
        prepared, out = tmp_path / "prepared.json", tmp_path / "message.cose"
        options = ["--member-cert", str(member.certificate_file), "--out", str(prepared)]
        options += ["--content", str(content), "--proposal-id", ID]
        assert quorate(["gov", "prepare", "ballot", *options]) == 0
        digest = b64decode(capsys.readouterr().out.strip())
        held = json.loads(prepared.read_text())
        assert b64decode(held["digest"]) == digest
        assert held["path"].startswith(f"/gov/members/proposals/{ID}/ballots/{member.id}:submit")
        der = member.key.sign_digest(digest)
        signature = _raw(der, member.key.curve.size)
        text = urlsafe_b64encode(signature).decode()
        assert (
            quorate(["gov", "finish", str(prepared), "--signature", text, "--out", str(out)]) == 0
        )
        request = parse_request(out.read_bytes())
        verify_request(request, member.key.public)
        assert (request.proposal_id, request.payload) == (ID, b'{"ballot": "x"}')


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["list", "--node", "127.0.0.1:1"],
        ["vote", ID, "--against", "--ballot", "x"],
        ["propose"],
        ["show", "--sandbox", "/no/such/directory"],
        ["ack", "--node", "127.0.0.1:1", "--service-cert", "/no/such/file"],
        ["actions", "coup"],
    ],
)
def test_what_is_missing_is_said(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NODE", "SERVICE_CERT", "SANDBOX", "MEMBER_CERT", "MEMBER_KEY"):
        monkeypatch.delenv(f"QUORATE_{name}", raising=False)
    assert quorate(["gov", *arguments]) == 2
    assert capsys.readouterr().err.startswith("quorate: ")


def test_proposals_for_eyes() -> None:
    proposal = {
        "proposalId": ID,
        "proposerId": "p",
        "proposalState": "Failed",
        "ballotCount": 2,
        "finalVotes": {"m1": True, "m2": False},
        "voteFailures": {"m3": {"reason": "hm", "trace": "  a\n  b"}},
        "failure": {"reason": "no such user"},
    }
    actions = {"actions": [{"name": "set_user", "args": {"cert": "one\ntwo\n"}}, 3]}
    assert list(proposal_lines(proposal, actions)) == [
        f"Proposal {ID}",
        "  state     Failed",
        "  proposer  p",
        "  ballots   2",
        "  vote      m1: for",
        "  vote      m2: against",
        "  no vote   m3: hm",
        "              a",
        "              b",
        "  failure   no such user",
        "  actions",
        "    - set_user",
        "        cert: one … (2 lines)",
        "    - 3",
    ]
    assert summary_line(proposal) == f"{ID}  Failed     2 ballots  by p"


def test_the_service_for_eyes() -> None:
    info = {"status": "Open", "recoveryCount": 0, "configuration": {"recoveryThreshold": 2}}
    member = {
        "memberId": "m",
        "status": "Active",
        "recoveryRole": "Owner",
        "memberData": {"x": "y" * 200},
    }
    lines = list(service_lines(info, [member]))
    assert lines[:2] == ["Service   Open", "  recovery threshold  2"]
    assert len(lines[-1]) < 150


def _raw(der: bytes, size: int) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(der))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain, with Umlauten: ü", "plain, with Umlauten: ü"),
        ("\x1b[2K\rnothing to see", r"\x1b[2K\rnothing to see"),
        ("one\n  vote  m: for", r"one\n  vote  m: for"),
        ("user \u202egnorw", r"user \u202egnorw"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
    ],
)
def test_what_members_wrote_cannot_play_tricks_on_a_terminal(line: str, shown: str) -> None:
    assert printable(line) == shown


def test_help_of_an_action_explains_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert quorate(["gov", "propose", "--action", "set_recovery_threshold", "--help"]) == 0
    assert "--arg recovery_threshold=…" in capsys.readouterr().out
    assert quorate(["gov", "propose", "--help"]) == 0
    assert "quorate gov actions" in capsys.readouterr().out


def test_ballots_are_checked_by_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ballot.star"
    for source, code, words in (
        ("def vote(p, by): return True", 0, "would take it"),
        ("def vote(p, by): return True\nx = [", 1, "does not load"),
        ("def vote(p, by): return True\nvote = 3", 1, "want a function"),
        ("def vote(p, by): return True # " + "x" * 65_536, 1, "want at most 65536"),
    ):
        file.write_text(source)
        assert quorate(["gov", "check", str(file)]) == code
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["--member-key", "k"],
        ["--member-sign", "true"],
        ["--member-cert", "c"],
        ["--member-cert", "c", "--member-key", "k", "--member-sign", "true"],
    ],
)
def test_half_a_member_is_none(
    member: Identity, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    service = ["--node", "127.0.0.1:1", "--service-cert", str(member.certificate_file)]
    assert quorate(["gov", "ack", *service, *options]) == 2
    assert "got half of a member" in capsys.readouterr().err


def test_a_sandbox_that_is_gone_is_not_needed(tmp_path: Path, member: Identity) -> None:
    """It may be left in the environment."""
    gone, file = tmp_path / "gone", member.certificate_file
    assert target("127.0.0.1:1", file, gone).member is None
    acting = target("127.0.0.1:1", file, gone, file, member.key_file, member=0)
    assert acting.signer().id == member.id
    for named, number in ((None, None), ("127.0.0.1:1", 0)):
        with pytest.raises(FormatError, match="cannot read"):
            target(named, file, gone, member=number)


def test_a_message_cannot_be_written_where_there_is_no_directory(
    tmp_path: Path, member: Identity, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = tmp_path / "prepared.json"
    options = ["--member-cert", str(member.certificate_file), "--out", str(prepared)]
    assert quorate(["gov", "prepare", "state_digest", *options]) == 0
    signature = urlsafe_b64encode(member.key.sign_digest(bytes(32))).decode()
    out = tmp_path / "missing" / "message"
    words = ["gov", "finish", str(prepared), "--signature", signature, "--out", str(out)]
    assert quorate(words) == 2
    assert "cannot write" in capsys.readouterr().err
