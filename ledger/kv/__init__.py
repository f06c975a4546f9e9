"""The key-value store: maps of bytes to bytes, transactions on a stable snapshot, versions, rollback."""
