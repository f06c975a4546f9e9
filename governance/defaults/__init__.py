"""The constitutions we ship: readable Starlark sources, joined by newlines as CCF joins files.

Each variant is a few lines over shared files. What a node is started with is the joined text, so
a consortium may begin with a variant and vote in one of its own.
"""

import enum
from importlib import resources

SHARED_FILES = (
    "consortium.star",
    "arguments.star",
    "actions_people.star",
    "actions_service.star",
    "actions_nodes.star",
    "actions_tokens.star",
    "actions.star",
    "validate.star",
)
_LAST_FILE = "apply.star"


class Variant(enum.Enum):
    """A constitution by who decides; the value is its name on command lines."""

    MAJORITY = "majority"
    STRICT_MAJORITY = "strict-majority"
    VETO = "veto"
    OPERATOR = "operator"
    OPERATOR_PROVISIONER = "operator-provisioner"


_RESOLVE_FILES: dict[Variant, tuple[str, ...]] = {
    Variant.MAJORITY: ("resolve.star",),
    Variant.STRICT_MAJORITY: ("resolve_strict_majority.star",),
    Variant.VETO: ("resolve_veto.star",),
    Variant.OPERATOR: ("operators.star", "resolve_operator.star"),
    Variant.OPERATOR_PROVISIONER: ("operators.star", "resolve_operator_provisioner.star"),
}


def file_names(variant: Variant = Variant.MAJORITY) -> tuple[str, ...]:
    """Return the names of a variant's files in this package, in the order they are joined."""
    return (*SHARED_FILES, *_RESOLVE_FILES[variant], _LAST_FILE)


def file_paths(variant: Variant = Variant.MAJORITY) -> tuple[str, ...]:
    """Return the paths of a variant's files, for ``constitution_files`` of a node."""
    return tuple(str(resources.files(__name__).joinpath(name)) for name in file_names(variant))


def constitution(variant: Variant = Variant.MAJORITY) -> str:
    """Return a variant's source."""
    folder = resources.files(__name__)
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in file_names(variant))
