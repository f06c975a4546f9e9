"""Say where figures were measured, and print them beside what was wanted."""

import json
import os
import platform
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.timing import Figure

_LOAD_COLUMNS = ("p50 ms", "p99 ms", "max ms", "us/answer", "enclave %", "host %", "load %")
_LOAD_LINE = "  {:42} {:>10}" + " {:>9}" * len(_LOAD_COLUMNS)


def surroundings() -> dict[str, Any]:
    """Return machine, versions and commit: what a figure means nothing without."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _git("rev-parse", "--short=12", "HEAD") or "unknown",
        "changed files": len((_git("status", "--porcelain", "--untracked-files=no")).splitlines()),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load average at start": os.getloadavg()[0],
        "system": platform.platform(),
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION,
    }


def lines(title: str, figures: Sequence[Figure]) -> list[str]:
    """Return a table: name, value, bar and goal with the ratio to the bar, what others reached."""
    rows = [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    out = ["", title]
    for row in rows:
        name, value, bar, goal = (
            cell.ljust(width) for cell, width in zip(row, widths, strict=False)
        )
        value = row[1].rjust(widths[1])
        out.append(f"  {name}  {value}  {bar}  {goal}  {row[4]}".rstrip())
    return out


def load_heading() -> str:
    """Return the heading above ``load_line``s."""
    return "\n".join(["", _LOAD_LINE.format("load", "answered/s", *_LOAD_COLUMNS).rstrip()])


def load_line(title: str, figures: Sequence[Figure]) -> str:
    """Return the figures of one load in one line: the first is its rate."""
    rate, *rest = figures
    cells = [_number(figure.value) for figure in rest[: len(_LOAD_COLUMNS)]]
    remarks = [cell for cell in _row(rate)[2:] if cell]
    remarks += [" ".join(_row(figure)) for figure in rest[len(_LOAD_COLUMNS) :]]
    line = _LOAD_LINE.format(title, _number(rate.value), *cells)
    return (line + "  " + "; ".join(remarks)).rstrip()


def write_json(path: Path, about: dict[str, Any], sections: dict[str, list[Figure]]) -> None:
    """Write everything to a file, for other programs."""
    content = {
        "surroundings": about,
        "sections": {
            title: [figure._asdict() | {"reached": figure.reached} for figure in figures]
            for title, figures in sections.items()
        },
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    bar = goal = ""
    if figure.bar is not None:
        sign = "<=" if figure.at_most else ">="
        verdict = "reached" if figure.reached else "MISSED"
        ratio = f" (x{figure.value / figure.bar:.2f})" if figure.bar else ""
        bar = f"bar {sign} {_number(figure.bar)}: {verdict}{ratio}"
    if figure.goal is not None:
        goal = f"goal {_number(figure.goal)}"
    return figure.name, f"{_number(figure.value)} {figure.unit}", bar, goal, figure.reference


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            cwd=Path(__file__).parent,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
