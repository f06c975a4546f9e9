"""Secrets that a joiner was given: used from the entry that announces them, and not before."""

import pytest

from ledger.base.errors import UnavailableError
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from ledger.codec.writeset import Changes
from ledger.replica.sealers import Sealers
from ledger.secrets.chain import SecretChain
from ledger.secrets.historical import opening_value, rekey_value
from ledger.secrets.ledger_secret import LedgerSecret
from ledger.tables.internal import ENCRYPTED_LEDGER_SECRETS, HISTORICAL_LEDGER_SECRET

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
WRITE: Changes = {"records": {b"k": b"v"}}


class Zeros:
    def random_bytes(self, count: int) -> bytes:
        return bytes(count)


def _opening() -> Changes:
    value = canonical.dumps(opening_value(LedgerSecret(FIRST, 1)))
    return {HISTORICAL_LEDGER_SECRET.name: {SINGLETON_KEY: value}}


def _rekey(previous: LedgerSecret, key: bytes) -> Changes:
    value = canonical.dumps(rekey_value(previous, key, Zeros()))
    return {
        HISTORICAL_LEDGER_SECRET.name: {SINGLETON_KEY: value},
        ENCRYPTED_LEDGER_SECRETS.name: {SINGLETON_KEY: key},
    }


def _not_listed(value: bytes, seqno: int) -> list[LedgerSecret]:
    del value, seqno
    return []


def _listed(value: bytes, seqno: int) -> list[LedgerSecret]:
    return [LedgerSecret(value, seqno + 1, seqno)]


def _joiner() -> Sealers:
    given = SecretChain([LedgerSecret(FIRST, 1, 3), LedgerSecret(SECOND, 11, 10)])
    return Sealers(given, _not_listed)


def test_a_given_secret_waits_for_its_announcement() -> None:
    sealers = _joiner()
    assert list(sealers.chain.secrets) == [LedgerSecret(FIRST, 1)]
    sealers.applied(3, _opening())
    assert list(sealers.chain.secrets) == [LedgerSecret(FIRST, 1, 3)]
    sealers.applied(10, _rekey(sealers.chain.latest, SECOND))
    assert list(sealers.chain.secrets) == [LedgerSecret(FIRST, 1, 3), LedgerSecret(SECOND, 11, 10)]
    assert sealers.at(11) is sealers.latest
    assert sealers.at(10) is not sealers.latest


def test_a_rollback_before_the_announcement_does_not_lose_the_secret() -> None:
    sealers = _joiner()
    sealers.rollback(0)
    sealers.applied(3, _opening())
    sealers.rollback(2)
    assert list(sealers.chain.secrets) == [LedgerSecret(FIRST, 1)]
    sealers.applied(3, _opening())
    sealers.applied(10, _rekey(sealers.chain.latest, SECOND))
    sealers.rollback(9)
    assert list(sealers.chain.secrets) == [LedgerSecret(FIRST, 1, 3)]
    sealers.applied(10, _rekey(sealers.chain.latest, SECOND))
    assert sealers.chain.latest == LedgerSecret(SECOND, 11, 10)


def test_a_secret_that_was_given_and_is_announced_to_this_node_too_counts_once() -> None:
    given = SecretChain([LedgerSecret(FIRST, 1), LedgerSecret(SECOND, 11, 10)])
    sealers = Sealers(given, _listed)
    sealers.applied(10, _rekey(sealers.chain.latest, SECOND))
    assert len(sealers.chain) == 2
    assert not sealers.lacks_latest


def test_a_secret_of_a_rekey_that_was_rolled_back_is_not_taken_for_another() -> None:
    sealers = _joiner()
    sealers.applied(10, _rekey(sealers.chain.latest, THIRD))
    assert sealers.lacks_latest
    assert sealers.chain.latest.key == FIRST
    with pytest.raises(UnavailableError, match="announced at 10"):
        sealers.at(11)
    sealers.at(10)
    sealers.give([LedgerSecret(THIRD, 11, 10)])
    assert sealers.chain.latest == LedgerSecret(THIRD, 11, 10)
    assert not sealers.lacks_latest


def test_a_missing_secret_is_forgotten_with_its_announcement() -> None:
    sealers = _joiner()
    sealers.applied(12, _rekey(sealers.chain.latest, THIRD))
    with pytest.raises(UnavailableError, match="announced at 12"):
        sealers.at(13)
    sealers.rollback(11)
    assert not sealers.lacks_latest
    sealers.at(13)


def test_a_rekey_that_is_rolled_back_leaves_the_place_of_the_opening() -> None:
    sealers = Sealers(SecretChain([LedgerSecret(FIRST, 1)]), _listed)
    sealers.applied(3, _opening())
    sealers.applied(10, _rekey(sealers.chain.latest, SECOND))
    sealers.rollback(9)
    assert sealers.chain.latest == LedgerSecret(FIRST, 1, 3)


def test_entries_that_say_nothing_of_secrets_change_nothing() -> None:
    sealers = _joiner()
    sealers.applied(1, WRITE)
    assert list(sealers.chain.secrets) == [LedgerSecret(FIRST, 1)]


def test_a_node_that_starts_late_uses_what_began_before() -> None:
    chain = SecretChain([LedgerSecret(FIRST, 1, 3), LedgerSecret(SECOND, 11, 10)])
    sealers = Sealers(chain, _not_listed, version=20)
    assert sealers.chain.secrets == chain.secrets
