"""Which tables a script may read and write: by the table's role and by what the script is for.

========  ===============  =================  ==========  ===========  ===============
phase     internal public  governance public  app public  app private  other private
========  ===============  =================  ==========  ===========  ===============
validate  read             read               none        none         none
resolve   read             read               none        none         none
ballot    read             read               none        none         none
apply     read             read, write        write       none         none
========  ===============  =================  ==========  ===========  ===============

Governance must be re-runnable from the public part of the ledger, so nothing private and nothing
of an application may decide it. Names under a reserved prefix are nobody's.
"""

import enum

from governance.scripting import HostError
from ledger.codec.tables import MapRole, is_public, map_role


class Phase(enum.Enum):
    """What a script is run for."""

    VALIDATE = "validate"
    RESOLVE = "resolve"
    BALLOT = "ballot"
    APPLY = "apply"


class Access(enum.Flag):
    """What may be done with a table."""

    NONE = 0
    READ = enum.auto()
    WRITE = enum.auto()


_READERS = {MapRole.INTERNAL: Access.READ, MapRole.GOVERNANCE: Access.READ}
_APPLY = {
    MapRole.INTERNAL: Access.READ,
    MapRole.GOVERNANCE: Access.READ | Access.WRITE,
    MapRole.APPLICATION: Access.WRITE,
}


def access_of(phase: Phase, table: str) -> Access:
    """Return what a script of this phase may do with a table."""
    if not is_public(table):
        return Access.NONE
    rights = _APPLY if phase is Phase.APPLY else _READERS
    return rights.get(map_role(table), Access.NONE)


def require(phase: Phase, table: str, wanted: Access) -> None:
    """Let a script go on, or stop it.

    Args:
        phase: What the script is run for.
        table: Map name.
        wanted: ``Access.READ`` or ``Access.WRITE``.

    Raises:
        HostError: names the table, the phase and the rule.
    """
    if wanted in access_of(phase, table):
        return
    verb = "read" if wanted is Access.READ else "write"
    raise HostError(f"{phase.value} may not {verb} table {table}: {_rule(phase, table)}")


def _rule(phase: Phase, table: str) -> str:
    role = map_role(table)
    if role is MapRole.RESERVED:
        return "names under this prefix are reserved"
    if not is_public(table):
        return "scripts see public tables only"
    if role is MapRole.INTERNAL:
        return "tables of the framework are read-only to scripts"
    if role is MapRole.GOVERNANCE:
        return "governance tables are written by apply alone"
    if phase is Phase.APPLY:
        return "apply only writes tables of applications"
    return "no decision depends on tables of applications"
