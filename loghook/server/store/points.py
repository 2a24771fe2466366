"""How the points of a metric lie in the database.

    points        chunk = metric number << 32 | k    blob of exactly 1024 points, sorted, never changed again
    summaries     part = metric number << 32 | j     for each of 256 chunks: its first, last, smallest, largest and
                                                     first not finite point, 15 float64 in a row
    open_points   chunk = metric number << 32 | k    up to 1023 points in the order they came

A blob is three columns of float64, little-endian: steps, times, values. A batch adds one open blob a metric, however
small. Before that, neighbours that are not much larger than it are merged into it, so a point is copied about ten
times at most (the binary counter's argument) and a metric has few open blobs; once 1024 points are open they are
sorted by step, then time (stable), and leave as full chunks. So a metric of ten million points is read, thinned, from
forty rows of summaries and a few open blobs.

Points out of order only make the step ranges of chunks overlap; readers sort.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan

__all__ = ["CHUNK", "METRIC_BITS", "NUMBERS", "PART", "Columns", "doubles", "summary"]

CHUNK = 1024
PART = 256
METRIC_BITS = 32
NUMBERS = 15
"""Numbers in a chunk's summary: step, time and value of five points."""


def _doubles() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Columns:
    """Points as three arrays of equal length."""

    steps: array[float] = field(default_factory=_doubles)
    times: array[float] = field(default_factory=_doubles)
    values: array[float] = field(default_factory=_doubles)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[tuple[float, float, float]]:
        return zip(self.steps, self.times, self.values, strict=True)

    def __getitem__(self, part: slice) -> Columns:
        return Columns(self.steps[part], self.times[part], self.values[part])

    def extend(self, other: Columns) -> None:
        """Add another's points at the end."""
        self.steps.extend(other.steps)
        self.times.extend(other.times)
        self.values.extend(other.values)

    def add_packed(self, data: bytes) -> None:
        """Add a blob's points at the end."""
        third = len(data) // 3
        view = memoryview(data)
        for column, start in ((self.steps, 0), (self.times, third), (self.values, 2 * third)):
            if sys.byteorder == "little":
                column.frombytes(view[start : start + third])
            else:
                column.extend(doubles(data[start : start + third]))

    def packed(self) -> bytes:
        """The blob of these points."""
        return _little(self.steps, self.times, self.values)

    def take(self, positions: Sequence[int]) -> Columns:
        """The points at some positions, in their order."""
        steps, times, values = self.steps, self.times, self.values
        return Columns(
            array("d", [steps[index] for index in positions]),
            array("d", [times[index] for index in positions]),
            array("d", [values[index] for index in positions]),
        )

    def sorted(self) -> Columns:
        """The points by step, then time; equal ones in the order in which they came."""
        if _ascending(self.steps) and _ascending(self.times):
            return self
        keys = list(zip(self.steps, self.times, strict=True))
        return self.take(sorted(range(len(keys)), key=keys.__getitem__))

    @classmethod
    def unpacked(cls, data: bytes) -> Columns:
        """The points of a blob."""
        columns = cls()
        columns.add_packed(data)
        return columns


def doubles(data: bytes) -> array[float]:
    """The numbers in little-endian bytes."""
    numbers = array("d")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _little(*columns: array[float]) -> bytes:
    joined = array("d")
    for column in columns:
        joined.extend(column)
    if sys.byteorder == "big":
        joined.byteswap()
    return joined.tobytes()


def _ascending(column: array[float]) -> bool:
    # Sorting what is sorted is one fast pass.
    listed = column.tolist()
    return listed == sorted(listed)


def summary(chunk: Columns) -> bytes:
    """A sorted chunk's first, last, smallest, largest and first not finite point; all NaN where there is none."""
    values = chunk.values
    low, high, odd = _marks(values)
    numbers = array("d")
    for index in (0, len(values) - 1, low, high, odd):
        point = (nan, nan, nan) if index is None else (chunk.steps[index], chunk.times[index], values[index])
        numbers.extend(point)
    return _little(numbers)


def _marks(values: array[float]) -> tuple[int | None, int | None, int | None]:
    if isfinite(sum(values)):
        return values.index(min(values)), values.index(max(values)), None
    finite = [index for index, value in enumerate(values) if isfinite(value)]
    odd = next((index for index, value in enumerate(values) if not isfinite(value)), None)
    if not finite:
        return None, None, odd
    return min(finite, key=values.__getitem__), max(finite, key=values.__getitem__), odd
