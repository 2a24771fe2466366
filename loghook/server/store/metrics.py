"""Metrics, written: a row of totals for each name and rank of a run, and its points. For the writer's thread."""

from __future__ import annotations

import sqlite3
from array import array
from dataclasses import dataclass, field
from math import floor, isfinite

from loghook.server.parsed import Points
from loghook.server.store import rows
from loghook.server.store.points import CHUNK, METRIC_BITS, PART, Columns, summary

__all__ = ["Metrics"]

REMEMBERED = 50_000
"""Metrics kept in memory between batches."""
WIDTH = 12


@dataclass(slots=True)
class Metric:
    """What the store knows of one metric. `open` lists its open blobs: number and count, oldest first."""

    number: int
    run: int
    name: str
    rank: int
    count: int = 0
    top_step: float = -1.0
    last: tuple[float, float, float] = (0.0, 0.0, 0.0)
    low: float | None = None
    high: float | None = None
    full: int = 0
    open: list[tuple[int, int]] = field(default_factory=list)

    def row(self) -> tuple[object, ...]:
        """The metric's row in the table."""
        step, time, value = self.last
        return (
            *(self.number, self.run, self.name, self.rank, self.count, self.top_step),
            *(step, time, value, self.low, self.high, self.full),
        )


@dataclass(slots=True)
class Changes:
    """Blobs to write and to delete for one batch, so that many metrics take few statements."""

    opened: list[object] = field(default_factory=list)
    merged: list[int] = field(default_factory=list)
    full: list[object] = field(default_factory=list)


class Metrics:
    """The metrics that were written to lately, remembered between batches; `forget` after anything was undone."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, int], Metric] = {}
        self._next = 0

    def forget(self) -> None:
        """Read everything anew from the database. Numbers that were given are not given again."""
        self._known.clear()

    def add(self, connection: sqlite3.Connection, run: int, rank: int, points: dict[str, Points]) -> int:
        """Store points of a run's rank, by metric name. Returns how many names are new to the run."""
        if len(self._known) > REMEMBERED:
            self.forget()
        if not self._next:
            (top,) = connection.execute("SELECT coalesce(max(number), 0) FROM metrics").fetchone()
            self._next = top + 1
        new = 0
        changes = Changes()
        flat: list[object] = []
        for name, found in points.items():
            metric = self._known.get((run, name, rank)) or _read(connection, run, name, rank)
            if metric is None:
                metric = Metric(self._next, run, name, rank)
                self._next += 1
                new += not _is_known(connection, run, name)
            self._known[run, name, rank] = metric
            _add(connection, metric, found, changes)
            flat.extend(metric.row())
        rows.delete(connection, "open_points", "chunk", changes.merged)
        rows.insert(connection, "INSERT INTO open_points", 2, changes.opened)
        rows.insert(connection, "INSERT INTO points", 2, changes.full)
        rows.insert(connection, "INSERT OR REPLACE INTO metrics", WIDTH, flat)
        return new


def _is_known(connection: sqlite3.Connection, run: int, name: str) -> bool:
    found = connection.execute("SELECT 1 FROM metrics WHERE run = ? AND name = ? LIMIT 1", (run, name))
    return found.fetchone() is not None


def _read(connection: sqlite3.Connection, run: int, name: str, rank: int) -> Metric | None:
    row = connection.execute(
        "SELECT number, count, top_step, last_step, last_time, last_value, low, high, full_chunks FROM metrics "
        "WHERE run = ? AND name = ? AND rank = ?",
        (run, name, rank),
    ).fetchone()
    if row is None:
        return None
    number, count, top_step, step, time, value, low, high, full = row
    base = number << METRIC_BITS
    blobs = connection.execute(
        "SELECT chunk - ?, length(data) / 24 FROM open_points WHERE chunk BETWEEN ? AND ? ORDER BY chunk",
        (base, base, base + (1 << METRIC_BITS) - 1),
    ).fetchall()
    last = (step, time, float("nan") if value is None else value)
    return Metric(number, run, name, rank, count, top_step, last, low, high, full, blobs)


