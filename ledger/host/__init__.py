"""The untrusted process: configuration, sockets, ledger files, timers; never sees keys or plaintext."""
