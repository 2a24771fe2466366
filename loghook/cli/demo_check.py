"""The demo's proof: what the training script logged, held against what the server's API gives back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from loghook.cli.api import Server

__all__ = ["Account", "read_ledger", "read_server"]

PAGE = 500
"""Lines asked for at once: an answer of more than 1 MiB would not be read."""


@dataclass(frozen=True)
class Account:
    """What one run logged: its records and the points of its metrics, each in order."""

    records: list[tuple[str, str]]
    points: dict[str, list[tuple[float | None, float]]]

    @property
    def point_count(self) -> int:
        """How many points all metrics have together."""
        return sum(map(len, self.points.values()))

    def differences(self, other: Account) -> list[str]:
        """Return a sentence for each thing that `other` has not got as it is here; empty when all is there."""
        found = []
        if self.records != other.records:
            found.append(f"{len(self.records)} records were logged, the server has {len(other.records)}")
        for name in sorted(self.points.keys() | other.points.keys()):
            here, there = self.points.get(name, []), other.points.get(name, [])
            if here != there:
                found.append(f"{len(here)} points of {name} were logged, the server has {len(there)}")
        return [text + (", or not the same ones" if "the server has" in text else "") for text in found]


def read_ledger(path: Path) -> Account:
    """Return what the training script wrote down of its own."""
    account = Account([], defaultdict(list))
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            account.records.append((entry["level"], entry["message"]))
            for name, value in flat(entry.get("metrics", {})):
                account.points[name].append((entry.get("step"), value))
    return account


def flat(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested metrics with names joined by slashes."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def read_server(server: Server, run: str) -> Account:
    """Return what the server has of a run, every page of it."""
    path = f"/runs/{quote(run, safe='')}"
    account = Account([], {})
    after = 0
    while rows := server.get(f"{path}/logs", after=after, limit=PAGE)["logs"]:
        account.records.extend((row["level"], row["message"]) for row in rows)
        after = rows[-1]["id"]
    for metric in server.get(f"{path}/metrics")["metrics"]:
        name = metric["name"]
        points = server.get(f"{path}/metrics/{quote(name, safe='')}", max_points=0)["points"]
        account.points[name] = [(step, value) for step, _, value in points]
    return account
