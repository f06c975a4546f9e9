"""Two transactions that both build on the newest ledger secret cannot both happen."""

import pytest

from ledger.base.ids import MemberId
from ledger.crypto.rsa import RsaPrivateKey
from ledger.enclave.system import SystemEntropy
from ledger.kv.store import Conflict, Store
from ledger.lifecycle.secrets_in_ledger import rekey, reshare
from ledger.secrets.ledger_secret import LedgerSecret

MEMBERS = {MemberId("a" * 64): (RsaPrivateKey.generate().public.pem, "Participant")}
LATEST = LedgerSecret(bytes(32), 1)


@pytest.mark.parametrize("second", ["rekey", "reshare"])
def test_what_overtook_a_rekey_has_to_run_again(second: str) -> None:
    store, entropy = Store(), SystemEntropy()
    first, other = store.begin(), store.begin()
    rekey(first, LATEST, MEMBERS, entropy)
    if second == "rekey":
        rekey(other, LATEST, MEMBERS, entropy)
    else:
        reshare(other, LATEST, MEMBERS, entropy)
    assert not isinstance(store.commit(first, 1), Conflict)
    assert isinstance(store.commit(other, 2), Conflict)
