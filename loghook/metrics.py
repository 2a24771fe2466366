"""Numbers out of whatever people log as a metric. Pure; knows numpy, torch and jax by what their scalars can do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

__all__ = ["MAX_NAME", "Numbers", "number", "numbers"]

MAX_NAME = 250
"""The longest metric name, in characters; a longer one ends in a hash of the whole."""

_MAX_DEPTH = 32
_SAFE_INT = 1 << 63


class Numbers(NamedTuple):
    """What was found: `values` holds a JSON number (or "NaN", "Infinity", "-Infinity") per name, `rest` the others."""

    values: dict[str, int | float | str]
    rest: dict[str, Any]


def number(value: object) -> int | float | str | None:
    """Return `value` as a JSON number, or as "NaN", "Infinity", "-Infinity"; None if it is no number.

    Takes int, float, bool, Decimal, Fraction, and anything with ``item()`` or ``__float__`` that holds one real number.
    """
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, int):
        return int(value) if -_SAFE_INT <= value < _SAFE_INT else _finite(_to_float(value))
    if isinstance(value, (str, bytes, complex)):
        return None
    if isinstance(value, Decimal):
        return "NaN" if value.is_nan() else _finite(float(value))
    try:
        item = getattr(value, "item", None)
        plain: Any = item() if callable(item) else value
        if isinstance(plain, (int, float)):
            return number(plain)
        return None if isinstance(plain, complex) else _finite(float(plain))
    except Exception:
        return None  # whatever a foreign object raises means that it holds no single number


def numbers(metrics: Mapping[Any, object]) -> Numbers:
    """Return the numbers in `metrics` under flat names: nested mappings become "a/b"; of equal names the last wins."""
    found = Numbers({}, {})
    _collect(metrics, "", found, 0)
    return found


def _collect(metrics: Mapping[Any, object], prefix: str, found: Numbers, depth: int) -> None:
    for key, value in metrics.items():
        name = prefix + (key if isinstance(key, str) else str(key))
        if isinstance(value, Mapping) and depth < _MAX_DEPTH:
            _collect(value, name + "/", found, depth + 1)
            continue
        plain = number(value)
        if plain is None:
            found.rest[name] = value
        else:
            found.values[_short(name)] = plain


def _short(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    import hashlib

    mark = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9]}~{mark}"


def _finite(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
