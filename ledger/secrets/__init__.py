"""Ledger secrets and who may rebuild them.

``chain`` says which secret sealed an entry; ``historical`` links each secret to the one before
it; ``shares`` puts the latest one into the hands of the members, ``broadcast`` into those of the
nodes; ``endorsement`` links service identities. Pure functions of keys, entropy and table values.
"""
