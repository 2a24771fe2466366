"""Measure loghook: ``python -m tests.bench [--peers [PEER ...]] [--json] [--readme] [NAME ...]``; nothing here fails.

NAME is one of call, latency, threads, startup, delivery, server, page, training, large; all but the last, which stores
ten million records, where none is named. ``--peers`` measures what people would use instead beside it, each installed
in an environment of its own in a cache folder. ``--light`` takes a minute and compares ratios with those kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from tests.bench import call, compare, delivery, latency, light, page, report, server, startup, threads, training
from tests.bench.environments import Unavailable
from tests.bench.peers import PEERS

BENCHMARKS: dict[str, Callable[[TextIO], Mapping[str, Any]]] = {
    "call": call.run,
    "latency": latency.run,
    "threads": threads.run,
    "startup": startup.run,
    "delivery": delivery.run,
    "server": server.run,
    "page": page.run,
    "training": training.run,
    "large": server.large,
}


LIGHT_AT_MOST = 600
"""Seconds: on a machine so busy that it takes longer the ratios would say nothing."""


def main() -> None:
    """Measure what is asked for, and print or keep it."""
    os.environ["LOGHOOK_QUIET"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    options = _options()
    results: dict[str, Any] = json.loads(options.add_to.read_text()) if options.add_to else {}
    results["machine"] = machine()
    loads: list[float] = results.setdefault("loads", [])
    if options.light:
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(LIGHT_AT_MOST)
        ratios = light.run(sys.stderr)
        signal.alarm(0)
        print(f"{results['machine']}, load {os.getloadavg()[0]:.1f}", *light.compare(ratios, light.kept()), sep="\n")
        if options.keep:
            light.keep(ratios, results["machine"])
        return
    for name in _names(options):
        loads.append(os.getloadavg()[0])
        results[name] = _measured(name)
        if not options.json:
            _print(name, results[name])
    if options.peers is not None:
        loads.append(os.getloadavg()[0])
        results["peers"] = {
            **results.get("peers", {}),
            **compare.figures(options.peers or PEERS, sys.stderr, rounds=options.rounds),
        }
        if not options.json:
            print(f"\n{report.peers_table(results)}")
    if options.add_to:
        options.add_to.write_text(json.dumps(results, indent=1))
    if options.json:
        print(json.dumps(results, indent=1))
    if options.readme:
        into = [("goals", report.goals_table(results))]
        if "peers" in results:
            into.append(("peers", f"{report.peers_table(results)}\n\n{report.machine(results)}"))
        report.into_readme(into)


def _too_long(*_: object) -> None:
    raise SystemExit(f"not measured within {LIGHT_AT_MOST} seconds: this machine is too busy")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--peers", nargs="*", metavar="PEER", choices=list(PEERS), help="these, or all: " + ", ".join(PEERS)
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each peer has its turn (3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--readme", action="store_true", help="put the tables into README, between their markers")
    parser.add_argument("--light", action="store_true", help="a minute's worth, compared with the ratios that are kept")
    parser.add_argument("--keep", action="store_true", help="keep the ratios of --light for the next comparison")
    parser.add_argument(
        "--add-to", type=Path, metavar="FILE", help="a JSON file of results, read first and then written"
    )
    parser.add_argument("--nothing", action="store_true", help="measure nothing: for --add-to FILE --readme")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(BENCHMARKS)})")
    if options.add_to and not options.add_to.exists():
        options.add_to.write_text("{}")
    return options


def _names(options: argparse.Namespace) -> list[str]:
    if options.names or options.nothing:
        return list(options.names)
    return [] if options.peers is not None else [name for name in BENCHMARKS if name != "large"]


def _measured(name: str) -> dict[str, Any]:
    before = dict(os.environ)
    try:
        return dict(BENCHMARKS[name](sys.stderr))
    except (Unavailable, ImportError) as error:
        return {"unavailable": str(error)}
    finally:  # a run leaves its id there, which the next one's programs would join
        os.environ.clear()
        os.environ.update(before)


def machine() -> str:
    """Return what this machine is."""
    model = ""
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        model = next(
            (line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if "model name" in line), ""
        )
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"Python {platform.python_version()}, {system}, {os.cpu_count()} x {model or platform.machine()}"


def _print(name: str, figures: dict[str, Any]) -> None:
    print(f"\n{name}")
    width = max(map(len, figures))
    for what, figure in figures.items():
        print(f"  {what.ljust(width)}  {f'{figure:,.3g}' if isinstance(figure, float) else figure}")


if __name__ == "__main__":
    main()
