"""Every bound of the project, each with its reason; sizes in bytes unless named otherwise."""

ENTRY_SIZE_MAX = 1 << 30
"""Largest ledger entry, as CCF's reader: 1 GiB."""

VIEW_MAX = (1 << 31) - 1
"""The view shares a 32-bit word of the AES-GCM IV with the snapshot bit."""

SEQNO_MAX = (1 << 64) - 1
"""A seqno is an unsigned 64-bit word in the entry and in the IV."""

CHUNK_SIZE_MAX = (1 << 32) - 1
"""Position tables hold 32-bit offsets, so a chunk stays below 4 GiB."""

JSON_DEPTH_MAX = 64
"""Deepest nesting of JSON from outside that is parsed."""

COMMIT_ATTEMPTS_MAX = 30
"""Runs of one request on write conflicts before it is answered 503, as CCF."""

BOUNDARY_FRAME_SIZE_MAX = 64 << 20
"""Largest frame between host and enclave; an entry batch is split below it."""

WRITTEN_ENTRY_SIZE_MAX = BOUNDARY_FRAME_SIZE_MAX - (1 << 20)
"""Largest ledger entry that a node writes: it goes to the host and to every peer in one frame."""
