"""The router against its definition, on small alphabets where everything collides."""

import contextlib
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.base.errors import MisuseError
from ledger.endpoints.auth import no_auth
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Endpoint
from ledger.endpoints.registry import Registry
from ledger.endpoints.response import Response
from ledger.endpoints.router import Ambiguous, Match, Router, UnknownPath, WrongVerb
from tests.reference import router_reference

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
VERBS = st.sampled_from(["GET", "POST"])
PIECES = st.sampled_from(["a", "b", "{x}", "{y}", ":", "-", ".", "/"])
TEMPLATES = st.lists(PIECES, max_size=6).map(lambda pieces: "/" + "".join(pieces))
PATHS = st.text("ab:-./", max_size=7).map(lambda text: "/" + text)


def handler(_context: CallContext) -> Response:
    return Response(200)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(VERBS, TEMPLATES), max_size=8), VERBS, st.lists(PATHS, min_size=5))
def test_router_is_its_definition(
    wanted: list[tuple[str, str]], method: str, paths: list[str]
) -> None:
    registry = Registry("/app")
    for verb, template in wanted:
        with contextlib.suppress(MisuseError):  # twice the same, or no template
            registry.add(Endpoint(method=verb, path=template, handler=handler, auth=(no_auth,)))
    taken = [(endpoint.method, endpoint.path) for endpoint in registry.endpoints]
    router = Router(registry.endpoints)
    literals = [template for _, template in taken if "{" not in template]
    for path in [*paths, *literals]:
        expected = router_reference.find(taken, method, path)
        found = router.find(method, path)
        match found:
            case Match(endpoint, params, raw_params):
                assert (endpoint.path, params) == expected
                assert raw_params == params
            case Ambiguous():
                assert expected == "ambiguous"
            case WrongVerb(allow):
                assert list(allow) == expected
            case UnknownPath():
                assert expected == "unknown"
            case _:
                raise AssertionError(found)
