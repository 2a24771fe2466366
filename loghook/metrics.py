"""Numbers out of whatever people log as a metric. Pure; knows numpy, torch and jax by what their scalars can do."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from numbers import Complex, Real
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
    try:
        found = _known(value)
        if found is not None:
            return found
        item: Any = getattr(value, "item", None)
        plain: Any = item() if callable(item) else value
        found = _known(plain)
        if found is not None or not _is_real(plain):
            return found
        return _finite(float(plain))
    except Exception:
        return None  # whatever a foreign object raises means that it holds no single number


def _known(value: object) -> int | float | str | None:
    if value.__class__ is float:
        return value if value - value == 0.0 else _finite(value)
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, int):
        return int(value) if -_SAFE_INT <= value < _SAFE_INT else _finite(_to_float(value))
    decimal = sys.modules.get("decimal")  # who logs one has imported it
    if decimal and isinstance(value, decimal.Decimal):
        return "NaN" if value.is_nan() else _finite(float(value))
    return None


def _is_real(value: object) -> bool:
    """Whether `float` may be asked: it would read text and bytes, and take a complex number's real part."""
    if isinstance(value, Complex) and not isinstance(value, Real):
        return False
    return hasattr(type(value), "__float__") or hasattr(type(value), "__index__")


def numbers(metrics: Mapping[Any, object]) -> Numbers:
    """Return the numbers in `metrics` under flat names: nested mappings become "a/b"; of equal names the last wins."""
    found = Numbers({}, {})
    _collect(metrics, "", found, ())
    return found


def _collect(metrics: Mapping[Any, object], prefix: str, found: Numbers, above: tuple[int, ...]) -> None:
    above = (*above, id(metrics))
    values = found.values
    for key, value in metrics.items():
        name = prefix + (key if isinstance(key, str) else _name(key))
        plain = _known(value)  # first, since to ask whether something is a mapping takes longer
        if plain is None:
            if isinstance(value, Mapping) and len(above) <= _MAX_DEPTH and id(value) not in above:
                _collect(value, name + "/", found, above)
                continue
            plain = number(value)
        if plain is None:
            found.rest[name] = value
        else:
            values[name if len(name) <= MAX_NAME else _short(name)] = plain


def _name(key: object) -> str:
    try:
        return str(key)
    except Exception:
        return f"({type(key).__name__})"  # a foreign key's name can't be had, its value can


def _short(name: str) -> str:
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
