"""Records taken column by column, against the same records looked at one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loghook.server import alike
from loghook.server.events import parse
from loghook.server.parsed import Parsed

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63) | st.booleans()
METRICS = st.dictionaries(
    st.sampled_from(["loss", "acc", "val/loss"]),
    NUMBERS | st.sampled_from(["NaN", "-Infinity", "many", None, {"loss": 1.0}]),
    max_size=2,
)
EVENTS = st.fixed_dictionaries(
    {
        "time": st.floats(0, 2e9) | st.integers(0, 2**31),
        "level": st.sampled_from(["INFO", "WARNING", "warning", "MINE", 35]),
        "logger": st.sampled_from(["root", "train"]),
        "message": st.text(max_size=5),
    },
    optional={
        "metrics": METRICS | st.sampled_from([[], 0, [1]]),
        "step": NUMBERS | st.none() | st.just("four"),
        "exception": st.text(max_size=5) | st.integers(),
    },
)
PLAIN = {"time": 1.0, "level": "INFO", "logger": "train", "message": "m"}


def body(events: list[dict[str, Any]]) -> bytes:
    """Return a body of events."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)  # which writes larger integers, too


def taken(events: list[dict[str, Any]]) -> Parsed | None:
    """Return what is taken column by column; None where the events are not alike."""
    parsed = Parsed()
    lines = body(events).decode().splitlines()
    return parsed if alike.take(lines, events, parsed) else None


@given(st.lists(EVENTS, min_size=1, max_size=4).flatmap(lambda pool: st.lists(st.sampled_from(pool), min_size=1)))
def test_the_same_is_taken_of_them(events: list[dict[str, Any]]) -> None:
    """Records give the same alone as beside an event of the run's life, with which each line is looked at."""
    together = parse(body(events))
    heartbeat = {"time": together.earliest if together.records else events[0]["time"], "event": "heartbeat"}
    by_line = parse(body([*events, heartbeat]))
    assert by_line.events.pop()[1] == heartbeat
    assert list(together.points.items()) == list(by_line.points.items())
    if together.records:
        assert together == by_line
    else:
        assert together.set_aside == by_line.set_aside


@pytest.mark.parametrize(
    "metrics",
    [
        [{}, {}],
        [{"loss": 1.5}, {"loss": 2}],
        [{"loss": 1.5, "acc": 0.5}, {}, {"val": 1.0}],
    ],
)
def test_usual_records_are_alike(metrics: list[dict[str, float]]) -> None:
    """Records are alike with metrics of the same names, with others that share none of them, and without metrics."""
    parsed = taken([{**PLAIN, "step": 1, "metrics": one} for one in metrics])
    assert parsed is not None
    assert len(parsed.records) == len(metrics)
    assert {name: len(points.values) for name, points in parsed.points.items()} == {
        name: sum(name in one for one in metrics) for one in metrics for name in one
    }


@pytest.mark.parametrize(
    "odd",
    [
        {"time": 1.0, "event": "heartbeat"},
        {**PLAIN, "time": True},
        {**PLAIN, "level": "MINE"},
        {**PLAIN, "message": 3},
        {**PLAIN, "metrics": {"loss": "NaN"}},
        {**PLAIN, "metrics": {"loss": 1.0, "acc": 1.0}},
        {**PLAIN, "metrics": {"loss": 1.0}, "step": True},
    ],
)
def test_one_odd_line_is_enough(odd: dict[str, Any]) -> None:
    """Beside one line of another kind nothing is taken column by column."""
    parsed = Parsed()
    events = [*[{**PLAIN, "metrics": {"loss": 1.0}}] * 3, odd]
    assert not alike.take([""] * 4, events, parsed)
    assert parsed == Parsed()
