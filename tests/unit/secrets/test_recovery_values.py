"""Values of the recovery tables: shares, chain of secrets, broadcasts, identities."""

import hashlib
import itertools
from collections.abc import Collection
from typing import Any

import pytest

from ledger.base.errors import FormatError, MisuseError, VerificationError
from ledger.base.ids import MemberId, TxId
from ledger.codec import canonical
from ledger.crypto.keys import Curve, SigningKey
from ledger.crypto.rsa import RsaPrivateKey
from ledger.crypto.sharing import Share, split
from ledger.crypto.wrapping import ONLY_IV, wrap, wrapping_key
from ledger.secrets.broadcast import open_broadcast, recovery_broadcast, rekey_broadcast
from ledger.secrets.endorsement import (
    check_identity_endorsement,
    self_endorsement,
    succession_endorsement,
)
from ledger.secrets.historical import opening_value, recovery_value, rekey_value, walk_back
from ledger.secrets.ledger_secret import LedgerSecret, new_key
from ledger.secrets.shares import (
    OWNER,
    PARTICIPANT,
    decrypt_share,
    make_recovery_shares,
    unwrap_submitted_share,
    unwrap_with_shares,
    wrap_submitted_share,
)


class SeededEntropy:
    """Bytes of SHA-256 over a seed and a counter, the same in every run."""

    def __init__(self, seed: bytes = b"") -> None:
        self._seed = seed
        self._count = 0

    def random_bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        return data[:count]


SECRET = LedgerSecret(bytes(range(32)), 1, 17)


def _member(number: int) -> MemberId:
    return MemberId(hashlib.sha256(bytes([number])).hexdigest())


@pytest.fixture(scope="module")
def keys() -> dict[MemberId, RsaPrivateKey]:
    return {_member(number): RsaPrivateKey.generate() for number in range(4)}


def _members(
    keys: dict[MemberId, RsaPrivateKey], owners: Collection[MemberId] = ()
) -> dict[MemberId, tuple[str, str]]:
    return {
        member: (key.public.pem, OWNER if member in owners else PARTICIPANT)
        for member, key in keys.items()
    }


def _shares(value: dict[str, Any], keys: dict[MemberId, RsaPrivateKey]) -> dict[MemberId, bytes]:
    return {member: decrypt_share(value, member, key) for member, key in keys.items()}


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_any_threshold_of_shares_opens_the_secret(
    keys: dict[MemberId, RsaPrivateKey], threshold: int
) -> None:
    value = make_recovery_shares(SECRET, _members(keys), threshold, SeededEntropy())
    assert set(value) == {
        "encrypted_shares",
        "wrapped_latest_ledger_secret",
        "previous_secret_stored_version",
    }
    assert value["previous_secret_stored_version"] == 17
    shares = _shares(value, keys)
    for chosen in itertools.combinations(shares.values(), threshold):
        assert unwrap_with_shares(value, chosen) == SECRET.key
    for chosen in itertools.combinations(shares.values(), threshold - 1):
        if chosen:
            with pytest.raises(VerificationError):
                unwrap_with_shares(value, chosen)


def test_participants_are_numbered_in_the_order_of_their_ids(
    keys: dict[MemberId, RsaPrivateKey],
) -> None:
    value = make_recovery_shares(SECRET, _members(keys), 2, SeededEntropy())
    shares = _shares(value, keys)
    numbers = [Share.parse(shares[member]).x for member in sorted(keys)]
    assert numbers == [1, 2, 3, 4]


def test_an_owner_alone_is_enough_and_takes_no_number(
    keys: dict[MemberId, RsaPrivateKey],
) -> None:
    owner = min(keys)
    value = make_recovery_shares(SECRET, _members(keys, {owner}), 3, SeededEntropy())
    shares = _shares(value, keys)
    assert unwrap_with_shares(value, [shares[owner]]) == SECRET.key
    assert Share.parse(shares[owner]).x == 0
    assert sorted(Share.parse(share).x for share in shares.values()) == [0, 1, 2, 3]
    others = [share for member, share in shares.items() if member != owner]
    assert unwrap_with_shares(value, others) == SECRET.key
    with pytest.raises(VerificationError):
        unwrap_with_shares(value, others[:2])


def test_owners_only(keys: dict[MemberId, RsaPrivateKey]) -> None:
    value = make_recovery_shares(SECRET, _members(keys, set(keys)), 1, SeededEntropy())
    for share in _shares(value, keys).values():
        assert unwrap_with_shares(value, [share]) == SECRET.key


