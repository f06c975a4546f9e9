"""Bytes that nobody meant: signed messages, sources and JSON bent out of shape.

``QUORATE_FUZZ_INPUTS`` sets the number of inputs of each test; the default keeps the suite short.
The tests insist on how deep their inputs get: a fuzzer whose inputs all end at the first check
finds nothing.
"""

import json
import os
import random
import re
from collections import Counter

import pytest

from governance.interpreter import run
from governance.script_source import source_problem
from governance.scripting import ScriptCall, ScriptLimits
from ledger.base.errors import FormatError
from ledger.crypto.cose_governance import MessageType
from ledger.launch.script_worker_wire import Call, End, FrameBuffer, Run, decode_to_node, encode
from tests.unit.governance.gov_kit import YES, Consortium, action, person

EXAMPLES = int(os.environ.get("QUORATE_FUZZ_INPUTS", "300"))
SEED = int(os.environ.get("QUORATE_SEED", "1"))
PROPOSED = {"actions": [action("set_user", cert=person("user0").pem, user_data={"a": [1]})]}
SOURCE = """
def helper(x, *rest, **named):
    return [y + 1 for y in x if y not in (3, 4)] + ["%s" % each for each in rest]
def vote(proposal, proposer_id):
    if proposal.get("actions") and kv.size("public:ccf.gov.members.info") > 1:
        for action in proposal["actions"]:
            if action["name"] == "set_user": return len(helper([1, 2], 'a', k = {"b": -1})) > 2
    elif 1 < 2: return not True
    return lambda: json.encode({'x': 1 // 2})
"""


TOKEN = re.compile(r"\s+|\w+|[^\w\s]")


