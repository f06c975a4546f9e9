"""Root families of errors, by whose fault they are. Messages say what was got and what was wanted.

Expected outcomes (a conflict, "not the primary", "pending") are values, not errors.
"""


class LedgerError(Exception):
    """Root of every error that this project raises on purpose."""


class MisuseError(LedgerError):
    """Our caller broke a contract of the interface it used."""


class FormatError(LedgerError):
    """Bytes or text from outside do not parse."""


class VerificationError(LedgerError):
    """Something from outside parses and is not true: a signature, a digest, a proof."""


class UnavailableError(LedgerError):
    """The thing asked for cannot be had now; trying later may help."""
