"""How a node starts, joins and leaves: one flow per module."""