def bent(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four places changed, doubled, dropped or cut."""
    bytes_ = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(bytes_) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(bytes_):
            bytes_[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            bytes_[at:at] = chance.randbytes(chance.randint(1, 9))
        elif kind == 2:
            del bytes_[at : at + chance.randint(1, 9)]
        elif kind == 3:
            end = min(len(bytes_), at + chance.randint(1, 40))
            bytes_[at:at] = bytes_[at:end]
        elif len(bytes_) > 4:
            del bytes_[at:]
    return bytes(bytes_)


def reworded(source: str, chance: random.Random) -> str:
    """Return the source with one or two of its words or signs replaced by others of it."""
    tokens = TOKEN.findall(source)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(tokens))
        kind = tokens[at].isidentifier(), tokens[at].isspace()
        same = [each for each in tokens if (each.isidentifier(), each.isspace()) == kind]
        tokens[at] = chance.choice(same)
    return "".join(tokens)


def bent_source(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return reworded(SOURCE, chance)
    return bent(SOURCE.encode(), chance).decode("utf-8", "replace")


VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**64,
    1.5,
    "",
    "x",
    [],
    {},
    [[{}]],
    {"keys": []},
    "ab" * 32,
)


def bent_leaf(document: object, chance: random.Random) -> object:
    """Return the document with one of its values replaced, or one more beside it."""
    if isinstance(document, dict) and document and chance.random() < 0.9:
        name = chance.choice([*document, "other"])
        return document | {name: bent_leaf(document.get(name), chance)}
    if isinstance(document, list) and document and chance.random() < 0.9:
        at = chance.randrange(len(document))
        return [
            *document[:at],
            bent_leaf(document[at], chance),
            *document[at + chance.randint(0, 1) :],
        ]
    return chance.choice(VALUES)


@pytest.mark.parametrize("kind", [MessageType.PROPOSAL, MessageType.BALLOT, MessageType.ACK])
def test_bent_messages_are_refused_and_change_nothing(kind: MessageType) -> None:
    """The signature holds only for what was signed, so whatever parses is still refused."""
    chance = random.Random(SEED)
    service = Consortium(("alice",))
    proposal_id = service.propose("alice", PROPOSED["actions"][0]).json()["proposalId"]
    member = person("alice").id
    path, payload = {
        MessageType.PROPOSAL: ("/members/proposals:create", PROPOSED),
        MessageType.BALLOT: (
            f"/members/proposals/{proposal_id}/ballots/{member}:submit",
            {"ballot": YES},
        ),
        MessageType.ACK: (f"/members/state-digests/{member}:ack", {"stateDigest": "00" * 32}),
    }[kind]
    message = service.message("alice", kind, payload, proposal_id=proposal_id)
    version = service.log.store.version
    seen: dict[tuple[int, str | None], int] = {}
    for _ in range(EXAMPLES):
        changed = bent(message, chance)
        if changed == message:
            continue
        answer = service.post(path, changed)
        seen[answer.status, answer.error_code] = seen.get((answer.status, answer.error_code), 0) + 1
    assert set(seen) <= {(401, "InvalidAuthenticationInfo"), (400, "InvalidCreatedAt")}, seen
    assert service.log.store.version == version
    assert not service.failures


def test_bent_proposals_signed_by_a_member_are_answered() -> None:
    chance = random.Random(SEED)
    service = Consortium(("alice", "bob", "carol"))
    body = json.dumps(PROPOSED).encode()
    seen: Counter[int] = Counter()
    for _ in range(EXAMPLES // 3):
        changed = bent(body, chance) if chance.random() < 0.5 else bent_leaf(PROPOSED, chance)
        message = service.message("bob", MessageType.PROPOSAL, changed)
        answer = service.post("/members/proposals:create", message)
        seen[answer.status] += 1
        if answer.status == 200:
            # Whatever a member can propose can be voted on, too.
            proposal_id = answer.json()["proposalId"]
            assert service.vote("alice", proposal_id).status == 200
            assert service.withdraw("bob", proposal_id).status == 200
    assert set(seen) <= {200, 400}, seen
    assert seen[200] > EXAMPLES // 100, seen
    assert not service.failures


def test_bent_ballots_signed_by_a_member_are_answered() -> None:
    """Every ballot that is taken is run, on a proposal of its own."""
    chance = random.Random(SEED)
    service = Consortium(("alice", "bob", "carol"))
    body = json.dumps({"ballot": SOURCE}).encode()
    member = person("bob").id
    ends: Counter[str] = Counter()
    proposal_id = ""
    for _ in range(EXAMPLES // 6):
        if not proposal_id:
            proposal_id = service.propose("alice", PROPOSED["actions"][0]).json()["proposalId"]
        changed = bent(body, chance) if chance.random() < 0.3 else {"ballot": bent_source(chance)}
        message = service.message("bob", MessageType.BALLOT, changed, proposal_id=proposal_id)
        path = f"/members/proposals/{proposal_id}/ballots/{member}:submit"
        answer = service.post(path, message)
        if answer.status != 200:
            ends[f"{answer.status} {answer.error_code}"] += 1
            continue
        ends["no vote" if "voteFailures" in answer.json() else "a vote"] += 1
        assert service.withdraw("alice", proposal_id).status == 200
        proposal_id = ""
    assert set(ends) <= {"a vote", "no vote", "400 InvalidInput"}, ends
    assert min(ends.values()) > EXAMPLES // 200, ends
    assert not service.failures


def test_bent_sources_end_one_way_or_the_other() -> None:
    """Only what the scan lets through is run here: the rest may take a process down."""
    chance = random.Random(SEED)
    limits = ScriptLimits(steps_max=5_000_000)
    ends = {"value": 0, "failure": 0, "refused": 0}
    proposal = PROPOSED
    for _ in range(EXAMPLES):
        source = bent_source(chance)
        if source_problem(source, 100_000) is not None:
            ends["refused"] += 1
            continue
        call = ScriptCall("ballot", source, "vote", (proposal, "x"), limits)
        outcome = run(call, lambda name, arguments: len(name) + len(arguments))
        ends["value" if outcome.failure is None else "failure"] += 1
    assert ends["failure"] > EXAMPLES // 4
    assert ends["value"] > EXAMPLES // 20
    assert sum(ends.values()) == EXAMPLES


def test_bent_frames_are_messages_or_refused() -> None:
    chance = random.Random(SEED)
    frames = [
        encode(Call("kv.get", ["table", None])),
        encode(End(1000, {"a": [1, None]})),
        encode(Run("n", "s", "f", [1], ScriptLimits())),
    ]
    for number in range(EXAMPLES):
        data = bent(frames[number % 3], chance)
        try:
            for body in FrameBuffer().feed(data):
                assert isinstance(decode_to_node(body), Call | End)
        except FormatError:
            continue
