"""What a member has to sign before it is active: a Merkle root that a node has signed."""

from ledger.kv.tx import Tx
from ledger.tables.internal import SIGNATURES
from ledger.tables.members import MEMBER_ACKS, MemberAck


def give_state_digest(tx: Tx, member_id: str) -> None:
    """Write the digest that a new member may acknowledge: the last committed signature's root.

    Signatures follow users' writes, many times a second, and the script that admits a member
    takes longer than that. So this is no read for conflicts, else users could keep members out.
    The digest is empty while no signature is committed; the member asks for one then.
    """
    signature = tx.singleton(SIGNATURES).get_committed()
    digest = "" if signature is None else signature.root
    tx.table(MEMBER_ACKS).put(member_id, MemberAck(state_digest=digest))
