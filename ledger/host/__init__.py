"""The untrusted process: configuration, sockets, ledger files, log; never sees keys or plaintext.

It owns everything that has a name (ports, files, peers' addresses), starts the enclave and
hands it file descriptors. A hostile host can drop, delay and replay; it cannot forge or read.

Invariant: nothing here imports what holds keys or decodes entries beyond their headers.
Tests drive it with small programs in place of the enclave (``tests/unit/host``).
"""
