"""Offline reading and checking of ledger files; also the integrity oracle of our tests."""