def _add(connection: sqlite3.Connection, metric: Metric, points: Points, changes: Changes) -> None:
    new = Columns(array("d", _counted(metric, points.steps)), array("d", points.times), array("d", points.values))
    _total(metric, new)
    base = metric.number << METRIC_BITS
    merged = _merged(metric, len(new))
    number = merged[0] if merged else (metric.open[-1][0] + 1 if metric.open else metric.full)
    if merged:
        older = _blobs(connection, base, merged)
        older.extend(new)
        new = older
        changes.merged.extend(base + one for one in merged)
    whole = len(new) // CHUNK * CHUNK
    if whole:
        new = new.sorted()
        _fill(connection, metric, new[:whole], changes)
        new = new[whole:]
    if len(new):
        metric.open.append((number, len(new)))
        changes.opened.extend((base + number, new.packed()))


def _counted(metric: Metric, steps: list[float | None]) -> list[float]:
    """The steps, a missing one being one more than the largest so far; the largest is kept."""
    if None not in steps:
        given: list[float] = steps  # type: ignore[assignment]
        metric.top_step = max(metric.top_step, float(max(given)))
        return given
    top = metric.top_step
    counted: list[float] = []
    for step in steps:
        if step is None:
            step = float(floor(top) + 1)
        top = max(top, float(step))
        counted.append(step)
    metric.top_step = top
    return counted


def _total(metric: Metric, new: Columns) -> None:
    step, time, value = _newest(new)
    if not metric.count or (step, time) >= metric.last[:2]:
        metric.last = (step, time, value)
    metric.count += len(new)
    finite = new.values if isfinite(sum(new.values)) else [value for value in new.values if isfinite(value)]
    if len(finite):
        low, high = min(finite), max(finite)
        metric.low = low if metric.low is None else min(metric.low, low)
        metric.high = high if metric.high is None else max(metric.high, high)


def _newest(new: Columns) -> tuple[float, float, float]:
    """The point with the highest step, of those the latest, of those the one that came last."""
    top = max(new.steps)
    if new.steps[-1] == top and new.times[-1] == max(new.times):
        return top, new.times[-1], new.values[-1]
    index = max(range(len(new)), key=lambda index: (new.steps[index], new.times[index], index))
    return new.steps[index], new.times[index], new.values[index]


def _merged(metric: Metric, count: int) -> list[int]:
    """Takes the open blobs that the new points are merged with off the metric's list; their numbers, oldest first."""
    total = count + sum(size for _, size in metric.open)
    merged: list[int] = []
    while metric.open and (total >= CHUNK or metric.open[-1][1] <= 2 * count):
        number, size = metric.open.pop()
        merged.append(number)
        count += size
    return merged[::-1]


def _blobs(connection: sqlite3.Connection, base: int, numbers: list[int]) -> Columns:
    columns = Columns()
    bounds = (base + numbers[0], base + numbers[-1])
    for (data,) in connection.execute(
        "SELECT data FROM open_points WHERE chunk BETWEEN ? AND ? ORDER BY chunk", bounds
    ).fetchall():
        columns.add_packed(data)
    return columns


def _fill(connection: sqlite3.Connection, metric: Metric, points: Columns, changes: Changes) -> None:
    """Adds sorted points as full chunks, with their summaries."""
    base = metric.number << METRIC_BITS
    while len(points):
        room = PART - metric.full % PART
        chunks = [points[start : start + CHUNK] for start in range(0, min(len(points), room * CHUNK), CHUNK)]
        part = base + metric.full // PART
        row = connection.execute("SELECT data FROM summaries WHERE part = ?", (part,)).fetchone()
        data = (row[0] if row else b"") + b"".join(map(summary, chunks))
        connection.execute("INSERT OR REPLACE INTO summaries VALUES (?, ?)", (part, data))
        for chunk in chunks:
            changes.full.extend((base + metric.full, chunk.packed()))
            metric.full += 1
        points = points[len(chunks) * CHUNK :]
