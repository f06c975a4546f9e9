"""Names and typed values of the built-in tables: the contract between governance and node."""
