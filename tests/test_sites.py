"""What is known of a line that logs never stands in the way of a record that differs from the one before."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loghook.formatter import LogHookFormatter
from loghook.sites import Sites


def record(line: int = 1, **attributes: Any) -> logging.LogRecord:
    """A record of one file, from the line given, with attributes set as extras and other handlers set them."""
    made = logging.LogRecord("train", logging.INFO, "/src/train.py", line, "hello", (), None)
    made.__dict__.update(attributes)
    return made


NAMES = ["a", "b", "c", "message", "asctime", "metrics", "step", "stream", "password", "'", "\\", "{", "\n", "é", ""]
VALUES: dict[str, Any] = {"metrics": {"loss": 0.5}, "step": 3, "stream": "stdout"}


@settings(max_examples=300)
@given(st.lists(st.lists(st.sampled_from(NAMES), unique=True, max_size=4), min_size=2, max_size=6))
def test_one_line_may_log_anything_in_turn(calls: list[list[str]]) -> None:
    """Each record of one line has its own attributes and no others in its event, whatever those before had."""
    formatter = LogHookFormatter()
    for names in calls:
        made = record(**{name: VALUES.get(name, f"value of {name}") for name in names})
        event = json.loads(formatter.event(made))
        alone = json.loads(LogHookFormatter()._careful(record(**vars(made))))
        assert event == alone
        assert event["file"] == "train.py:1"


def test_as_many_others_are_noticed() -> None:
    """Where one attribute takes another's place, each is found: extras, metrics, what another handler has set."""
    formatter = LogHookFormatter()
    for given_, expected in (
        ({"message": "hello"}, {}),
        ({"x": 1}, {"extra": {"x": 1}}),
        ({"y": 1}, {"extra": {"y": 1}}),
        ({"step": 4}, {"step": 4}),
        ({"message": "hello"}, {}),
        ({"x": 1, "metrics": {"m": 1.0}}, {"extra": {"x": 1}, "metrics": {"m": 1.0}}),
        ({"x": 1, "y": 2}, {"extra": {"x": 1, "y": 2}}),
        ({"message": "hello", "y": 2}, {"extra": {"y": 2}}),
    ):
        event = json.loads(formatter.event(record(**given_)))
        assert {name: event[name] for name in ("extra", "metrics", "step") if name in event} == expected


def test_lines_of_equal_number_are_told_apart() -> None:
    """The same line number in two files is two sites."""
    formatter = LogHookFormatter()
    for file in ("a.py", "b.py", "a.py"):
        made = record(x=1)
        made.filename = file
        assert json.loads(formatter.event(made))["file"] == f"{file}:1"


def test_what_is_known_is_bounded() -> None:
    """Neither many lines nor many names pile up, and names that are too many or too long are not kept at all."""
    sites = Sites()
    for line in range(10_000):
        sites.learn(vars(record(line, **{f"name {line}": 1})))
    assert len(sites._sites) <= 4096
    assert len(sites._readers) <= 512
    for odd in ({"x" * 1000: 1}, {f"x{i}": 1 for i in range(1000)}):
        with pytest.raises(ValueError, match="compile"):
            sites.learn(vars(record(0, **odd)))


def test_a_record_that_lacks_something_is_no_pattern() -> None:
    """A record without a usual attribute is not what later ones are compared with."""
    made = record(x=1)
    del made.module
    with pytest.raises(ValueError, match="not there"):
        Sites().learn(vars(made))