def test_a_reshare_leaves_nothing_of_the_old_shares(keys: dict[MemberId, RsaPrivateKey]) -> None:
    entropy = SeededEntropy()
    old = make_recovery_shares(SECRET, _members(keys), 2, entropy)
    new = make_recovery_shares(SECRET, _members(keys), 2, entropy)
    old_shares, new_shares = _shares(old, keys), _shares(new, keys)
    assert unwrap_with_shares(new, list(new_shares.values())[:2]) == SECRET.key
    with pytest.raises(VerificationError):
        unwrap_with_shares(new, list(old_shares.values()))
    first, second = sorted(keys)[:2]
    with pytest.raises(VerificationError):
        unwrap_with_shares(new, [old_shares[first], new_shares[second]])


def test_a_share_submitted_twice_counts_once(keys: dict[MemberId, RsaPrivateKey]) -> None:
    value = make_recovery_shares(SECRET.key, _members(keys), 2, SeededEntropy())
    assert "previous_secret_stored_version" not in value
    share, other, *_ = _shares(value, keys).values()
    with pytest.raises(VerificationError):
        unwrap_with_shares(value, [share, share])
    assert unwrap_with_shares(value, [share, share, other]) == SECRET.key


def test_impossible_shares(keys: dict[MemberId, RsaPrivateKey]) -> None:
    members = _members(keys)
    member = next(iter(members))
    impossible: list[tuple[dict[MemberId, tuple[str, str]], int]] = [
        ({}, 1),
        (members, 0),
        (members, 5),
        ({**members, member: (members[member][0], "NonParticipant")}, 1),
        (_members(keys, {member}), 4),
    ]
    for bad, threshold in impossible:
        with pytest.raises(MisuseError):
            make_recovery_shares(SECRET, bad, threshold, SeededEntropy())
    with pytest.raises(FormatError):
        make_recovery_shares(SECRET, {member: ("no key", PARTICIPANT)}, 1, SeededEntropy())


def test_shares_of_strangers_and_malformed_values(keys: dict[MemberId, RsaPrivateKey]) -> None:
    value = make_recovery_shares(SECRET, _members(keys), 2, SeededEntropy())
    member, other = sorted(keys)[:2]
    with pytest.raises(FormatError, match="without one of member"):
        decrypt_share(value, _member(9), keys[member])
    with pytest.raises(VerificationError):
        decrypt_share(value, member, keys[other])
    malformed: list[dict[str, Any]] = [
        {},
        {"encrypted_shares": []},
        {**value, "wrapped_latest_ledger_secret": 1},
    ]
    for bad in malformed:
        with pytest.raises(FormatError):
            unwrap_with_shares(bad, [bytes(44)])
    with pytest.raises(FormatError):
        unwrap_with_shares(value, [bytes(43)])
    with pytest.raises(MisuseError):
        unwrap_with_shares(value, [])


def test_a_wrapped_secret_of_another_size() -> None:
    whole, _ = split(1, 1, SeededEntropy())
    blob = wrap(wrapping_key(whole), bytes(31), ONLY_IV)
    value = {
        "encrypted_shares": {},
        "wrapped_latest_ledger_secret": canonical.b64encode(blob),
    }
    with pytest.raises(FormatError, match="31 bytes"):
        unwrap_with_shares(value, [whole.encode()])


def test_submitted_shares_are_sealed_under_the_current_secret() -> None:
    share = Share(3, tuple(range(10))).encode()
    text = wrap_submitted_share(share, SECRET, SeededEntropy())
    assert unwrap_submitted_share(text, SECRET) == share
    with pytest.raises(VerificationError):
        unwrap_submitted_share(text, LedgerSecret(bytes(32), 1))
    with pytest.raises(FormatError):
        wrap_submitted_share(bytes(3), SECRET, SeededEntropy())
    with pytest.raises(FormatError):
        unwrap_submitted_share("no base64", SECRET)


def test_the_whole_chain_is_rebuilt_from_the_latest_secret() -> None:
    """Open at 17, rekey at 30, rekey at 40, disaster recovery at 51 that opens at 60."""
    entropy = SeededEntropy()
    first = LedgerSecret(new_key(entropy), 1, 17)
    second = LedgerSecret(new_key(entropy), 31, 30)
    third = LedgerSecret(new_key(entropy), 41, 40)
    fourth = LedgerSecret(new_key(entropy), 51, 60)
    values = [
        (17, opening_value(first)),
        (30, rekey_value(first, second.key, entropy)),
        (40, rekey_value(second, third.key, entropy)),
        (60, recovery_value(third, fourth, entropy)),
    ]
    assert values[0][1] == {"next_version": 1}
    assert set(values[1][1]) == {"previous_ledger_secret"}
    assert values[3][1]["next_version"] == 51
    previous = values[3][1]["previous_ledger_secret"]
    assert (previous["version"], previous["previous_secret_stored_version"]) == (41, 40)
    assert walk_back(values, fourth.key) == [first, second, third, fourth]
    assert walk_back(values[:2], second.key) == [first, second]
    assert walk_back(values[:1], first.key) == [first]
    assert walk_back(values[1:2], second.key) == [LedgerSecret(first.key, 1), second]
    with pytest.raises(VerificationError):
        walk_back(values, third.key)
    with pytest.raises(VerificationError, match="want one from"):
        walk_back([values[0], values[1], values[3]], fourth.key)
    with pytest.raises(FormatError):
        walk_back([], first.key)
    with pytest.raises(FormatError):
        walk_back([(1, {"next_version": "1"})], first.key)


