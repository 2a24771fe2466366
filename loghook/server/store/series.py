"""Metrics, read: their totals, and their points in order, all or thinned. For a reader's connection."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain, groupby, islice
from math import inf, isnan
from typing import Any

from loghook.server.store.points import CHUNK, METRIC_BITS, NUMBERS, PART, Columns, doubles
from loghook.server.store.schema import NO_RANK
from loghook.server.thin import thin

__all__ = ["LOWEST", "Metric", "Totals", "every_point", "find", "listed", "main_metrics", "thinned", "within"]

# Once there are as many full chunks as stretches to thin to, their summaries serve as well as their points; and with
# very many chunks they have to. Measured (CPU): 500 chunks of 1,024 points 40 ms, most of it the smallest and largest
# values of each stretch; 10 million points by their summaries 20 ms.
READ_AT_MOST = 2_000

LOWEST = -2
"""Asks for a metric's lowest rank, whichever that is."""

Key = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Totals:
    """A metric of one rank: a row of its table. `rank` is NO_RANK where the writers told of none."""

    number: int
    name: str
    rank: int
    count: int
    last: float | None
    low: float | None
    high: float | None
    full: int
    at: Key
    """Step and time of the last value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a run, of all its ranks or of some: one name's rows, by rank."""

    rows: tuple[Totals, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.rows[0].name

    @property
    def ranks(self) -> list[int | None]:
        """The ranks that logged it, None for writers without one."""
        return [None if row.rank == NO_RANK else row.rank for row in self.rows]

    def of(self, rank: int | None) -> Metric | None:
        """Return it for one rank, for the LOWEST that it has, or, None, for all together; None for a rank it lacks."""
        if rank is None:
            return self
        if rank == LOWEST:
            return Metric((next((row for row in self.rows if row.rank != NO_RANK), self.rows[0]),))
        return next((Metric((row,)) for row in self.rows if row.rank == rank), None)

    @property
    def count(self) -> int:
        """How many points it has."""
        return sum(row.count for row in self.rows)

    @property
    def last(self) -> float | None:
        """The value of its highest step, of those the latest, of those the highest rank's."""
        return max(self.rows, key=lambda row: (row.at, row.rank)).last

    @property
    def low(self) -> float | None:
        """Its smallest finite value."""
        return min((row.low for row in self.rows if row.low is not None), default=None)

    @property
    def high(self) -> float | None:
        """Its largest finite value."""
        return max((row.high for row in self.rows if row.high is not None), default=None)


COLUMNS = "number, name, rank, count, last_value, low, high, full_chunks, last_step, last_time"


def _metrics(rows: Iterable[tuple[Any, ...]]) -> list[Metric]:
    """The metrics that rows make, those of one name being neighbours."""
    totals = (Totals(*row[:-2], *[row[-2:]]) for row in rows)
    return [Metric(tuple(group)) for _, group in groupby(totals, key=lambda row: row.name)]


def listed(connection: sqlite3.Connection, run: int, text: str = "") -> list[Metric]:
    """Return a run's metrics by name, those whose name has `text` in it, whatever its case."""
    where = "run = ?"
    values: list[int | str] = [run]
    if text:
        where += " AND instr(lower(name), lower(?))"
        values.append(text)
    found = connection.execute(f"SELECT {COLUMNS} FROM metrics WHERE {where} ORDER BY name, rank", values)
    return _metrics(found.fetchall())


def main_metrics(connection: sqlite3.Connection, run: int, most: int) -> list[Metric]:
    """Return the metrics that the run logged first, but for internal ones; of several ranks only the lowest."""
    hidden = "SELECT name FROM internal WHERE run = ? AND kind = 'metrics'"
    names = connection.execute(
        f"SELECT name FROM metrics WHERE run = ? AND name NOT IN ({hidden}) GROUP BY name ORDER BY min(number) LIMIT ?",
        (run, run, most),
    ).fetchall()
    found = (find(connection, run, name, LOWEST) for (name,) in names)
    return [metric for metric in found if metric is not None]


def find(connection: sqlite3.Connection, run: int, name: str, rank: int | None = None) -> Metric | None:
    """Return one metric of a run: of all ranks, or of those that `Metric.of` says."""
    query = f"SELECT {COLUMNS} FROM metrics WHERE run = ? AND name = ? ORDER BY rank"
    found = _metrics(connection.execute(query, (run, name)).fetchall())
    return found[0].of(rank) if found else None


def thinned(connection: sqlite3.Connection, metric: Metric, most: int) -> Columns:
    """Return at most `most` points in order (at least 7), so that every spike survives; 0 means all.

    Several ranks' points are one row of points, by step, then time. Call it within one transaction with the read of
    `metric`.
    """
    return _joined([_thinned(connection, row, most) for row in metric.rows], most)


def _thinned(connection: sqlite3.Connection, row: Totals, most: int) -> Columns:
    chunks = Chunks(connection, row)
    everywhere = range(row.full)
    if 0 < most < row.count and _are_many(everywhere, most):
        return chunks.outline(everywhere, most)
    points = chunks.whole(everywhere)
    return points.take(thin(points.values, most)) if 0 < most < len(points) else points


def within(connection: sqlite3.Connection, metric: Metric, low: float, high: float, most: int) -> Columns:
    """Return the points with a step from `low` to `high`, and one more on either side, thinned as `thinned` does.

    Call it within one transaction with the read of `metric`.
    """
    parts = [_within(connection, row, low, high, most) for row in metric.rows]
    return _joined([_between(_joined(parts, 0), low, high)] if len(parts) > 1 else parts, most)


def _within(connection: sqlite3.Connection, row: Totals, low: float, high: float, most: int) -> Columns:
    chunks = Chunks(connection, row)
    chosen = chunks.near(low, high)
    if most and _are_many(chosen, most):
        return _between(chunks.outline(chosen, most), low, high)
    points = _between(chunks.whole(chosen), low, high)
    return points.take(thin(points.values, most)) if 0 < most < len(points) else points


def _joined(parts: list[Columns], most: int) -> Columns:
    """Several ranks' points in order, thinned again."""
    points, *others = parts
    if others:
        for other in others:
            points.extend(other)
        points = points.sorted()
    return points.take(thin(points.values, most)) if 0 < most < len(points) else points


def _are_many(chunks: Sequence[int], most: int) -> bool:
    return len(chunks) > min(most // 2, READ_AT_MOST)


def _between(points: Columns, low: float, high: float) -> Columns:
    return points[slice(max(0, bisect_left(points.steps, low) - 1), bisect_right(points.steps, high) + 1)]


def every_point(connection: sqlite3.Connection, metric: Metric) -> Iterator[Columns]:
    """Yield all points in order, in parts. A part holds chunks whose step ranges overlap: one, where steps ascend."""
    parts = [_every_point(connection, row) for row in metric.rows]
    if len(parts) == 1:
        yield from parts[0]
        return
    points = merge(*map(chain.from_iterable, parts), key=lambda point: point[:2])
    while group := list(islice(points, CHUNK)):
        yield Columns(*(array("d", column) for column in zip(*group, strict=True)))


def _every_point(connection: sqlite3.Connection, row: Totals) -> Iterator[Columns]:
    chunks = Chunks(connection, row)
    spans = list(zip(chunks.starts, chunks.ends, range(row.full), strict=True))
    opened = chunks.opened
    if len(opened):
        spans.append((_key(opened, 0), _key(opened, -1), row.full))
    group: list[int] = []
    reach = (-inf, -inf)
    # Equal points keep the order of their chunks, the open ones last: the order in which they came.
    for start, end, chunk in sorted(spans, key=lambda span: (span[0], span[2])):
        if group and start > reach:
            yield chunks.group(group)
            group = []
        group.append(chunk)
        reach = max(reach, end)
    if group:
        yield chunks.group(group)


def _key(points: Columns, index: int) -> Key:
    return points.steps[index], points.times[index]


class Chunks:
    """What lies in the database of a metric of one rank: its full chunks' summaries, and its open points, in order.

    `starts` and `ends` are step and time of each full chunk's first and last point.
    """

    def __init__(self, connection: sqlite3.Connection, row: Totals) -> None:
        self._connection = connection
        self._row = row
        base = self._base = row.number << METRIC_BITS
        numbers = array("d")
        for (data,) in connection.execute(
            "SELECT data FROM summaries WHERE part BETWEEN ? AND ? ORDER BY part", (base, base + row.full // PART)
        ).fetchall():
            numbers.extend(doubles(data))
        self._numbers = numbers
        self.starts: list[Key] = list(zip(numbers[0::NUMBERS], numbers[1::NUMBERS], strict=True))
        self.ends: list[Key] = list(zip(numbers[3::NUMBERS], numbers[4::NUMBERS], strict=True))
        opened = Columns()
        for (data,) in connection.execute(
            "SELECT data FROM open_points WHERE chunk BETWEEN ? AND ? ORDER BY chunk",
            (base, base + (1 << METRIC_BITS) - 1),
        ).fetchall():
            opened.add_packed(data)
        self.opened = opened.sorted()

    def near(self, low: float, high: float) -> Sequence[int]:
        """The full chunks that hold steps from `low` to `high`, and the neighbour on either side."""
        everywhere = range(len(self.starts))
        # Chunks overlap where steps did not ascend: the nearest neighbours lie in the chunk that ends last before
        # `low`, and in the one that begins first behind `high`.
        below = [chunk for chunk in everywhere if self.ends[chunk][0] < low]
        above = [chunk for chunk in everywhere if self.starts[chunk][0] > high]
        before = max(below, key=self.ends.__getitem__, default=-1)
        behind = min(above, key=self.starts.__getitem__, default=-1)
        chosen = {chunk for chunk in everywhere if self.ends[chunk][0] >= low and self.starts[chunk][0] <= high}
        return sorted((chosen | {before, behind}) - {-1})

    def whole(self, chunks: Sequence[int]) -> Columns:
        """All points of some full chunks, whose numbers ascend, and the open ones, in order."""
        points = self._read(chunks)
        points.extend(self.opened)
        starts = [self.starts[chunk] for chunk in chunks]
        ends = [self.ends[chunk] for chunk in chunks]
        if len(self.opened):
            starts.append(_key(self.opened, 0))
        in_order = all(end <= start for end, start in zip(ends, starts[1:], strict=False))
        return points if in_order else points.sorted()

    def group(self, chunks: list[int]) -> Columns:
        """All points of some chunks in order, the open ones being the chunk behind the last full one."""
        full = sorted(chunk for chunk in chunks if chunk < self._row.full)
        points = self._read(full)
        if len(full) < len(chunks):
            points.extend(self.opened)
        return points.sorted() if len(chunks) > 1 else points

    def _read(self, chunks: Sequence[int]) -> Columns:
        points = Columns()
        for start, end in _runs(chunks):
            for (data,) in self._connection.execute(
                "SELECT data FROM points WHERE chunk BETWEEN ? AND ? ORDER BY chunk",
                (self._base + start, self._base + end),
            ):
                points.add_packed(data)
        return points

    def outline(self, chunks: Sequence[int], most: int) -> Columns:
        """At most `most` points, from the summaries of some full chunks, and from the open points."""
        first, last, lowest, highest, odd = (self._point(kind, chunks) for kind in range(5))
        marks = Columns()
        for column, *parts in zip(_three(marks), *map(_three, (lowest, highest, odd)), strict=True):
            column.extend(chain.from_iterable(zip(*parts, strict=True)))
        # A chunk without values that are not finite, or without others, has NaN there for a step.
        marks = marks.take([index for index, step in enumerate(marks.steps) if not isnan(step)])
        marks.extend(self.opened)
        kept = marks.take(thin(marks.values, most - 2))
        for ends in (first, last):
            ends.extend(self.opened)
        kept.extend(first.take([_first(first)]))
        kept.extend(last.take([_last(last)]))
        return _distinct(kept.sorted())

    def _point(self, kind: int, chunks: Sequence[int]) -> Columns:
        """One of the five points in the summaries of some chunks, in the order of the chunks' first steps."""
        columns = Columns(*(self._numbers[3 * kind + part :: NUMBERS] for part in range(3)))
        ordered = sorted(chunks, key=self.starts.__getitem__)
        return columns if ordered == list(range(len(columns))) else columns.take(ordered)


def _first(points: Columns) -> int:
    """The position of the point that comes first in order; of equal ones the one that came first."""
    keys = list(zip(points.steps, points.times, strict=True))
    return keys.index(min(keys))


def _last(points: Columns) -> int:
    """The position of the point that comes last in order; of equal ones the one that came last."""
    keys = list(zip(points.steps, points.times, strict=True))[::-1]
    return len(keys) - 1 - keys.index(max(keys))


def _three(points: Columns) -> tuple[array[float], array[float], array[float]]:
    return points.steps, points.times, points.values


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run of neighbours in ascending numbers."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        listed = [number for _, number in run]
        yield listed[0], listed[-1]


def _distinct(points: Columns) -> Columns:
    """Sorted points without the doubles that summaries give: a chunk's first may be its smallest."""
    seen: dict[tuple[float, float, str], int] = {}
    for index, (step, time, value) in enumerate(points):
        seen.setdefault((step, time, repr(value)), index)
    return points.take(list(seen.values()))
