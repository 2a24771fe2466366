"""Numbers out of whatever people log."""

from __future__ import annotations

import gc
import json
import math
import types
import weakref
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loghook.metrics import MAX_NAME, number, numbers

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "intp", "longlong"]
FLOATS = ["float16", "float32", "float64", "longdouble"]
COMPLEX = ["complex64", "complex128", "clongdouble"]


class Tensor:
    """A scalar as torch, jax and tensorflow make them: it can tell its number and nothing else."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Tensor({self.value})"

    def item(self) -> Any:
        """The number; an error, as theirs, when there are many."""
        if isinstance(self.value, list):
            raise RuntimeError("a Tensor with 3 elements cannot be converted to Scalar")
        return self.value

    def __bool__(self) -> bool:
        raise RuntimeError("ambiguous")

    def __eq__(self, other: object) -> Any:
        raise RuntimeError("elementwise")

    __hash__ = None  # type: ignore[assignment]


class Floating:
    """An object with `__float__` alone."""

    def __init__(self, value: float | Exception) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Floating({self.value})"

    def __float__(self) -> float:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Colour(IntEnum):
    """A number with a name."""

    RED = 3


class Broken(float):
    """A float that can't say what it is."""

    def __float__(self) -> float:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (0.25, 0.25),
        (-0.0, -0.0),
        (True, 1),
        (Colour.RED, 3),
        (Decimal("0.5"), 0.5),
        (Decimal("1e400"), "Infinity"),
        (Decimal("sNaN"), "NaN"),
        (Fraction(1, 4), 0.25),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, float(2**63)),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (Floating(2.5), 2.5),
        (Tensor(2.5), 2.5),
        (Tensor(math.nan), "NaN"),
        (Tensor(7), 7),
        (Tensor(True), 1),
        (Tensor(Decimal("0.5")), 0.5),
    ],
    ids=repr,
)
def test_what_holds_one_number_is_one(value: object, expected: object) -> None:
    """Python's numbers, and objects that can tell one, come out as JSON numbers or as words for what JSON lacks."""
    found = number(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "0.5",
        b"0.5",
        bytearray(b"5"),
        memoryview(b"5"),
        1j,
        [1],
        (1,),
        {1},
        object(),
        float,
        numpy.float64,
        Tensor([1, 2, 3]),
        Tensor("0.5"),
        Tensor(1j),
        Tensor(None),
        Floating(RuntimeError("no")),
        Broken(1.0),
        lambda: 1,
        range(1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_no_single_number_is_none(value: object) -> None:
    """Text, bytes, complex numbers, containers, and objects that raise are no numbers."""
    assert number(value) is None


@pytest.mark.parametrize("kind", INTEGERS + FLOATS)
def test_numpy_scalars_of_every_width_are_numbers(kind: str) -> None:
    """A numpy scalar, a 0-d array and an array of one element give their number, at every width."""
    scalar = getattr(numpy, kind)(2)
    for value in (scalar, numpy.array(scalar), numpy.array([scalar]), numpy.array([[scalar]])):
        assert number(value) == 2
        assert type(number(value)) is (int if kind in INTEGERS else float)


@pytest.mark.parametrize("kind", FLOATS)
def test_numpy_has_nan_and_infinities_at_every_width(kind: str) -> None:
    """NaN and the infinities are told by their names at every width."""
    scalar = getattr(numpy, kind)
    assert [number(scalar(text)) for text in ("nan", "inf", "-inf")] == ["NaN", "Infinity", "-Infinity"]


def test_a_longdouble_beyond_a_double_is_infinite() -> None:
    """A long double that no double holds becomes an infinity and raises nothing."""
    largest = numpy.finfo(numpy.longdouble).max
    expected = "Infinity" if largest > numpy.finfo(numpy.float64).max else float(largest)
    assert number(largest) == expected


def test_numpy_booleans_are_numbers() -> None:
    """A numpy boolean counts as 0 or 1."""
    assert (number(numpy.bool_(True)), number(numpy.array([False]))) == (1, 0)


@pytest.mark.parametrize("kind", COMPLEX)
def test_numpy_complex_numbers_are_refused(kind: str) -> None:
    """A complex number is none, at any width, even one whose imaginary part is 0."""
    scalar = getattr(numpy, kind)(1)
    assert [number(value) for value in (scalar, numpy.array(scalar), numpy.array([scalar]))] == [None, None, None]


@pytest.mark.parametrize(
    "value",
    [
        numpy.zeros(3),
        numpy.zeros(0),
        numpy.zeros((2, 2)),
        numpy.array(["0.5"]),
        numpy.array("5", dtype=object),
        numpy.str_("5"),
        numpy.bytes_(b"5"),
        numpy.datetime64("2020-01-01"),
    ],
    ids=repr,
)
def test_other_numpy_values_are_no_numbers(value: object) -> None:
    """Arrays of several elements or of text, and dates, are no numbers."""
    assert number(value) is None


def test_nested_names_are_joined_by_slashes() -> None:
    """Nested mappings of any kind become flat names, with keys of any type."""
    nested = {"a": OrderedDict(b=1, c={2: types.MappingProxyType({None: 0.5})}), "d/e": 4, (1, 2): 5, b"x": 6}
    assert numbers(nested).values == {"a/b": 1, "a/c/2/None": 0.5, "d/e": 4, "(1, 2)": 5, "b'x'": 6}


def test_of_equal_names_the_last_wins() -> None:
    """Where a nested and a flat name meet, the value that comes later counts."""
    assert numbers({"a/b": 1, "a": {"b": 2}}).values == {"a/b": 2}
    assert numbers({"a": {"b": 2}, "a/b": 1}).values == {"a/b": 1}


def test_what_is_no_number_is_kept_by_name() -> None:
    """Values that are no numbers are handed back under their flat names, the numbers beside them untouched."""
    found = numbers({"loss": 0.5, "note": "fine", "val": {"matrix": [1, 2], "acc": 1}})
    assert found.values == {"loss": 0.5, "val/acc": 1}
    assert found.rest == {"note": "fine", "val/matrix": [1, 2]}


@pytest.mark.parametrize(
    "name", ["MAP@k", "timing(s)/gen", "a b,c=1", "", "损失", "\ud800", "a\0b", "\n", '"', "é" * 250]
)
def test_any_name_is_kept_as_it_is(name: str) -> None:
    """A name may hold any character, and none of up to 250 characters is changed."""
    assert numbers({name: 1.0}).values == {name: 1.0}


def test_longer_names_are_cut_and_told_apart() -> None:
    """Of a longer name the beginning stays, with a hash of the whole, the same each time."""
    long, other = "x" * 251, "x" * 252
    found = numbers({long: 1, other: 2}).values
    assert len(found) == 2
    assert all(len(name) == MAX_NAME and name.startswith("x" * 200) for name in found)
    assert numbers({long: 3, "\ud800" * 300: 1}).values.keys() & found.keys() == {next(iter(found))}


def test_ten_thousand_names_are_taken() -> None:
    """Ten thousand names in one call are ten thousand numbers."""
    assert len(numbers({f"layer{i}": {"grad": float(i)} for i in range(10_000)}).values) == 10_000


def test_a_mapping_inside_itself_ends() -> None:
    """A mapping that contains itself, even many times over, is kept as no number where it comes round."""
    ring: dict[str, Any] = {"loss": 1.0}
    ring.update(one=ring, two=ring, three={"four": ring})
    found = numbers(ring)
    assert found.values == {"loss": 1.0}
    assert set(found.rest) == {"one", "two", "three/four"}


def test_very_deep_nesting_ends() -> None:
    """Past 32 levels a mapping is kept as no number."""
    deep: dict[str, Any] = {"leaf": 1}
    for _ in range(1000):
        deep = {"d": deep}
    found = numbers(deep)
    assert not found.values
    assert len(found.rest) == 1


def test_a_key_without_a_name_does_not_cost_the_others() -> None:
    """A key whose text can't be made goes by its type's name, and its neighbours are read as ever."""

    class Key:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert numbers({Key(): 1, "loss": 2}).values == {"(Key)": 1, "loss": 2}


@pytest.mark.parametrize("value", [Tensor(1.0), Tensor([1, 2]), Floating(1.0), numpy.zeros(3)], ids=repr)
def test_a_value_is_read_and_not_kept(value: Any) -> None:
    """Once a number was read, or not, nothing of ours refers to the value that held it."""
    holder = {"loss": Holder(value)}
    watch = weakref.ref(holder["loss"])
    numbers(holder)
    holder.clear()
    gc.collect()
    assert watch() is None


class Holder:
    """Something that can be watched by a weak reference and read as a metric."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Tensor({self.value})"

    def item(self) -> Any:
        """What it holds."""
        return number(self.value) if not isinstance(self.value, Holder) else None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.fractions(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text() | st.integers() | st.none() | st.floats(), anything))
def test_numbers_are_strict_json(metrics: dict[Any, Any]) -> None:
    """Whatever is logged, the names are text and the values JSON numbers or one of three words."""
    found = numbers(metrics)
    again = json.loads(json.dumps(found.values, allow_nan=False))
    assert again == found.values
    for name, value in found.values.items():
        assert type(name) is str
        assert type(value) in (int, float) or value in ("NaN", "Infinity", "-Infinity")
