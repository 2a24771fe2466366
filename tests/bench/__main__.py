"""Benchmarks: ``python -m tests.bench [--json] [NAME ...]``. Figures and ratios of one run; nothing here can fail."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from tests.bench import call, delivery, latency, startup

BENCHMARKS = {"call": call.run, "delivery": delivery.run, "latency": latency.run, "startup": startup.run}


def main() -> None:
    """Run the benchmarks that are named, or all, and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all if none is named"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(BENCHMARKS)})")
    machine = f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPUs"
    results: dict[str, object] = {"machine": machine}
    if not options.json:
        print(machine)
    for name in options.names or BENCHMARKS:
        rows = BENCHMARKS[name](sys.stderr)
        results[name] = rows
        if not options.json:
            _print(name, rows)
    if options.json:
        print(json.dumps(results, indent=1))


def _print(name: str, rows: list[dict[str, object]]) -> None:
    columns = list(rows[0])
    cells = [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    print(f"\n{name}")
    for line in [columns, *cells]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
