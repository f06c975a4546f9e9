"""What is refused of a source before it is parsed: too long, or nested too deep.

The parser and the compiler recurse on the machine's stack, and a chain of operators is as deep
as its number of operators (``1+1+1+…``). Measured with a stack of 8 MiB, the shallowest source
that overflows it has 937 nested lambdas; 200 of anything is far from that and far above what
people write. The scan knows strings, comments and brackets and nothing else of the grammar: a
source that it misreads is still run in a process that may die alone.
"""

import functools
import re
from dataclasses import dataclass, field

NESTING_MAX = 200
"""Operators, trailers and brackets that may enclose one another."""
INDENTATION_MAX = 40
"""Nested blocks."""
BRANCHES_MAX = 200
"""Branches of one ``if``: each ``elif`` nests in the one before it."""

_TOKEN = re.compile(
    r"""
    (?P<string>[rb]{0,2}(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}
        |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
  | (?P<skip>\#[^\n]*|\\\n|[ \t\r\f]+)
  | (?P<newline>\n)
  | (?P<word>\w+)
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<end>[,;])
  | (?P<plain>[:=])
  | (?P<operator>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPERATOR_WORDS = frozenset({"and", "or", "not", "in", "if", "else"})
_STICKY_WORDS = frozenset({"lambda", "for"})
"""Words whose nesting a comma does not end: ``lambda a, b: lambda …``."""


@dataclass(slots=True)
class _Level:
    """Nesting gathered inside one bracket (or outside all), since the last comma."""

    chain: int = 0
    sticky: int = 0


@dataclass(slots=True)
class _Block:
    width: int
    branches: int = 0


@dataclass(slots=True)
class _Scan:
    levels: list[_Level] = field(default_factory=lambda: [_Level()])
    total: int = 0
    blocks: list[_Block] = field(default_factory=lambda: [_Block(0)])
    line: int = 1
    line_begins: bool = True
    problem: str | None = None

    def deepen(self, *, sticky: bool = False) -> None:
        level = self.levels[-1]
        if sticky:
            level.sticky += 1
        else:
            level.chain += 1
        self.total += 1
        if self.total > NESTING_MAX:
            self.problem = f"line {self.line} nests more than {NESTING_MAX} operators and brackets"

    def end_chain(self) -> None:
        level = self.levels[-1]
        self.total -= level.chain
        level.chain = 0

    def close(self) -> None:
        if len(self.levels) > 1:
            level = self.levels.pop()
            self.total -= level.chain + level.sticky

    def end_line(self) -> None:
        if len(self.levels) == 1:
            self.levels[0] = _Level()
            self.total = 0
            self.line_begins = True

    def begin_line(self, width: int, word: str) -> None:
        self.line_begins = False
        while len(self.blocks) > 1 and self.blocks[-1].width > width:
            self.blocks.pop()
        if self.blocks[-1].width < width:
            self.blocks.append(_Block(width))
            if len(self.blocks) > INDENTATION_MAX:
                self.problem = f"line {self.line} is in more than {INDENTATION_MAX} nested blocks"
        block = self.blocks[-1]
        if word != "elif":
            block.branches = 0
            return
        block.branches += 1
        if block.branches > BRANCHES_MAX:
            self.problem = f"line {self.line} is branch more than {BRANCHES_MAX} of an if"


@functools.lru_cache(maxsize=8)
def source_problem(source: str, size_max: int) -> str | None:
    """Say why a source is not worth parsing, or None.

    The scan costs more than the parsing, and a constitution is run again and again: the answers
    for a few sources are kept.

    Args:
        source: Starlark source.
        size_max: Largest allowed size as UTF-8, in bytes.

    Returns:
        One sentence naming what was got and what is allowed.
    """
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > size_max:
        return f"the source has {size} bytes, want at most {size_max}"
    scan = _Scan()
    width = 0
    for match in _TOKEN.finditer(source):
        kind, text = match.lastgroup, match.group()
        if scan.line_begins and kind not in {"skip", "newline"}:
            scan.begin_line(width, text)
        width = _step(scan, kind, text, width)
        if scan.problem is not None:
            return scan.problem
    return None


def _step(scan: _Scan, kind: str | None, text: str, width: int) -> int:
    """Take one token; return the width of white space since the line began."""
    if kind == "skip":
        scan.line += text.count("\n")
        return width + len(text)
    if kind == "newline":
        scan.line += 1
        scan.end_line()
        return 0
    if kind == "string":
        scan.line += text.count("\n")
    elif kind == "open":
        scan.deepen()
        scan.levels.append(_Level())
    elif kind == "close":
        scan.close()
    elif kind == "end":
        scan.end_chain()
    elif kind == "operator" or text in _OPERATOR_WORDS:
        scan.deepen()
    elif text in _STICKY_WORDS:
        scan.deepen(sticky=True)
    return width
