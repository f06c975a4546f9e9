"""Receipts: built on a node, verified by anyone offline with only the service certificate."""
