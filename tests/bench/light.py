"""The light form: a minute, no peers, ratios alone; compared with the last ones kept in figures.json beside this file.

Each ratio is to something measured in the same run on the same machine (the standard QueueHandler, a bare interpreter),
so that a slower machine changes little. What is smaller is better.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from tests.bench import call, delivery, server, startup, threads

__all__ = ["compare", "keep", "kept", "run"]

KEPT = Path(__file__).with_name("figures.json")
WORSE = 1.25


def run(progress: TextIO) -> dict[str, float]:
    """Return the ratios."""
    calls = call.run(progress)
    unit = calls["plain QueueHandler us"]
    started = startup.run(progress, rounds=7)
    bare = started["bare interpreter ms"]
    delivered = delivery.run(progress, rounds=1)
    stored = server.run(progress, records=100_000)
    return {
        "plain call / QueueHandler's": calls["plain ratio"],
        "call with metrics / QueueHandler's": calls["metrics ratio"],
        "call with five extras / QueueHandler's": calls["extras ratio"],
        "call with an exception / formatting it": calls["exception ratio"],
        "one thread / eight threads, records/s": 1 / threads.run(progress)["ratio"],
        "import / bare interpreter": started["import ms"] / bare,
        "import, install named / bare interpreter": started["import and install named ms"] / bare,
        "install() / bare interpreter": started["install() ms"] / bare,
        "install() with URL / bare interpreter": started["install() with URL ms"] / bare,
        "delivery, CPU a record / QueueHandler's call": delivered["CPU beyond the calls us"] / unit,
        "bytes on the wire / lines": delivered["wire share"],
        "server, 1 writer, CPU a record / QueueHandler's call": 1e6 / stored["1 records/s of a core"] / unit,
        "server, 64 writers, CPU a record / QueueHandler's call": 1e6 / stored["64 records/s of a core"] / unit,
    }


def kept() -> dict[str, Any]:
    """Return what `keep` wrote last: {"machine", "ratios": {name: ratio}}."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def compare(ratios: dict[str, float], last_time: dict[str, Any]) -> list[str]:
    """Return lines for a person: each ratio beside the one that is kept, and words where one got worse by a quarter."""
    before = last_time.get("ratios", {})
    width = max(map(len, ratios))
    lines = [f"{'ratio'.ljust(width)}     now    kept"]
    worse = []
    for name, ratio in ratios.items():
        last = before.get(name)
        lines.append(f"{name.ljust(width)}  {ratio:6.3f}  {f'{last:6.3f}' if last else '     -'}")
        if last and ratio > last * WORSE:
            worse.append(f"worse by {(ratio / last - 1) * 100:.0f} %: {name}, {last:.3f} before and {ratio:.3f} now")
    return [*lines, *(worse or ["nothing got worse by a quarter"])]


def keep(ratios: dict[str, float], machine: str) -> None:
    """Keep these for the next comparison."""
    rounded = {name: round(ratio, 4) for name, ratio in ratios.items()}
    KEPT.write_text(json.dumps({"machine": machine, "ratios": rounded}, indent=1) + "\n")
