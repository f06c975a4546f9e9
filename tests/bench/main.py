"""``scripts/bench``: measure parts and the whole, print figures beside bars, goals and CCF's."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.bench import bench_consensus, bench_store, micro, one_node, report, three_nodes
from tests.bench.service import Service, sandbox
from tests.bench.timing import Figure

_KILLS = 20
_QUICK_KEYS = 100_000
_QUICK_KILLS = 3
_QUICK_SECONDS = 1.0
_QUIET_LOAD = 0.5


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for.

    Returns:
        0 when every bar was reached, 1 when one was missed, 2 when something could not run.
    """
    options = _parser().parse_args(arguments)
    about = report.surroundings()
    _say([f"{name}: {value}" for name, value in about.items()])
    if about["load average at start"] > _QUIET_LOAD:
        _say(["the machine is busy with other work: figures are lower than what it can do"])
    sections: dict[str, list[Figure]] = {}
    try:
        in_table = False
        for title, figures in _sections(options):
            sections[title] = figures
            if figures[0].name != "answered":
                _say(report.lines(title, figures))
                continue
            if not in_table:
                _say([report.load_heading()])
                in_table = True
            _say([report.load_line(title, figures)])
    except OSError as error:
        _say(["", f"stopped: {error}"])
        return 2
    finally:
        if options.json is not None:
            report.write_json(options.json, about, sections)
    missed = [
        f"{title}: {figure.name}"
        for title, figures in sections.items()
        for figure in figures
        if figure.reached is False
    ]
    _say(["", f"{len(missed)} bars missed" if missed else "all bars reached", *missed])
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "--dir", type=Path, help="use the running sandbox of this directory, start none"
    )
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 3), help="default: 1")
    parser.add_argument("--seconds", type=float, default=4.0, help="per throughput figure")
    parser.add_argument("--overlay", type=Path, help="JSON merged into the nodes' configuration")
    parser.add_argument("--parts", action="store_true", help="only the parts, no service")
    parser.add_argument("--service", action="store_true", help="only the service, no parts")
    parser.add_argument("--quick", action="store_true", help="short runs, a smaller store")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    return parser


def _sections(options: argparse.Namespace) -> Iterable[tuple[str, list[Figure]]]:
    if not options.service:
        keys = _QUICK_KEYS if options.quick else bench_store.KEYS
        yield "store", bench_store.run(keys)
        yield "tree and entries", micro.run()
        yield "consensus", bench_consensus.run()
    if options.parts:
        return
    if options.dir is not None:
        yield from _service(Service.read(options.dir), options)
        return
    with sandbox(options.nodes, options.overlay) as service:
        yield from _service(service, options)
    if options.nodes == three_nodes.NODES:
        yield "loss of the primary", three_nodes.outages(_QUICK_KILLS if options.quick else _KILLS)


def _service(service: Service, options: argparse.Namespace) -> Iterable[tuple[str, list[Figure]]]:
    seconds = _QUICK_SECONDS if options.quick else options.seconds
    if len(service.nodes) == three_nodes.NODES:
        yield "a lone write, three nodes", three_nodes.lone_write(service)
        yield from three_nodes.throughput(service, seconds)
        return
    yield "memory and ledger", one_node.memory(service)
    yield "a lone write", one_node.lone_write(service)
    yield from one_node.throughput(service, seconds)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
