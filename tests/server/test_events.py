"""Lines parsed and checked."""

from __future__ import annotations

import json
from math import inf, isnan, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loghook.server.events import MAX_LINE, parse
from loghook.server.levels import level_number
from loghook.server.present import present

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
KEYS = ["time", "level", "logger", "message", "metrics", "step", "extra", "event", "run", "params", "exception", "x"]


def one(event: object) -> bytes:
    """Return a body of one line."""
    return json.dumps(event).encode() + b"\n"


@given(st.lists(st.binary(max_size=20) | st.dictionaries(st.sampled_from(KEYS), JSON).map(one), max_size=4))
def test_total(parts: list[bytes]) -> None:
    """Whatever comes, each line is stored, set aside or blank, and nothing is raised."""
    body = b"\n".join(parts) + b"\n"
    parsed = parse(body)
    blank = sum(1 for line in body.decode(errors="surrogateescape").split("\n")[:-1] if not line or line.isspace())
    assert len(parsed.records) + len(parsed.events) + len(parsed.set_aside) + blank == body.count(b"\n")


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_present(event: dict[str, Any]) -> None:
    """What was stored can be read, as JSON, with the right types."""
    event.pop("event", None)
    for line in parse(one(event)).records.lines:
        row = present(line)
        assert isinstance(json.dumps(row), str)
        assert isinstance(row["message"], str)
        assert isinstance(row.get("extra", {}), dict)
        assert isinstance(row.get("step", 0), int | float)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not JSON"),
        (b'{"time": 1', "not JSON"),
        (b'{"time": NaN}', "not JSON"),
        (b'{"time": 1, "message": "\\ud800"}', "not JSON"),
        (b'{"time": 1, "message": "\xff"}', "not JSON"),
        (b'{"time": 1, "message": "\0"}', "not JSON"),
        (b"[1]", "not an object but an array"),
        (b"null", "not an object but null"),
        (b"7", "not an object but a number"),
        (b"{}", "no time"),
        (b'{"time": "now"}', "time must be a number, not a string"),
        (b'{"time": true}', "time must be a number, not true or false"),
        (b'{"time": 1, "message": 3}', "must be strings"),
        (b'{"time": 1, "logger": null}', "must be strings"),
        (b'{"time": 1, "level": []}', "level must be a name"),
        (b'{"time": 1, "metrics": [1]}', "metrics must be an object"),
        (b'{"time": 1, "event": "party"}', "does not know"),
        (b'{"time": 1, "event": 5}', "event must be a string"),
        (b'{"time": 1, "event": "params", "params": 5}', "needs an object 'params'"),
        (b'{"time": 1, "event": "run_ended", "status": "fine"}', "success, failure or stopped"),
        (b'{"time": 1, "event": "params", "params": ' + b'{"a":' * 500 + b"1" + b"}" * 501, "nested too deeply"),
        (b'{"time": 1, "extra": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
        (b'{"time": 1, "message": "' + b"x" * MAX_LINE + b'"}', "longer than"),
    ],
)
def test_set_aside(line: bytes, reason: str) -> None:
    """A line that cannot be stored is set aside with its place and its reason, and its neighbours are stored."""
    good = b'{"time": 1, "message": "good"}\n'
    parsed = parse(good + b"\n" + line + b"\n" + good)
    assert len(parsed.records) == 2
    (bad,) = parsed.set_aside
    assert bad.index == 2
    assert reason in bad.reason
    assert line.startswith(bad.line)
    assert bad.length == len(line)


def test_values() -> None:
    """Integers, booleans, NaN and infinities are points; nested names are joined; what is no number is none."""
    metrics = {
        "a": 1,
        "b": True,
        "c": "NaN",
        "d": "-Infinity",
        "e": {"f": {"g": 2.5}},
        "h": None,
        "i": "many",
        "j": [1],
    }
    points = parse(one({"time": 1, "metrics": metrics})).points
    values = {name: found.values[0] for name, found in points.items()}
    assert isnan(values.pop("c"))
    assert values == {"a": 1.0, "b": 1.0, "d": -inf, "e/f/g": 2.5}


def test_step() -> None:
    """A step may be an integer, a fraction or missing; one that is no number counts as missing and stays visible."""
    steps = [3, 2.5, None, "four", True]
    body = b"".join(one({"time": 1, "metrics": {"m": 1.0}, "step": step}) for step in steps)
    parsed = parse(body)
    assert parsed.points["m"].steps == [3, 2.5, None, None, None]
    assert present(parsed.records.lines[3])["extra"] == {"step": "four"}


@pytest.mark.parametrize(
    ("level", "number"),
    [("INFO", 20), ("warning", 30), ("Level 15", 15), ("NOTICE", 25), ("MINE", 20), (35, 35), ("Level x", 20)],
)
def test_level(level: object, number: int) -> None:
    """Standard names, those of `logging.getLevelName`, integers have numbers; a name of one's own counts as INFO."""
    assert level_number(level) == number


def test_level_name() -> None:
    """A level of one's own keeps its name."""
    (line,) = parse(one({"time": 1, "level": "MINE"})).records.lines
    assert present(line)["level"] == "MINE"


def test_unknown_keys() -> None:
    """Keys that nobody knows are kept under extra."""
    (line,) = parse(one({"time": 1, "extra": {"a": 1}, "host": "h", "thread": 7})).records.lines
    assert present(line)["extra"] == {"a": 1, "host": "h", "thread": 7}


def test_deep_extra() -> None:
    """An extra that is nested too deeply for an answer is shown as text."""
    line = '{"time": 1, "message": "m", "extra": {"a": ' + "[" * 600 + "]" * 600 + "}}"
    (stored,) = parse(line.encode() + b"\n").records.lines
    assert present(stored)["extra"] == {"line": stored}


def test_torn() -> None:
    """What stands for a torn line in a dead writer's spool needs no time."""
    parsed = parse(b'{"event": "dropped", "dropped": {"torn": 1}}        \n')
    assert parsed.events
    assert not parsed.set_aside


def test_infinite_time() -> None:
    """A number that no float can hold is no JSON here."""
    assert parse(b'{"time": 1e999}\n').set_aside
    assert parse(b'{"time": 1, "metrics": {"m": 1e999}}\n').set_aside


def test_points_of_a_bad_line() -> None:
    """A line that is set aside leaves no points behind."""
    parsed = parse(one({"time": 1, "metrics": {"m": 1.0}, "message": 5}))
    assert not parsed.points


def test_nan() -> None:
    """NaN is told from the infinities."""
    values = parse(one({"time": 1, "metrics": {"a": "NaN", "b": "Infinity"}})).points
    assert isnan(values["a"].values[0])
    assert values["b"].values == [inf]
    assert nan not in values["b"].values
