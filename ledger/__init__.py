"""The framework: a replicated key-value store with a verifiable ledger.

See ARCHITECTURE.md for the map.
"""
