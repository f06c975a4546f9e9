"""``App``: an application's endpoints, declared with decorators."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from ledger.app.schema import Schemas, operation
from ledger.app.signature import Signature, compile_handler, read_signature
from ledger.base.errors import MisuseError
from ledger.endpoints.auth import AuthPolicy
from ledger.endpoints.endpoint import Endpoint, Forwarding, Handler, Mode, Redirection
from ledger.endpoints.registry import Registry, check_template

PREFIX = "/app"

F = TypeVar("F", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """What an endpoint may say beside its path.

    Attributes:
        auth: Policies, the first that accepts wins; ``[no_auth]`` lets everybody in.
        mode: ``readwrite``, or ``readonly`` for one that cannot write and runs on any node;
            ``readonly`` for GET and ``readwrite`` for the rest unless given.
        respond_after_commit: Answer only when the transaction is committed (or 503).
        forwarding: When a backup passes it on; by mode unless given.
        redirection: Where clients are redirected; by mode unless given.
        openapi: What to put over the operation made from the signature.
        hidden: Leave it out of the OpenAPI document.
    """

    auth: Sequence[AuthPolicy]
    mode: Literal["readwrite", "readonly"]
    respond_after_commit: bool
    forwarding: Forwarding
    redirection: Redirection
    openapi: dict[str, Any]
    hidden: bool


_POLICY_PARTS = ("name", "authenticate", "openapi_security")
_MODES = {"readwrite": Mode.READWRITE, "readonly": Mode.READONLY}


class App:
    """An application: endpoints under ``/app``.

    Example::

        app = App("greeter")
        greetings = Table("greetings", str, str)

        @app.put("/greetings/{name}", auth=[user_cert])
        def greet(ctx: Context, name: str, body: str) -> None:
            ctx.table(greetings).put(name, body)

    Args:
        name: Title of the OpenAPI document.
        description: Its description.
        version: Version of the application's interface.
        auth: Policies of endpoints that name none of their own; by default each has to.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        version: str = "1.0.0",
        auth: Sequence[AuthPolicy] = (),
    ) -> None:
        self.name = name
        self._description = description
        self._version = version
        self._auth = tuple(auth)
        self._declared = self._new_registry()
        self._signatures: dict[tuple[str, str], Signature] = {}

    def build(self) -> Registry:
        """Return the endpoints declared so far, with their documents."""
        schemas = Schemas(list(self._signatures.values()))
        registry = self._new_registry()
        registry.schemas = schemas.components
        named: Counter[str] = Counter()
        for endpoint in self._declared.endpoints:
            signature = self._signatures[endpoint.method, endpoint.path]
            document = {**operation(signature, schemas), **endpoint.openapi}
            # A function may serve several paths, and OpenAPI wants every name once.
            name = document["operationId"]
            named[name] += 1
            if named[name] > 1:
                document["operationId"] = f"{name}_{named[name]}"
            registry.add(dataclasses.replace(endpoint, openapi=document))
        return registry

    def get(self, path: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """Declare a GET endpoint; ``readonly`` unless it says otherwise. See ``endpoint``."""
        return self.endpoint("GET", path, **options)

    def post(self, path: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """Declare a POST endpoint. See ``endpoint``."""
        return self.endpoint("POST", path, **options)

    def put(self, path: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """Declare a PUT endpoint. See ``endpoint``."""
        return self.endpoint("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """Declare a PATCH endpoint. See ``endpoint``."""
        return self.endpoint("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """Declare a DELETE endpoint. See ``endpoint``."""
        return self.endpoint("DELETE", path, **options)

    def endpoint(
        self,
        method: str,
        path: str,
        **options: Unpack[Options],
    ) -> Callable[[F], F]:
        """Declare an endpoint; the function stays as it is and can be called in tests.

        Args:
            method: Verb in capitals.
            path: Path template below ``/app``, ``{name}`` for parameters.
            options: See ``Options``.

        Raises:
            MisuseError: path, options or signature cannot be; says which and why.
        """
        unknown = options.keys() - Options.__annotations__.keys()
        if unknown:
            raise MisuseError(f"got options {sorted(unknown)} for {method} {path}, want none such")
        if not isinstance(path, str):
            raise MisuseError(f"got {path!r:.80} for a path, want a string: @app.get('/path', …)")
        names = check_template(path)
        mode = _mode(options.get("mode"), method, path)
        policies = _policies(options.get("auth", self._auth), method, path)

        def declare(function: F) -> F:
            signature = read_signature(function, method, names)
            handler = compile_handler(signature)
            self._declared.add(_endpoint(method, path, handler, policies, mode, options))
            self._signatures[method, path] = signature
            return function

        return declare

    def _new_registry(self) -> Registry:
        return Registry(
            PREFIX, title=self.name, description=self._description, version=self._version
        )


def _endpoint(
    method: str,
    path: str,
    handler: Handler,
    policies: tuple[AuthPolicy, ...],
    mode: Mode,
    options: Options,
) -> Endpoint:
    if mode is Mode.READWRITE:
        forwarding, redirection = Forwarding.ALWAYS, Redirection.TO_PRIMARY
    else:
        forwarding, redirection = Forwarding.SOMETIMES, Redirection.NONE
    return Endpoint(
        method=method,
        path=path,
        handler=handler,
        auth=policies,
        mode=mode,
        forwarding=options.get("forwarding", forwarding),
        redirection=options.get("redirection", redirection),
        respond_after_commit=options.get("respond_after_commit", False),
        openapi=options.get("openapi", {}),
        hidden=options.get("hidden", False),
    )


def _policies(auth: Any, method: str, path: str) -> tuple[AuthPolicy, ...]:  # noqa: ANN401
    if not isinstance(auth, list | tuple):
        raise MisuseError(f"got auth={auth!r:.80} for {method} {path}, want a list of policies")
    for policy in auth:
        if isinstance(policy, type) or not all(hasattr(policy, part) for part in _POLICY_PARTS):
            raise MisuseError(f"got {policy!r:.80} in the auth of {method} {path}, want a policy")
    if not auth:
        raise MisuseError(
            f"got no auth for {method} {path}, want auth=[…], [no_auth] to let everybody in"
        )
    return tuple(auth)


def _mode(mode: str | None, method: str, path: str) -> Mode:
    if mode is None:
        return Mode.READONLY if method == "GET" else Mode.READWRITE
    kind = _MODES.get(mode)
    if kind is None:
        raise MisuseError(f"got mode {mode!r} for {method} {path}, want readwrite or readonly")
    return kind
