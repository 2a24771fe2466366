"""Fewer points that look like all of them; pure.

The values are cut into stretches of equal length, and each gives its smallest and its largest value, so every spike
survives. The first and the last point are always there, and so are the smallest and the largest of all, because each
is the smallest or largest of its stretch. Values that are not finite take no part in that comparison; the first of
them in a stretch is kept too, so that a gap stays visible. The same values give the same points.
"""

from __future__ import annotations

from array import array
from math import isfinite

__all__ = ["FEWEST", "thin"]

FEWEST = 5


def thin(values: array[float], most: int) -> list[int]:
    """Return the positions to keep, ascending: at most `most` of them, all when `most` is 0 or enough.

    A `most` below 5 counts as 5: the first, the last, the smallest, the largest and one that is not finite.
    """
    count = len(values)
    if most <= 0 or count <= most:
        return list(range(count))
    most = max(most, FEWEST)
    finite = all_finite(values)
    stretches = (most - 2) // (2 if finite else 3)
    keep = {0, count - 1}
    for index in range(stretches):
        start, end = index * count // stretches, (index + 1) * count // stretches
        if start < end:
            keep.update(_extremes(values, start, end) if finite else _marked(values, start, end))
    return sorted(keep)


def all_finite(values: array[float]) -> bool:
    """Tell whether no value is NaN or infinite."""
    # A finite sum needs finite terms, and summing costs a tenth of asking each. It may overflow, so ask each then.
    return isfinite(sum(values)) or all(map(isfinite, values))


def _extremes(values: array[float], start: int, end: int) -> tuple[int, int]:
    part = values[start:end]
    return start + part.index(min(part)), start + part.index(max(part))


def _marked(values: array[float], start: int, end: int) -> list[int]:
    finite = [index for index in range(start, end) if isfinite(values[index])]
    kept = [min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)] if finite else []
    if len(finite) < end - start:
        kept.append(next(index for index in range(start, end) if not isfinite(values[index])))
    return kept
