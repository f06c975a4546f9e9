"""Committed entries read back from the host and checked against our tree before use."""
