"""Where a request runs: here, at the primary, or at a backup.

The dispatch asks a ``Placement`` after it knows the endpoint and before it authenticates. A node
that knows no others always runs requests itself.
"""

import enum
from typing import Protocol

from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response


class Passed(enum.Enum):
    """Marks a request that was sent on; its answer comes through the session later."""

    ON = "passed on"


class Placement(Protocol):
    """Decides where requests run."""

    def elsewhere(self, request: Request, endpoint: Endpoint) -> Response | Passed | None:
        """Judge one request.

        Returns:
            None to run it here; a redirect or an error to answer with; or ``Passed.ON`` when it
            was sent on and ``request.session.complete`` will be called.
        """
        ...
