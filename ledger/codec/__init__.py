"""Bytes of the ledger: canonical JSON, table encodings, write sets, entries.

Invariant: decoding accepts exactly what encoding makes, or raises ``FormatError``.
"""
