"""What a replica is given once and never changes."""

from dataclasses import dataclass, field

from ledger.replica.cadence import SigningSettings


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """Settings of the state machine.

    Attributes:
        signing: When to sign.
        chunk_size: Entries since the last chunk end that make the next signature end a chunk,
            in bytes; in ``[1, 4 GiB - 1]``.
    """

    signing: SigningSettings = field(default_factory=SigningSettings)
    chunk_size: int = 5_000_000
