"""Log sentences that operators' programs look for: one table, so that nobody rewords them.

They are those of CCF. Placeholders are ``str.format`` fields.
"""

PID_FILE_EXISTS = "PID file {path} already exists. Exiting."
HANGUP = "{signal}: Shutting down enclave gracefully..."
"""``signal`` is the system's description: ``Hangup``, ``Terminated``."""
STOP_NOTICE = "{signal}: Notifying enclave, but not shutting down."
CONFIGURATION_VERIFIED = "Configuration file successfully verified"
LEDGER_DIRECTORY_NOT_EMPTY = "On start, ledger directory should not exist or be empty ({path})"
LEDGER_FILE_NOT_FOUND = "Cannot find ledger file for seqno {seqno}"
POSITIONS_OFFSET_UNREADABLE = "Failed to read positions offset from ledger file {path}"
TABLE_OFFSET_INVALID = "Ledger file {path} cannot be read: invalid table offset ({offset})"
TABLE_OFFSET_TOO_LARGE = (
    "Ledger file {path} cannot be read: table offset {offset} greater than total file size {size}"
)
QUOTE_MEASUREMENT_UNKNOWN = "Quote does not contain known enclave measurement"
QUOTE_HOST_DATA_REFUSED = "Quote host data is not authorised"