def test_first_secret_that_was_never_recorded() -> None:
    entropy = SeededEntropy()
    value = rekey_value(LedgerSecret(bytes(32), 1), new_key(entropy), entropy)
    assert "previous_secret_stored_version" not in value["previous_ledger_secret"]


def test_rekey_broadcast(keys: dict[MemberId, RsaPrivateKey]) -> None:
    nodes = {f"node{index}": key for index, key in enumerate(keys.values())}
    value = rekey_broadcast(SECRET.key, {name: key.public.pem for name, key in nodes.items()})
    assert value["node0"][0]["version"] is None
    for name, key in nodes.items():
        assert open_broadcast(value, name, key, 30) == [LedgerSecret(SECRET.key, 31, 30)]
    assert open_broadcast(value, "stranger", nodes["node0"], 30) == []
    with pytest.raises(VerificationError):
        open_broadcast(value, "node0", nodes["node1"], 30)
    # As the table stores it: null stays null.
    again = canonical.loads(canonical.dumps(value))
    assert open_broadcast(again, "node0", nodes["node0"], 30)[0].first == 31


def test_recovery_broadcast(keys: dict[MemberId, RsaPrivateKey]) -> None:
    key = next(iter(keys.values()))
    secrets = [SECRET, LedgerSecret(bytes(32), 29)]
    value = recovery_broadcast(secrets, {"node": key.public.pem})
    assert [row["version"] for row in value["node"]] == [1, 29]
    assert open_broadcast(value, "node", key, 58) == secrets
    with pytest.raises(FormatError):
        open_broadcast({"node": {}}, "node", key, 58)


def test_self_endorsement() -> None:
    key = SigningKey.generate(Curve.P384)
    value = self_endorsement(key, TxId(2, 1), 1_700_000_000)
    assert set(value) == {"endorsement", "endorsing_key", "endorsement_epoch_begin"}
    endorsement = check_identity_endorsement(value)
    assert endorsement.endorsed == key.public
    assert (endorsement.begin, endorsement.end) == (TxId(2, 1), None)
    assert endorsement.issued_at == 1_700_000_000


def test_successions() -> None:
    """Opened at 2.1, recovered at 4.29 and again at 6.61."""
    first, second, third = (SigningKey.generate(Curve.P256) for _ in range(3))
    opened = self_endorsement(first, TxId(2, 1), 1)
    root = bytes(range(32))
    value = succession_endorsement(second, TxId(4, 29), (17, opened), issued_at=2, last_root=root)
    endorsement = check_identity_endorsement(value)
    assert endorsement.endorsed == first.public
    assert (endorsement.begin, endorsement.end) == (TxId(2, 1), TxId(2, 28))
    assert endorsement.end_root == root
    assert value["previous_version"] == 17
    value = succession_endorsement(third, TxId(6, 61), (60, value), issued_at=3)
    endorsement = check_identity_endorsement(value)
    assert endorsement.endorsed == second.public
    assert (endorsement.begin, endorsement.end) == (TxId(4, 29), TxId(4, 60))
    assert value["previous_version"] == 60


def test_untrue_endorsements() -> None:
    key, other = (SigningKey.generate(Curve.P256) for _ in range(2))
    value = self_endorsement(key, TxId(2, 1), 1)
    with pytest.raises(VerificationError):
        check_identity_endorsement(
            {**value, "endorsing_key": canonical.b64encode(other.public.der)}
        )
    for change in ({"endorsement_epoch_begin": "2.2"}, {"endorsement_epoch_end": "2.9"}):
        with pytest.raises(VerificationError, match="epoch"):
            check_identity_endorsement({**value, **change})
    for bad in ({}, {**value, "endorsement": "x"}, {**value, "endorsing_key": "AAAA"}):
        with pytest.raises(FormatError):
            check_identity_endorsement(bad)
