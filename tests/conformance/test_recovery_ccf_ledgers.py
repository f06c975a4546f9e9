"""Recovery tables of ledgers that CCF wrote, with the members' decrypted shares as known."""

import itertools
import json
from typing import Any

import pytest

from ledger.base.errors import FormatError, VerificationError
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.crypto.sharing import Share, rejoin
from ledger.crypto.wrapping import unwrap, wrapping_key
from ledger.secrets.chain import SecretChain
from ledger.secrets.historical import opening_value, walk_back
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.secrets.shares import (
    parse_recovery_shares,
    unwrap_submitted_share,
    unwrap_with_shares,
)
from tests.conformance.ccf_package import NAMES, entries_of, needs_data, vectors_of

SHARES = "public:ccf.internal.recovery_shares"
HISTORICAL = "public:ccf.internal.historical_encrypted_ledger_secret"
SUBMITTED = "public:ccf.internal.encrypted_submitted_shares"

pytestmark = needs_data


def _values(name: str, table: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for entry, changes in entries_of(name):
        value = changes.get(table, {}).get(SINGLETON_KEY)
        if value is not None:
            found.append((entry.seqno, json.loads(value)))
    return found


def _secrets(name: str) -> list[tuple[int, bytes]]:
    known = vectors_of(name)["ledger_secrets"]
    return sorted((int(first), bytes.fromhex(secret)) for first, secret in known.items())


@pytest.mark.parametrize("name", NAMES)
def test_shares_rebuild_the_wrapping_key_and_the_secret(name: str) -> None:
    known = vectors_of(name)["recovery"]
    value = dict(_values(name, SHARES))[known["recovery_shares_seqno"]]
    shares = {member: bytes.fromhex(share) for member, share in known["decrypted_shares"].items()}
    assert set(parse_recovery_shares(value).encrypted_shares) == set(shares)
    # Members are numbered in the order of their ids.
    numbers = [Share.parse(shares[member]).x for member in sorted(shares)]
    assert numbers == list(range(1, len(shares) + 1))
    threshold = known["threshold"]
    _, secret = _secrets(name)[-1]
    for chosen in itertools.combinations(shares.values(), threshold):
        key = wrapping_key(rejoin([Share.parse(share) for share in chosen]))
        assert key.hex() == known["wrapping_key"]
        assert unwrap_with_shares(value, chosen) == secret
    for chosen in itertools.combinations(shares.values(), threshold - 1):
        if chosen:
            with pytest.raises(VerificationError):
                unwrap_with_shares(value, chosen)


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_linked_back_to_the_first(name: str) -> None:
    values = _values(name, HISTORICAL)
    known = _secrets(name)
    rebuilt = walk_back(values, known[-1][1])
    assert [(secret.first, secret.key) for secret in rebuilt] == known
    assert [secret.stored_at for secret in rebuilt] == [seqno for seqno, _ in values]
    assert opening_value(rebuilt[0]) == values[0][1]


def test_submitted_shares_open_under_the_secret_of_the_recovering_service() -> None:
    """These were shares of an older CCF, 113 bytes long, which cannot be rejoined any more."""
    name = "expired_service"
    chain = SecretChain(LedgerSecret(key, first) for first, key in _secrets(name))
    submitted = [
        (chain.at(entry.seqno), json.loads(text))
        for entry, changes in entries_of(name)
        for text in changes.get(SUBMITTED, {}).values()
        if text is not None
    ]
    assert len(submitted) == 3
    for secret, text in submitted:
        assert secret.first == 29
        assert len(unwrap(secret.key, canonical.b64decode(text))) == 113
        with pytest.raises(FormatError, match="113 bytes"):
            unwrap_submitted_share(text, secret)
