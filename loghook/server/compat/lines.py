"""Foreign bodies to values, and values to event lines, whatever is in them; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

__all__ = ["lines", "loaded", "plain"]

LARGEST_INTEGER = 2**63
DEEPEST = 100
"""Levels of lists and objects within each other."""
LONGEST_INTEGER = 400
"""Digits; more than any float has."""


def loaded(body: bytes | str) -> Any:
    """Return what a JSON text holds, NaN and the infinities as Python's json writes them. Raises ValueError."""
    try:
        value = json.loads(body, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):  # how deep Python itself goes is another depth in each of its versions
        inside = [at.values() if isinstance(at, dict) else at for at in level if isinstance(at, (dict, list))]
        level = [one for each in inside for one in each]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < LONGEST_INTEGER else float(digits)


def plain(value: Any) -> Any:
    """Return a value as event lines have it: numbers that JSON or 64 bits do not hold become strings and floats."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, int) and not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        value = float(value) if abs(value) < 10**300 else str(value)
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def lines(events: Iterable[Mapping[str, Any]]) -> bytes:
    """Return events as lines; half of a surrogate pair, which JSON can write and UTF-8 can not, becomes "?"."""
    try:
        texts = [json.dumps(plain(dict(event)), ensure_ascii=False, allow_nan=False) + "\n" for event in events]
    except RecursionError:
        raise ValueError("what was sent is nested too deeply") from None
    return "".join(texts).encode("utf-8", "replace")
