"""Bytes that nobody meant: signed messages, sources and JSON bent out of shape.

``QUORATE_EXAMPLES`` sets the number of examples; the default keeps the suite short.
"""

import json
import os
import random

import pytest

from governance.interpreter import run
from governance.script_source import source_problem
from governance.scripting import ScriptCall, ScriptLimits
from ledger.base.errors import FormatError
from ledger.crypto.cose_governance import MessageType
from ledger.launch.script_worker_wire import Call, End, FrameBuffer, Run, decode_to_node, encode
from tests.unit.governance.gov_kit import YES, Consortium, action, person

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "300"))
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


@pytest.mark.parametrize("kind", [MessageType.PROPOSAL, MessageType.BALLOT])
def test_bent_bodies_signed_by_a_member_are_answered(kind: MessageType) -> None:
    chance = random.Random(SEED)
    service = Consortium(("alice", "bob", "carol"))
    proposal_id = service.propose("alice", PROPOSED["actions"][0]).json()["proposalId"]
    member = person("bob").id
    path, payload = {
        MessageType.PROPOSAL: ("/members/proposals:create", PROPOSED),
        MessageType.BALLOT: (
            f"/members/proposals/{proposal_id}/ballots/{member}:submit",
            {"ballot": SOURCE},
        ),
    }[kind]
    body = json.dumps(payload).encode()
    statuses = set()
    for _ in range(EXAMPLES // 3):
        message = service.message("bob", kind, bent(body, chance), proposal_id=proposal_id)
        statuses.add(service.post(path, message).status)
    assert statuses <= {200, 400, 500}
    assert not service.failures


def test_bent_sources_end_one_way_or_the_other() -> None:
    """Only what the scan lets through is run here: the rest may take a process down."""
    chance = random.Random(SEED)
    limits = ScriptLimits(steps_max=5_000_000)
    ends = {"value": 0, "failure": 0, "refused": 0}
    proposal = PROPOSED
    for _ in range(EXAMPLES):
        source = bent(SOURCE.encode(), chance).decode("utf-8", "replace")
        if source_problem(source, 100_000) is not None:
            ends["refused"] += 1
            continue
        call = ScriptCall("ballot", source, "vote", (proposal, "x"), limits)
        outcome = run(call, lambda name, arguments: len(name) + len(arguments))
        ends["value" if outcome.failure is None else "failure"] += 1
    assert ends["failure"] > EXAMPLES // 4
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
