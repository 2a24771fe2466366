"""What is known of a line that logs never stands in the way of a record that differs from the one before."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loghook.sites
from loghook.formatter import LogHookFormatter
from loghook.sites import Sites


def record(line: int = 1, **attributes: Any) -> logging.LogRecord:
    """A record of one file, from the line given, with attributes set as extras and other handlers set them."""
    made = logging.LogRecord("train", logging.INFO, "/src/train.py", line, "hello", (), None)
    made.__dict__.update(attributes)
    return made


NAMES = ["a", "b", "c", "message", "asctime", "metrics", "step", "stream", "password", "'", "\\", "{", "\n", "é", ""]
VALUES: dict[str, Any] = {"metrics": {"loss": 0.5}, "step": 3, "stream": "stdout"}


@settings(max_examples=100)
@given(st.lists(st.lists(st.sampled_from(NAMES), unique=True, max_size=4), min_size=2, max_size=6))
def test_one_line_may_log_anything_in_turn(calls: list[list[str]]) -> None:
    """Each record of one line has its own attributes and no others in its event, whatever those before had."""
    formatter = LogHookFormatter()
    for names in calls * 10:  # long enough for functions of their own
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
        fields = vars(record(line, **{f"name {line}": 1}))
        for _ in range(10 if line % 10 == 0 else 1):
            assert sites.learn(fields).read(fields, "m", "f")["extra"] == {f"name {line}": 1}
    assert max(len(sites._sites), len(sites._known)) <= 4096
    assert len(loghook.sites._readers) <= 512
    kept = len(sites._known)
    for odd in ({"x" * 1000: 1}, {f"x{i}": 1 for i in range(1000)}):
        fields = vars(record(0, **odd))
        assert sites.learn(fields).read(fields, "m", "f")["extra"] == odd
    assert len(sites._known) == kept


def test_names_that_come_once_are_not_compiled() -> None:
    """Only a site that goes on logging gets a function of its own, which makes the same event."""
    before = len(loghook.sites._readers)
    sites, formatter = Sites(), LogHookFormatter()
    for number in range(100):
        sites.learn(vars(record(**{f"once {number}": 1})))
    assert len(loghook.sites._readers) == before
    events = [json.loads(formatter.event(record(often=number))) for number in range(20)]
    assert [event["extra"] for event in events] == [{"often": number} for number in range(20)]
    assert len({tuple(event) for event in events}) == 1


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_formatter_that_has_learned_can_be_copied(copied: Callable[[Any], Any]) -> None:
    """A copy of a formatter, pickled ones too, learns anew."""
    formatter = LogHookFormatter()
    for number in range(20):
        formatter.event(record(x=number))
    assert json.loads(copied(formatter).event(record(x=1, y=2)))["extra"] == {"x": 1, "y": 2}


def test_a_record_that_lacks_something_is_no_pattern() -> None:
    """A record without a usual attribute is not what later ones are compared with."""
    made = record(x=1)
    del made.module
    with pytest.raises(ValueError, match="not there"):
        Sites().learn(vars(made))
