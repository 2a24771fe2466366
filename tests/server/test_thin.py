"""Thinning keeps what one looks for."""

from __future__ import annotations

from array import array
from math import isfinite

from hypothesis import given
from hypothesis import strategies as st

from loghook.server.thin import FEWEST, thin

VALUES = st.lists(st.floats(width=32) | st.integers(-5, 5).map(float), max_size=400).map(lambda some: array("d", some))


@given(VALUES, st.integers(0, 100))
def test_budget(values: array[float], most: int) -> None:
    """No more points than asked for remain, in their order, each once."""
    kept = thin(values, most)
    assert kept == sorted(set(kept))
    assert len(kept) <= (max(most, FEWEST) if most else len(values))


@given(VALUES, st.integers(1, 100))
def test_ends(values: array[float], most: int) -> None:
    """The first and the last point remain."""
    kept = thin(values, most)
    if values:
        assert kept[0] == 0
        assert kept[-1] == len(values) - 1


@given(VALUES, st.integers(1, 100))
def test_extremes(values: array[float], most: int) -> None:
    """The smallest and the largest finite value remain."""
    kept = [values[index] for index in thin(values, most)]
    finite = [value for value in values if isfinite(value)]
    if finite:
        assert min(finite) in kept
        assert max(finite) in kept


@given(VALUES, st.integers(1, 100))
def test_gap(values: array[float], most: int) -> None:
    """Where a value is not finite, one that is not remains."""
    if not all(map(isfinite, values)):
        assert not all(isfinite(values[index]) for index in thin(values, most))


@given(VALUES, st.integers(0, 100))
def test_same(values: array[float], most: int) -> None:
    """The same values give the same points."""
    assert thin(values, most) == thin(array("d", values), most)


@given(st.integers(1_000, 5_000), st.data())
def test_spike(count: int, data: st.DataObject) -> None:
    """A single spike among thousands of points remains, wherever it is."""
    values = array("d", [0.0] * count)
    at = data.draw(st.integers(0, count - 1))
    values[at] = 1.0
    assert at in thin(values, 50)


def test_few() -> None:
    """What fits is left as it is."""
    assert thin(array("d", [1, 2, 3]), 3) == [0, 1, 2]
