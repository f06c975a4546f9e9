"""Several policies at once: a caller whom every one of them accepts."""

from collections.abc import Sequence

from ledger.base.errors import MisuseError
from ledger.endpoints.auth import AuthPolicy, Denied, Identity
from ledger.endpoints.request import Request
from ledger.kv.tx import Tx


class AllOf:
    """Accepts when every one of several policies does.

    The identity's ``claims`` are the identities by the names of the policies, in order; its ``id``
    and ``certificate`` are those of the first policy that gives some.

    Args:
        policies: At least one, each name once.

    Attributes:
        policies: The policies, in the order in which they are asked.

    Raises:
        MisuseError: none is given, or one twice.
    """

    def __init__(self, policies: Sequence[AuthPolicy]) -> None:
        names = [policy.name for policy in policies]
        if not names or len(set(names)) != len(names):
            raise MisuseError(f"got policies {names} to ask for together, want some, each once")
        self.policies = tuple(policies)
        self.name = "+".join(names)

    def authenticate(self, request: Request, tx: Tx) -> Identity | Denied:
        """Ask every policy; the first that does not accept decides."""
        identities: dict[str, Identity] = {}
        for policy in self.policies:
            outcome = policy.authenticate(request, tx)
            if isinstance(outcome, Denied):
                return Denied(f"{policy.name}: {outcome.message}", outcome.www_authenticate)
            identities[policy.name] = outcome
        found = list(identities.values())
        return Identity(
            self.name,
            next((each.id for each in found if each.id is not None), None),
            next((each.certificate for each in found if each.certificate is not None), None),
            identities,
        )

    def openapi_security(self) -> None:
        """Return None: an operation lists the schemes of the policies, side by side."""


def all_of(*policies: AuthPolicy) -> AllOf:
    """Return the policy that wants all of these."""
    return AllOf(policies)
