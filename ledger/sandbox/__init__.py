"""A local service of real processes, for newcomers and for tests."""
