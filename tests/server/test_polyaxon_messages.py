"""What Polyaxon's clients send, as events: bodies, log lines, names, without a server."""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import pytest

from loghook.server.compat import polyaxon_messages as messages
from loghook.server.compat.lines import lines, loaded
from loghook.server.compat.polyaxon_log import records
from loghook.server.compat.polyaxon_names import FIRST_OWN, Address, group_in, slug
from loghook.server.events import parse

NOW = 1_763_740_000.0
MOMENT = 1_795_280_820.0  # 2026-11-21 17:07:00 UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21 17:07:00 UTC INFO -- text", [(MOMENT, "INFO", "polyaxon", "text")]),
        ("2026-11-21 17:07:00 UTC ERROR train.loop -- a -- b", [(MOMENT, "ERROR", "train.loop", "a -- b")]),
        ("2026-11-21 17:07:00 UTC Level 25 -- x", [(MOMENT, "Level 25", "polyaxon", "x")]),
        ("2026-11-21 17:07:00 UTC SUCCESS -- x", [(MOMENT, "SUCCESS", "polyaxon", "x")]),
        ("2026-11-21 17:07:00 UTC -- no level", [(MOMENT, "INFO", "polyaxon", "no level")]),
        ("2026-11-21 17:07:00 UTC worker -- a name", [(MOMENT, "INFO", "worker", "a name")]),
        ("2026-11-21 17:07:00 UTC INFO -- ", [(MOMENT, "INFO", "polyaxon", "")]),
        ("2026-11-21 17:07:00 UTC INFO -- a\nb\n", [(MOMENT, "INFO", "polyaxon", "a\nb\n")]),
        (
            "2026-11-21 17:07:00 UTC INFO -- a\n2026-11-21 17:07:00 UTC DEBUG -- b",
            [(MOMENT, "INFO", "polyaxon", "a"), (MOMENT, "DEBUG", "polyaxon", "b")],
        ),
        ("plain\ntext", [(NOW, "INFO", "polyaxon", "plain"), (NOW, "INFO", "polyaxon", "text")]),
        (
            "2026-11-21 17:07:00 CET INFO -- whose time?",
            [(NOW, "INFO", "polyaxon", "2026-11-21 17:07:00 CET INFO -- whose time?")],
        ),
        (
            "2026-13-41 17:07:00 UTC INFO -- no day",
            [(NOW, "INFO", "polyaxon", "2026-13-41 17:07:00 UTC INFO -- no day")],
        ),
        ("", []),
    ],
)
def test_log_lines(text: str, expected: list[tuple[float, str, str, str]]) -> None:
    """A line's time, level and name are taken from it; what does not begin with a time is kept as it is."""
    found = [(row["time"], row["level"], row["logger"], row["message"]) for row in records(text, NOW)]
    assert found == expected


def test_metrics() -> None:
    """One object or a list of them become a record each, at its own time."""
    one = {"values": {"loss": 0.5}, "created_at": "2026-11-21 17:07:00.857426+00:00", "unknown": 1}
    (event,) = messages.metrics(one, NOW)
    assert event["metrics"] == {"loss": 0.5}
    assert event["time"] == pytest.approx(MOMENT + 0.857426, abs=1e-6)
    assert len(list(messages.metrics([one, one, {"values": {"a": None}}], NOW))) == 3
    assert list(messages.metrics(None, NOW)) == []


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-21 17:07:00+00:00", MOMENT),
        ("2026-11-21T18:07:00+01:00", MOMENT),
        ("2026-11-21T17:07:00Z", MOMENT),
        ("2026-11-21 17:07:00", MOMENT),
        (None, NOW),
    ],
)
def test_moments(moment: str | None, expected: float) -> None:
    """A time has a zone or is UTC; without one it is the time of arrival."""
    (event,) = messages.metrics({"values": {"a": 1}, "created_at": moment}, NOW)
    assert event["time"] == expected


def test_form() -> None:
    """The first helper's form has its values as JSON, NaN among them."""
    body = b"values=%7B%22loss%22%3A+NaN%2C+%22acc%22%3A+0.5%7D"
    found = messages.content(body, "application/x-www-form-urlencoded")
    assert isnan(found["values"]["loss"])
    assert found["values"]["acc"] == 0.5


