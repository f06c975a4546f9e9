"""The key-value store: maps of bytes to bytes, transactions, versions, rollback, compaction.

``store.Store`` owns the newest state; ``tx.Tx`` is one transaction on a stable snapshot of it;
``handle.MapHandle`` reads and writes one map, ``typed`` puts codecs in front of it; ``contents``
is a whole state for snapshots.

How it keeps its promises (numbers in ``ledger/docs/decisions/0001-store-representation.md``):

- A map is one plain dict, key to *record* (8 bytes seqno of the write, then the value), which
  costs about 50 bytes a key and is invisible to the garbage collector.
- Every seqno has a ``point.Point``; the points form a chain from old to new, and each link holds
  what the step overwrote. A transaction holds the point it began at: reading the past and finding
  conflicts walk the chain forward, rollback undoes it backward, compaction forgets its start.
- Sorted keys exist only for maps that were read in order (``order.KeyOrder``).

Invariants: one thread; a point never changes what it shows; equal calls give equal results in
equal order on every node. Test it with ``tests/unit/kv`` and ``tests/property/test_kv_*.py``,
which compare with the plain dicts of ``tests/reference/kv_reference.py``.
"""
