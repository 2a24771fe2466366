"""Measurements: ``python -m tests.bench [--peers] [--json] [NAME ...]``. Figures of one run; nothing fails."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from tests.bench import call, compare, latency, startup, threads
from tests.bench.peers import PEERS

BENCHMARKS = {"call": call.run, "latency": latency.run, "startup": startup.run, "threads": threads.run}


def main() -> None:
    """Run the benchmarks that are named, or all, and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all if none is named"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument(
        "--peers",
        nargs="*",
        metavar="PEER",
        choices=list(PEERS),
        help="measure loghook beside what people would use instead, each installed in an environment of its own",
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(BENCHMARKS)})")
    machine = f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPUs"
    results: dict[str, object] = {"machine": machine}
    if not options.json:
        print(machine)
    if options.peers is not None:
        results["peers"] = compare.figures(options.peers or PEERS, sys.stderr)
        if not options.json:
            print(json.dumps(results["peers"], indent=1))
    for name in options.names or ([] if options.peers is not None else BENCHMARKS):
        figures = dict(BENCHMARKS[name](sys.stderr))
        results[name] = figures
        if not options.json:
            _print(name, figures)
    if options.json:
        print(json.dumps(results, indent=1))


def _print(name: str, figures: dict[str, object]) -> None:
    print(f"\n{name}")
    width = max(map(len, figures))
    for what, figure in figures.items():
        print(
            f"  {what.ljust(width)}  {figure:.3g}" if isinstance(figure, float) else f"  {what.ljust(width)}  {figure}"
        )


if __name__ == "__main__":
    main()
