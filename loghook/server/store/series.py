"""Metrics, read: their totals, and their points in order, all or thinned. For a reader's connection."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan

from loghook.server.store.points import METRIC_BITS, NUMBERS, PART, Columns, doubles
from loghook.server.thin import thin

__all__ = ["Totals", "every_point", "find", "listed", "main_metrics", "thinned", "within"]

# Up to here all points are read to thin them; a metric with more is thinned from its chunks' summaries.
# Measured: 500 chunks of 1,024 points 38 ms, 10 million points by their summaries 34 ms.
READ_WHOLE = 500


@dataclass(frozen=True, slots=True)
class Totals:
    """A metric's row."""

    number: int
    name: str
    count: int
    last: float | None
    low: float | None
    high: float | None
    full: int


Key = tuple[float, float]
Span = tuple[Key, Key, int]

COLUMNS = "number, name, count, last_value, low, high, full_chunks"


def listed(connection: sqlite3.Connection, run: int, text: str = "") -> list[Totals]:
    """Return a run's metrics by name, those whose name has `text` in it, whatever its case."""
    where = "run = ?"
    values: list[int | str] = [run]
    if text:
        where += " AND instr(lower(name), lower(?))"
        values.append(text)
    found = connection.execute(f"SELECT {COLUMNS} FROM metrics WHERE {where} ORDER BY name", values).fetchall()
    return [Totals(*row) for row in found]


def main_metrics(connection: sqlite3.Connection, run: int, most: int) -> list[Totals]:
    """Return the metrics that the run logged first."""
    found = connection.execute(f"SELECT {COLUMNS} FROM metrics WHERE run = ? ORDER BY number LIMIT ?", (run, most))
    return [Totals(*row) for row in found.fetchall()]


def find(connection: sqlite3.Connection, run: int, name: str) -> Totals | None:
    """Return one metric of a run."""
    row = connection.execute(f"SELECT {COLUMNS} FROM metrics WHERE run = ? AND name = ?", (run, name)).fetchone()
    return Totals(*row) if row else None


def thinned(connection: sqlite3.Connection, metric: Totals, most: int) -> Columns:
    """Return at most `most` points in order (at least 5, see `thin`), so that every spike survives; 0 means all.

    Call it within one transaction with the read of `metric`.
    """
    if metric.full >= READ_WHOLE and 0 < most < metric.count:
        points = _outline(connection, metric)
    else:
        points = Columns()
        for part in every_point(connection, metric):
            points.extend(part)
    return points.take(thin(points.values, most)) if 0 < most < len(points) else points


def within(connection: sqlite3.Connection, metric: Totals, low: float, high: float, most: int) -> Columns:
    """Return the points with a step from `low` to `high`, and one more on either side, thinned as `thinned` does.

    Call it within one transaction with the read of `metric`.
    """
    spans = sorted(_spans(connection, metric))
    # Chunks overlap where steps did not ascend: the nearest neighbours lie in the chunk that ends last before `low`,
    # and in the one that begins first behind `high`.
    before = max((span for span in spans if span[1][0] < low), key=lambda span: span[1], default=None)
    behind = next((span for span in spans if span[0][0] > high), None)
    chosen = [chunk for start, end, chunk in spans if end[0] >= low and start[0] <= high]
    chosen += [span[2] for span in (before, behind) if span is not None]
    if len(chosen) > READ_WHOLE and most:
        points = _outline(connection, metric)
    else:
        points = _group(connection, metric, [*chosen, -1], _open(connection, metric).sorted())
    points = points[slice(max(0, bisect_left(points.steps, low) - 1), bisect_right(points.steps, high) + 1)]
    return points.take(thin(points.values, most)) if 0 < most < len(points) else points


def every_point(connection: sqlite3.Connection, metric: Totals) -> Iterator[Columns]:
    """Yield all points in order, in parts. A part holds chunks whose step ranges overlap: one, where steps ascend."""
    spans = _spans(connection, metric)
    opened = _open(connection, metric).sorted()
    if len(opened):
        spans.append((_key(opened, 0), _key(opened, -1), -1))
    # Equal points keep the order of their chunks, the open ones last: the order in which they came.
    spans.sort(key=lambda span: (span[0], span[2] < 0, span[2]))
    group: list[int] = []
    reach = (float("-inf"), 0.0)
    for start, end, chunk in spans:
        if group and start > reach:
            yield _group(connection, metric, group, opened)
            group = []
        group.append(chunk)
        reach = max(reach, end)
    if group:
        yield _group(connection, metric, group, opened)


def _key(points: Columns, index: int) -> Key:
    return points.steps[index], points.times[index]


def _group(connection: sqlite3.Connection, metric: Totals, chunks: list[int], opened: Columns) -> Columns:
    base = metric.number << METRIC_BITS
    whole = sorted(chunk for chunk in chunks if chunk >= 0)
    points = Columns()
    for chunk in whole:
        (data,) = connection.execute("SELECT data FROM points WHERE chunk = ?", (base + chunk,)).fetchone()
        points.add_packed(data)
    if len(whole) < len(chunks):
        points.extend(opened)
    return points.sorted() if len(chunks) > 1 else points


def _open(connection: sqlite3.Connection, metric: Totals) -> Columns:
    base = metric.number << METRIC_BITS
    points = Columns()
    for (data,) in connection.execute(
        "SELECT data FROM open_points WHERE chunk BETWEEN ? AND ? ORDER BY chunk",
        (base, base + (1 << METRIC_BITS) - 1),
    ).fetchall():
        points.add_packed(data)
    return points


def _summaries(connection: sqlite3.Connection, metric: Totals) -> array[float]:
    base = metric.number << METRIC_BITS
    found = connection.execute(
        "SELECT data FROM summaries WHERE part BETWEEN ? AND ? ORDER BY part", (base, base + metric.full // PART)
    ).fetchall()
    numbers = array("d")
    for (data,) in found:
        numbers.extend(doubles(data))
    return numbers


def _spans(connection: sqlite3.Connection, metric: Totals) -> list[Span]:
    """For each full chunk the step and time of its first and of its last point, and its number."""
    numbers = _summaries(connection, metric)
    first = zip(numbers[0::NUMBERS], numbers[1::NUMBERS], strict=True)
    last = zip(numbers[3::NUMBERS], numbers[4::NUMBERS], strict=True)
    return [(start, end, chunk) for chunk, (start, end) in enumerate(zip(first, last, strict=True))]


def _outline(connection: sqlite3.Connection, metric: Totals) -> Columns:
    """The points of all summaries and the open ones, in order, each once."""
    numbers = _summaries(connection, metric)
    found = dict.fromkeys(zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True))
    points = [point for point in found if not isnan(point[0])]
    outline = Columns(*(array("d", column) for column in zip(*points, strict=True)))
    outline.extend(_open(connection, metric))
    return outline.sorted()
