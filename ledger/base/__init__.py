"""What everything else stands on: ids, error families, clock and entropy protocols, limits.

Nothing here imports another package of the project.
"""
