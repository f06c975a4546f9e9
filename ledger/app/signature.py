"""From a function with type hints to a handler: read once, at registration.

A parameter is the ``Context`` by its type, ``body`` by its name, a path parameter when the path
names it, and a query parameter otherwise. The result becomes the answer by its type: text is
``text/plain``, bytes are ``application/octet-stream``, None is 204, a ``Response`` is itself and
everything else is JSON or MessagePack.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_type_hints

import msgspec

from ledger.app.context import Context
from ledger.app.parameters import Reader, is_optional, reader_for
from ledger.app.result import answer
from ledger.base.errors import MisuseError
from ledger.endpoints import query
from ledger.endpoints.adapters import (
    JSON_PACKING,
    answer_packing,
    body_reader,
    read_text,
)
from ledger.endpoints.context import CallContext
from ledger.endpoints.endpoint import Handler
from ledger.endpoints.errors import Code, HttpError
from ledger.endpoints.request import Request
from ledger.endpoints.response import Response

Source = Callable[[CallContext, Context, dict[str, str]], Any]
"""Gets one argument from the call, its context and the query parameters."""

_NOT_PLAIN = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)

_NOTHING_ASKED: dict[str, str] = {}

MISSING = inspect.Parameter.empty

_UNPACKED: tuple[Any, ...] = (str, bytes, None, NoneType, Response)
"""Result types that ``accept`` has no say in."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A path or query parameter: name, type, how it is read, default (``MISSING`` for none)."""

    name: str
    hint: Any
    read: Reader
    default: Any = MISSING


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function asks for and gives.

    Attributes:
        function: The function.
        order: Its parameters in order: ``context``, ``body``, or a name of the two lists.
        body: Type of the body, ``MISSING`` when it takes none.
        path: Path parameters it takes.
        query: Query parameters it takes.
        result: Type of the result, ``MISSING`` when it has no hint.
    """

    function: Callable[..., Any]
    order: tuple[str, ...]
    body: Any
    path: tuple[Parameter, ...]
    query: tuple[Parameter, ...]
    result: Any


def read_signature(
    function: Callable[..., Any], method: str, names_in_path: Sequence[str]
) -> Signature:
    """Read a function's type hints.

    Args:
        function: A plain function.
        method: Verb; a GET has no body.
        names_in_path: Parameters of the path template.

    Raises:
        MisuseError: the function or one of its parameters cannot be an endpoint's; says why.
    """
    if not inspect.isfunction(function):
        raise MisuseError(f"got {function!r:.80} for an endpoint, want a function")
    where = f"{function.__module__}.{function.__qualname__}"
    if any(test(function) for test in _NOT_PLAIN):
        raise MisuseError(f"{where}: got an async or generator function, want a plain one")
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as problem:
        raise MisuseError(f"{where}: cannot resolve its type hints: {problem}") from problem
    order: list[str] = []
    path: list[Parameter] = []
    asked: list[Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        spot = f"{where}: parameter {name}"
        _check_kind(parameter, hints, spot)
        if hints[name] is Context:
            if "context" in order:
                raise MisuseError(f"{spot}: got a second Context, want one")
            order.append("context")
            continue
        if name == "body":
            _check_body(hints[name], method, spot)
        else:
            known = Parameter(name, hints[name], reader_for(hints[name], spot), parameter.default)
            (path if name in names_in_path else asked).append(known)
        order.append(name)
    return Signature(
        function,
        tuple(order),
        hints.get("body", MISSING),
        tuple(path),
        tuple(asked),
        hints.get("return", MISSING),
    )


def _check_kind(parameter: inspect.Parameter, hints: dict[str, Any], spot: str) -> None:
    if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        raise MisuseError(f"{spot}: got a {parameter.kind.description} one, want an ordinary one")
    if parameter.name not in hints:
        raise MisuseError(f"{spot}: got no type hint, want one")
    if parameter.name == "context" and hints["context"] is not Context:
        raise MisuseError(f"{spot}: got type {hints['context']!r}, want Context")


def _check_body(kind: Any, method: str, spot: str) -> None:  # noqa: ANN401
    if method in {"GET", "HEAD"}:
        raise MisuseError(f"{spot}: got a body for {method}, whose bodies are ignored")
    try:
        msgspec.json.schema(kind)  # stricter than a decoder, which leaves foreign types to hooks
        msgspec.json.Decoder(kind)
        msgspec.msgpack.Decoder(kind)
    except (TypeError, ValueError) as problem:
        raise MisuseError(f"{spot}: got type {kind!r}: {problem}") from problem


def compile_handler(signature: Signature) -> Handler:
    """Return the handler that calls the function: the code that runs at every request."""
    function = signature.function
    arguments = _arguments(signature)
    order = signature.order
    packed = signature.result not in _UNPACKED
    defaulted = all(each.default is not MISSING for each in signature.query)
    if order[:2] == ("context", "body") and len(order) == 2 + len(signature.query) and defaulted:
        read_body = _body_reader(signature.body)

        def with_body(call: CallContext) -> Response:
            request = call.request
            packing = answer_packing(request) if packed else JSON_PACKING
            context = Context(call)
            if request.query:
                return answer(context, function(*arguments(call, context)), packing)
            return answer(context, function(context, read_body(request)), packing)

        return with_body

    def general(call: CallContext) -> Response:
        packing = answer_packing(call.request) if packed else JSON_PACKING
        context = Context(call)
        return answer(context, function(*arguments(call, context)), packing)

    return general


def _default_of(parameter: Parameter) -> Any:  # noqa: ANN401
    if parameter.default is MISSING and is_optional(parameter.hint):
        return None
    return parameter.default


def _body_reader(kind: Any) -> Callable[[Request], Any]:  # noqa: ANN401
    if kind is bytes:
        return _raw_body
    if kind is str:
        return read_text
    return body_reader(kind)


def _raw_body(request: Request) -> bytes:
    return request.body


def _arguments(signature: Signature) -> Callable[[CallContext, Context], list[Any]]:
    """Return the function that collects the arguments of a call, in order."""
    sources: list[Source] = []
    path = {each.name: each for each in signature.path}
    asked = {each.name: each for each in signature.query}
    for name in signature.order:
        if name == "context":
            sources.append(lambda _call, context, _asked: context)
        elif name == "body":
            sources.append(_body_source(signature.body))
        elif name in path:
            sources.append(_path_source(path[name]))
        else:
            sources.append(_query_source(asked[name]))
    takes_query = bool(signature.query)

    def arguments(call: CallContext, context: Context) -> list[Any]:
        text = call.request.query
        given = query.parse(text) if takes_query and text else _NOTHING_ASKED
        return [source(call, context, given) for source in sources]

    return arguments


def _body_source(kind: Any) -> Source:  # noqa: ANN401
    read = _body_reader(kind)

    def source(call: CallContext, _context: Context, _asked: dict[str, str]) -> Any:  # noqa: ANN401
        return read(call.request)

    return source


def _path_source(parameter: Parameter) -> Source:
    name, read = parameter.name, parameter.read

    def source(call: CallContext, _context: Context, _asked: dict[str, str]) -> Any:  # noqa: ANN401
        try:
            return read(call.params[name])
        except ValueError as problem:
            message = f"Invalid value for path parameter '{name}': {problem}."
            raise HttpError(400, Code.INVALID_RESOURCE_NAME, message) from problem

    return source


def _query_source(parameter: Parameter) -> Source:
    name, read = parameter.name, parameter.read
    default = _default_of(parameter)

    def source(_call: CallContext, _context: Context, asked: dict[str, str]) -> Any:  # noqa: ANN401
        value = asked.get(name)
        if value is None:
            if default is MISSING:
                raise query.invalid(f"Query string must contain a '{name}' parameter.")
            return default
        try:
            return read(value)
        except ValueError as problem:
            raise query.invalid(f"Invalid value for '{name}': {problem}.") from problem

    return source
