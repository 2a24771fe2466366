"""Records that are alike, taken column by column: what one call in C does for a thousand lines costs each next to
nothing.

Training logs lines of the same few shapes, so nearly all that comes is taken here. Where anything is unusual, if only
one line in a thousand, nothing is: `events` then looks at each line, and what it takes of them is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, compress, repeat
from operator import contains, itemgetter
from typing import Any

from loghook.server.levels import LEVELS
from loghook.server.parsed import Parsed, Points
from loghook.server.present import searched

__all__ = ["take"]

MOST_SHAPES = 8
"""Sets of names of metrics among the lines; with more it is cheaper to look at each line."""

_time, _level, _logger, _message = map(itemgetter, ("time", "level", "logger", "message"))
_TIMES, _STEPS, _VALUES = {float, int}, {float, int, type(None)}, {float, int, bool}

Column = tuple[str, Sequence[float | None], Sequence[float], Sequence[float]]
"""A metric's name, and steps, times and values of its points."""


class Odd(Exception):
    """The lines are not alike."""


# 0.4 us a record with one metric, of which the metrics take 0.18, the four fields 0.07, and looking at each one's type
# most of the rest.
def take(lines: list[str], events: list[Any], parsed: Parsed) -> bool:
    """Take lines, and what each of them holds, as records; false, and nothing is taken, where they are not alike.

    None of the lines may be long enough for too many names of metrics.
    """
    try:
        times = _numbers(list(map(_time, events)), _TIMES)
        levels = list(map(LEVELS.__getitem__, map(_level, events)))
        loggers, texts = list(map(_logger, events)), list(map(_message, events))
        if set(map(type, chain(loggers, texts))) != {str} or any(map(contains, events, repeat("event"))):
            return False
        columns = _columns(events, times)
    except (Odd, KeyError, TypeError):
        return False
    if any(map(contains, events, repeat("exception"))):
        texts = list(map(searched, events))
    parsed.records.extend(levels, loggers, lines, texts)
    for name, steps, at, values in columns:
        parsed.points.setdefault(name, Points()).extend(steps, at, values)
    parsed.earliest = min(parsed.earliest, min(times))
    parsed.latest = max(parsed.latest, max(times))
    return True


def _numbers(column: list[Any], kinds: set[type]) -> list[float]:
    """A column of numbers as floats. Raises Odd where something is of another kind."""
    found = set(map(type, column))
    if not found <= kinds:
        raise Odd
    return column if found == {float} else list(map(float, column))


def _columns(events: list[dict[str, Any]], times: list[float]) -> list[Column]:
    """The points of records, metrics in the order in which they first come. Raises Odd."""
    metrics: list[Any] = list(map(dict.get, events, repeat("metrics")))
    steps: list[Any] = list(map(dict.get, events, repeat("step")))
    if not all(metrics):
        chosen = list(map(bool, metrics))
        metrics, steps, times = (list(compress(column, chosen)) for column in (metrics, steps, times))
    if not metrics:
        return []
    if set(map(type, metrics)) != {dict} or not set(map(type, steps)) <= _STEPS:
        raise Odd
    shapes = list(map(tuple, metrics))
    distinct = list(dict.fromkeys(shapes))
    if len(distinct) == 1:
        return _of_shape(distinct[0], metrics, steps, times)
    # A name that is in two shapes would need its points in the order of the lines.
    if len(distinct) > MOST_SHAPES or len(set(chain(*distinct))) < sum(map(len, distinct)):
        raise Odd
    columns: list[Column] = []
    for shape in distinct:
        chosen = [one == shape for one in shapes]
        columns += _of_shape(shape, *(list(compress(column, chosen)) for column in (metrics, steps, times)))
    return columns


def _of_shape(
    shape: tuple[str, ...], metrics: list[dict[str, Any]], steps: list[float | None], times: list[float]
) -> list[Column]:
    return [(name, steps, times, _numbers(list(map(itemgetter(name), metrics)), _VALUES)) for name in shape]