@pytest.mark.parametrize(
    ("convert", "body"),
    [
        (messages.metrics, {"loss": 0.5}),
        (messages.metrics, [{"values": [1]}]),
        (messages.metrics, [1]),
        (messages.metrics, {"values": {"a": 1}, "created_at": "yesterday"}),
        (messages.metrics, {"values": {"a": 1}, "created_at": 5}),
        (messages.logs, {"a": 1}),
        (messages.logs, ["a", 1]),
        (messages.status, None),
        (messages.status, {"status": "well"}),
        (messages.status, {"status": "failed", "traceback": ["x"]}),
        (messages.coderef, ["x"]),
        (messages.described, ["x"]),
        (messages.described, {"params": [1]}),
        (messages.described, {"tags": [1]}),
        (messages.described, {"run_env": "x"}),
        (messages.described, {"name": 5}),
    ],
)
def test_wrong_bodies(convert: Any, body: Any) -> None:
    """A body that is not of the protocol is refused with words."""
    with pytest.raises(ValueError, match=r"\w{4}"):
        list(convert(body, NOW))


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"a": 1e}'])
def test_broken_json(body: bytes) -> None:
    """A body that is no JSON, or nested beyond measure, is refused with words, as JSON and as a form."""
    with pytest.raises(ValueError, match="JSON"):
        messages.content(body, "application/json")
    with pytest.raises(ValueError, match="values"):
        messages.content(b"values=" + body, "application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"status": "running"}, [("run_started", None)]),
        ({"status": "succeeded"}, [("run_ended", "success")]),
        ({"status": "failed"}, [("run_ended", "failure")]),
        ({"status": "upstream_failed"}, [("run_ended", "failure")]),
        ({"status": "stopped"}, [("run_ended", "stopped")]),
        ({"status": "scheduled"}, []),
    ],
)
def test_statuses(said: dict[str, str], expected: list[tuple[str, str | None]]) -> None:
    """A status begins the run, ends it, or changes nothing."""
    assert [(event["event"], event.get("status")) for event in messages.status(said, NOW)] == expected


def test_failure() -> None:
    """A failure's message and traceback are in the end of the run and in its log."""
    said = {"status": "failed", "message": "Type: ValueError", "traceback": "Traceback:\nValueError: x"}
    record, end = messages.status(said, NOW)
    assert (record["level"], record["message"], record["exception"]) == ("ERROR", said["message"], said["traceback"])
    assert (end["reason"], end["exception"]) == (said["message"], said["traceback"])


def test_addresses() -> None:
    """An address is the run that Polyaxon's own name names; odd words never make two addresses one run."""
    assert Address("alice", "mnist", "experiments", "5").run == "alice.mnist.5"
    assert Address("alice", "mnist", "jobs", "5").run == "alice.mnist.jobs.5"
    assert Address("alice", "mnist", "experiments", "5").name("3") == "alice.mnist.3.5"
    odd = [Address("a.b", "c", "experiments", "5"), Address("a", "b.c", "experiments", "5")]
    odd += [Address("a b", "c", "experiments", "5"), Address("a/b", "c", "experiments", "5")]
    odd += [Address("\u00e9" * 200, "\ud800", "builds", "5" * 100)]
    assert len({address.run for address in odd}) == len(odd)
    assert all(slug(part) == part for address in odd for part in address.run.split("."))
    assert all(len(address.run) <= 128 for address in odd)


def test_own_numbers() -> None:
    """Only numbers beyond those of real platforms are this server's."""
    assert Address("a", "b", "experiments", str(FIRST_OWN)).is_own
    assert Address("a", "b", "experiments", "9" * 5000).is_own
    assert not Address("a", "b", "experiments", "999999").is_own
    assert not Address("a", "b", "experiments", "x").is_own


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("alice.mnist.3.5", "3"),
        ("alice.mnist.5", ""),
        ("alice.mnist.jobs.5", ""),
        ("bob.mnist.3.5", ""),
        ("plain", ""),
        (None, ""),
    ],
)
def test_group_in_a_name(name: object, group: str) -> None:
    """A name of four parts has the group as its third."""
    assert group_in(name, "alice", "mnist") == group


def test_lines_are_taken() -> None:
    """Whatever JSON holds becomes lines that are stored: no line is set aside."""
    hard = {"nan": float("nan"), "big": 10**400, "long": 2**70, "half": "\ud800", "deep": {"a": [float("-inf")]}}
    body = lines([{"time": NOW, "message": "x", "extra": loaded(json.dumps(hard))}])
    parsed = parse(body)
    assert not parsed.set_aside
    assert len(parsed.records) == 1
    assert json.loads(body)["extra"] == {
        "nan": "NaN",
        "big": "Infinity",
        "long": float(2**70),
        "half": "?",
        "deep": {"a": ["-Infinity"]},
    }
