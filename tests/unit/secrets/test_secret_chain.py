"""The chain of secrets: which one sealed an entry, rollback, rebuilt past."""

import pytest

from ledger.base.errors import FormatError, MisuseError, UnavailableError
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret


def _secret(first: int, stored_at: int | None = None) -> LedgerSecret:
    return LedgerSecret(first.to_bytes(32, "big"), first, stored_at)


def test_the_secret_of_an_entry_is_the_latest_that_began() -> None:
    chain = SecretChain([_secret(20), _secret(1), _secret(10)])
    assert [secret.first for secret in chain.secrets] == [1, 10, 20]
    for seqno, first in [(1, 1), (9, 1), (10, 10), (19, 10), (20, 20), (10**9, 20)]:
        assert chain.at(seqno).first == first
    assert chain.latest.first == 20
    assert len(chain) == 3


def test_entries_before_the_first_secret() -> None:
    with pytest.raises(UnavailableError, match="no older secret"):
        SecretChain([_secret(29)]).at(28)


def test_added_secrets_begin_later() -> None:
    chain = SecretChain([_secret(1)])
    chain.add(_secret(5))
    assert chain.at(5).first == 5
    for first in (5, 4, 1):
        with pytest.raises(MisuseError):
            chain.add(_secret(first))


def test_past_is_added_in_front() -> None:
    chain = SecretChain([_secret(29)])
    chain.add_past([_secret(10), _secret(1)])
    assert [secret.first for secret in chain.secrets] == [1, 10, 29]
    assert chain.at(12).first == 10
    with pytest.raises(MisuseError):
        chain.add_past([_secret(1)])


@pytest.mark.parametrize("firsts", [[], [1, 1]])
def test_impossible_chains(firsts: list[int]) -> None:
    with pytest.raises(MisuseError):
        SecretChain([_secret(first) for first in firsts])


def test_rollback_of_a_rekey() -> None:
    """The rekey at 9 begins with 10: it stays as long as entry 9 does."""
    for seqno, latest in [(20, 10), (10, 10), (9, 10), (8, 1), (1, 1)]:
        chain = SecretChain([_secret(1, 3)])
        chain.add(_secret(10))
        chain.note_stored(10, 9)
        chain.rollback(seqno)
        assert chain.latest.first == latest
        assert chain.at(1).stored_at == (3 if seqno >= 3 else None)
        assert chain.at(seqno + 1) is chain.latest


def test_rollback_forgets_where_the_first_was_announced_but_not_the_secret() -> None:
    chain = SecretChain([_secret(1)])
    chain.note_stored(1, 17)
    assert chain.latest.stored_at == 17
    chain.rollback(17)
    assert chain.latest.stored_at == 17
    chain.rollback(16)
    assert chain.latest == _secret(1)
    with pytest.raises(MisuseError):
        chain.note_stored(2, 17)


def test_the_last_secret_stays() -> None:
    chain = SecretChain([_secret(29)])
    chain.rollback(1)
    assert chain.latest == _secret(29)


@pytest.mark.parametrize(("key", "first"), [(bytes(31), 1), (bytes(33), 1), (bytes(32), 0)])
def test_impossible_secrets(key: bytes, first: int) -> None:
    with pytest.raises(FormatError):
        LedgerSecret(key, first)


def test_a_secret_is_never_printed() -> None:
    assert "\\x00" not in repr(LedgerSecret(bytes(32), 1))
