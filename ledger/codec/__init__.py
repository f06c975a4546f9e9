"""Bytes of the ledger: canonical JSON, table encodings, write sets and entries, node-to-node messages.

Invariant: decoding accepts exactly what encoding makes, or raises ``FormatError``.
"""
