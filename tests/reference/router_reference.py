"""Dispatch by its definition: walk template and path side by side, character by character."""

from collections.abc import Iterator


def bindings(template: str, path: str) -> Iterator[dict[str, str]]:
    """Yield every way to read a path as a template."""
    if not template:
        if not path:
            yield {}
        return
    if template[0] != "{":
        if path[:1] == template[0]:
            yield from bindings(template[1:], path[1:])
        return
    name, _, rest = template[1:].partition("}")
    stops = {"/", rest[:1]}
    for size in range(1, len(path) + 1):
        if path[size - 1] in stops:
            break
        for more in bindings(rest, path[size:]):
            yield {name: path[:size], **more}


def find(endpoints: list[tuple[str, str]], method: str, path: str) -> object:
    """Return what a request leads to.

    Returns:
        ``(template, bindings)``; or ``"ambiguous"``, ``"unknown"``, or the list of verbs there are.
    """
    if (method, path) in endpoints and "{" not in path:
        return path, {}
    templates = [each for each in endpoints if "{" in each[1]]
    hits = [
        (verb, template, found)
        for verb, template in templates
        for found in bindings(template, path)
    ]
    fitting = [(template, found) for verb, template, found in hits if verb == method]
    if len(fitting) > 1:
        return "ambiguous"
    if fitting:
        return fitting[0]
    verbs = {verb for verb, _, _ in hits}
    verbs |= {verb for verb, literal in endpoints if literal == path and "{" not in literal}
    return sorted(verbs) or "unknown"
