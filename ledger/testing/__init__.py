"""Tools for tests: an in-process client for applications, simulated clusters, faults, checkers."""
