"""Formats of ledger files without a disk: names, chunk framing and position table."""
