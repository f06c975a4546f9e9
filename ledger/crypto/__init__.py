"""Every cryptographic primitive, in the terms of the ledger; the only importer of ``cryptography``.

Pure functions and small objects: entropy comes from the caller through ``base.clock.Entropy``.
"""
