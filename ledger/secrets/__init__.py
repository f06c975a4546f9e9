"""Ledger secrets and who may rebuild them: the chain of secrets, wrapping key and recovery shares."""
