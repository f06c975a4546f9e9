"""Store, consensus and Merkle tree joined into one deterministic state machine."""
