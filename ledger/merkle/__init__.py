"""The Merkle tree over ledger entries: append, root, retract, flush, proofs."""
