"""The replica of a node, from its configuration: consensus, store, tree, secrets."""

import msgspec

from ledger.base.clock import Clock, Entropy
from ledger.boundary.settings import Settings
from ledger.codec import canonical
from ledger.consensus.raft import Raft
from ledger.consensus.types import EntryRole, Jitter
from ledger.consensus.types import Settings as ConsensusSettings
from ledger.kv.store import Store
from ledger.launch.keys import Keys
from ledger.merkle.tree import MerkleTree
from ledger.replica.cadence import SigningSettings
from ledger.replica.replica import Replica
from ledger.replica.sealers import OpenBroadcast, Sealers
from ledger.replica.settings import ReplicaSettings
from ledger.secrets.broadcast import open_broadcast
from ledger.secrets.chain import SecretChain
from ledger.secrets.ledger_secret import LedgerSecret, new_key

RETAINED_ENTRIES = 20_000
"""Committed entries kept in memory for slow peers; older ones are read back from disk."""


def new_replica(keys: Keys, settings: Settings, clock: Clock, entropy: Entropy) -> Replica:
    """Return an empty replica; a joiner's ledger secret is replaced when it has joined."""
    holder: list[Replica] = []

    def apply_entry(view: int, seqno: int, data: bytes) -> EntryRole | None:
        return holder[0].applier.apply(view, seqno, data)

    node_id = keys.node.id
    raft = Raft(node_id, consensus_settings(settings), apply_entry, jitter_from(entropy))
    chain = SecretChain([LedgerSecret(new_key(entropy), 1)])
    signatures = settings.ledger_signatures
    replica = Replica(
        node_id,
        raft,
        Store(),
        MerkleTree(),
        Sealers(chain, broadcast_opener(keys)),
        ReplicaSettings(
            SigningSettings(
                tx_count=signatures_every(settings),
                delay_ms=signatures.delay_ms,
                min_interval_ms=signatures.min_interval_ms,
            ),
            settings.ledger_chunk_size,
        ),
        clock,
    )
    holder.append(replica)
    return replica


def signatures_every(settings: Settings) -> int:
    """Return after how many entries to sign at the latest.

    A quarter of what may be uncommitted leaves room for a signature that is being made and one
    that is on its way to the disks; otherwise a fast client would only see refusals.
    """
    limit = settings.consensus.max_uncommitted_tx_count
    wanted = settings.ledger_signatures.tx_count
    return wanted if limit == 0 else max(1, min(wanted, limit // 4))


def consensus_settings(settings: Settings) -> ConsensusSettings:
    """Return the part of the configuration that consensus needs."""
    consensus = settings.consensus
    return ConsensusSettings(
        message_timeout_ms=int(consensus.message_timeout_ms),
        election_timeout_ms=int(consensus.election_timeout_ms),
        pre_vote=consensus.pre_vote,
        max_uncommitted=consensus.max_uncommitted_tx_count,
        retained_entries=RETAINED_ENTRIES,
    )


def broadcast_opener(keys: Keys) -> OpenBroadcast:
    """Return what finds this node's ledger secrets in a broadcast."""

    def opened(value: bytes, seqno: int) -> list[LedgerSecret]:
        document = msgspec.convert(canonical.loads(value), dict[str, object])
        return open_broadcast(document, keys.node.id, keys.encryption, seqno)

    return opened


def jitter_from(entropy: Entropy) -> Jitter:
    """Return the chance of consensus: a number in ``[0, limit]``."""

    def jitter(limit: int) -> int:
        return int.from_bytes(entropy.random_bytes(8), "big") % (limit + 1)

    return jitter
