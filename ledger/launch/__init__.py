"""Composition root: joins runtime, governance and application into a running node."""
