"""Agreement on the ledger: the signature-commit variant of Raft as a pure state machine."""
