"""Events become messages of Hyperdash's protocol, in the order in which they are to be sent."""

from __future__ import annotations

import bisect
import json
import logging
import random
import uuid
from typing import Any

import pytest

from loghook.transports.base import Batch
from loghook.transports.hyperdash_messages import LONGEST_BODY, Message, Unreadable, halves, messages
from loghook.transports.hyperdash_words import run_uuid

TIME = 1763740000.5
MS = 1763740000500


def record(message: str = "", **more: Any) -> dict[str, Any]:
    """A record's event."""
    return {"time": TIME, "level": "INFO", "logger": "train", "message": message, **more}


def batch(*events: dict[str, Any] | bytes, offset: int = 0, run: str = "run") -> Batch:
    """A batch of events; bytes are a line as it is."""
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return Batch(run, "writer", offset, b"".join(line + b"\n" for line in lines))


def made(*events: dict[str, Any] | bytes, **options: Any) -> list[Message]:
    """The messages of events; none of them is unreadable."""
    found = [message for group in messages(batch(*events), **options) for message in group]
    assert not [message for message in found if isinstance(message, Unreadable)]
    return [message for message in found if isinstance(message, Message)]


def shown(*events: dict[str, Any] | bytes, **options: Any) -> list[tuple[str, Any]]:
    """The messages in short: a log as its level and body, a metric as its name and value."""
    short: list[tuple[str, Any]] = []
    for message in made(*events, **options):
        payload = message.payload
        if message.type == "log":
            short.append((payload["level"], payload["body"]))
        elif message.type == "metric":
            short.append((payload["name"], payload["value"]))
        else:
            short.append((message.type, payload))
    return short


def test_a_record_is_a_log_and_its_metrics() -> None:
    """Text goes first, as one log that ends in a newline; each number is a metric with the record's time."""
    log, loss, accuracy = made(record("epoch 3", metrics={"loss": 1, "acc": 0.5}, step=3, extra={"a": 1}))
    assert (log.type, log.timestamp, log.payload["level"], log.payload["body"]) == ("log", MS, "INFO", "epoch 3\n")
    assert loss == Message("metric", MS, {"name": "loss", "timestamp": MS, "value": 1.0, "is_internal": False}, 0, 0, 1)
    assert type(loss.payload["value"]) is float
    assert accuracy.payload["name"] == "acc"


def test_metrics_alone_are_no_log() -> None:
    """An empty message beside metrics sends no text; an empty message alone is an empty line."""
    assert shown(record(metrics={"loss": 0.5})) == [("loss", 0.5)]
    assert shown(record()) == [("INFO", "\n")]


@pytest.mark.parametrize("more", [{"extra": {"a": 1}}, {"metrics": [1]}])
def test_a_record_that_the_protocol_has_no_word_for_is_no_message(more: dict[str, Any]) -> None:
    """Extras alone send nothing, and hold up nothing that comes before or behind them."""
    assert shown(record(**more)) == []
    events = [record("a"), {"time": TIME, "event": "heartbeat"}, record(**more, time=TIME + 5), record("b")]
    assert shown(*events) == [("INFO", "a\n"), ("heartbeat", {}), ("INFO", "b\n")]


def test_the_traceback_is_part_of_the_text() -> None:
    """Message, traceback and stack are one text."""
    event = record("failed", level="ERROR", exception="Traceback:\nValueError: x", stack="Stack:\n  main")
    assert shown(event) == [("ERROR", "failed\nTraceback:\nValueError: x\nStack:\n  main\n")]


@pytest.mark.parametrize(
    ("event", "level"),
    [
        ({"level": "DEBUG"}, "INFO"),
        ({"level": "WARNING"}, "INFO"),
        ({"level": "ERROR"}, "ERROR"),
        ({"level": "CRITICAL"}, "ERROR"),
        ({"level": "Level 39"}, "INFO"),
        ({"level": "Level 45"}, "ERROR"),
        ({"level": 40}, "ERROR"),
        ({"level": "unheard of"}, "INFO"),
        ({"level": None}, "INFO"),
        ({"level": "INFO", "stream": "stderr"}, "ERROR"),
        ({"level": "ERROR", "stream": "stdout"}, "INFO"),
    ],
)
def test_there_are_two_levels(event: dict[str, Any], level: str) -> None:
    """From ERROR up is ERROR, the rest INFO; what came from a stream has the stream's level."""
    assert shown(record("x", **event)) == [(level, "x\n")]


def test_a_level_with_a_name_of_its_own_counts_by_its_number() -> None:
    """A level that the program named counts as logging knows it."""
    logging.addLevelName(47, "TEST-ALARM")
    assert shown(record("x", level="TEST-ALARM")) == [("ERROR", "x\n")]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "what", None, [1]])
def test_what_is_no_finite_number_is_named_in_the_log(value: Any) -> None:
    """The protocol has no word for it, so a line of the record's text says what it was."""
    ((level, body), metric) = shown(record("x", metrics={"bad": value, "good": 1.0}))
    assert (level, metric) == ("INFO", ("good", 1.0))
    assert body.startswith(f"x\nbad: {value} (not sent as a metric")


def test_texts_of_one_level_are_joined() -> None:
    """Texts that follow one another are one log; another level begins a new one."""
    events = [record("one"), record("two"), record("three", level="ERROR"), record("four")]
    assert shown(*events) == [("INFO", "one\ntwo\n"), ("ERROR", "three\n"), ("INFO", "four\n")]


def test_joined_texts_come_before_their_metrics() -> None:
    """Texts keep their order, and so do metrics."""
    events = [record(f"step {i}", metrics={"loss": float(i)}) for i in range(3)]
    assert shown(*events) == [("INFO", "step 0\nstep 1\nstep 2\n"), ("loss", 0.0), ("loss", 1.0), ("loss", 2.0)]


def test_texts_of_different_times_are_not_joined() -> None:
    """What lies more than a second behind the first text begins a new log, with its own time."""
    logs = made(record("a"), record("b", time=TIME + 0.9), record("c", time=TIME + 1.1))
    assert [(log.timestamp, log.payload["body"]) for log in logs] == [(MS, "a\nb\n"), (MS + 1100, "c\n")]


def test_nothing_is_joined_across_another_event() -> None:
    """Params, heartbeats and the run's end stand where they happened."""
    events = [record("a"), {"time": TIME, "event": "params", "params": {"lr": 0.1}}, record("b")]
    assert [kind for kind, _ in shown(*events)] == ["INFO", "param", "INFO"]


def test_no_body_is_longer_than_the_protocol_allows() -> None:
    """Long text is cut into pieces of at most 20480 characters that make up the text, behind a line's end."""
    text = "".join(f"{i}: {'é' * (i % 1000)}\n" for i in range(200)) + "x" * 50_000
    bodies = [body for _, body in shown(record(text), record("next"))]
    assert "".join(bodies) == text + "\nnext\n"
    assert all(0 < len(body) <= LONGEST_BODY for body in bodies)
    assert bodies[0].endswith("\n")


def test_what_is_joined_is_no_longer_either() -> None:
    """Joined texts stop at 20480 characters, between two records."""
    bodies = [body for _, body in shown(*(record("x" * 99) for _ in range(300)))]
    assert [len(body) for body in bodies] == [20400, 9600]


def test_a_run_begins_with_its_name_and_params() -> None:
    """run_started carries the job's name; params follow; who began the run is told apart."""
    run = {"name": "digits", "params": {"lr": 0.1}, "api": "cli_run", "pid": 7}
    begun, param = made({"time": TIME, "event": "run_started", "run": run})
    assert (begun.type, begun.payload, begun.api) == ("run_started", {"job_name": "digits"}, "cli_run")
    assert (param.type, param.payload) == ("param", {"params": {"lr": 0.1}, "is_internal": False})


def test_a_run_without_a_name_has_its_id() -> None:
    """A job's name is never empty."""
    assert shown({"time": TIME, "event": "run_started"}) == [("run_started", {"job_name": "run"})]


def test_the_names_of_the_sdks_own_progress_are_internal() -> None:
    """hd_iter_K and hd_iter_K_epochs are internal, other names are not."""
    params = {"hd_iter_0_epochs": 10, "epochs": 10}
    both = made({"time": TIME, "event": "params", "params": params}, record(metrics={"hd_iter_0": 1.0, "hd_iter": 1.0}))
    assert [message.payload["is_internal"] for message in both] == [False, True, True, False]
    assert both[1].payload["params"] == {"hd_iter_0_epochs": 10}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"status": "success"}, [("run_ended", {"final_status": "success"})]),
        (
            {"status": "failure", "exception": "Traceback:\nKeyError: 1\n"},
            [("ERROR", "Traceback:\nKeyError: 1\n"), ("run_ended", {"final_status": "failure"})],
        ),
        (
            {"status": "stopped", "reason": "SIGTERM"},
            [("ERROR", "The run was stopped (SIGTERM).\n"), ("run_ended", {"final_status": "failure"})],
        ),
        ({"status": "never heard of"}, [("run_ended", {"final_status": "failure"})]),
    ],
)
def test_a_run_ends_as_success_or_failure(event: dict[str, Any], expected: list[tuple[str, Any]]) -> None:
    """A run that was stopped is a failure that says so; an exception is told before the end."""
    assert shown({"time": TIME, "event": "run_ended", **event}) == expected


def test_dropped_events_are_told() -> None:
    """The platform reads how many events were dropped, why and when."""
    event = {"time": TIME, "event": "dropped", "dropped": {"spool full": 3}, "since": 1763740000, "until": 1763740001}
    told = "loghook dropped events (spool full: 3), from 2025-11-21 15:46:40 UTC to 2025-11-21 15:46:41 UTC\n"
    assert shown(event) == [("ERROR", told)]


def test_what_the_protocol_has_no_word_for_is_no_message() -> None:
    """A writer's beginning and events that are not invented yet send nothing; a heartbeat is one."""
    kinds = ("writer_started", "not invented", "heartbeat", "params")
    assert shown(*({"time": TIME, "event": kind} for kind in kinds)) == [("heartbeat", {})]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'"x"', b'{"message": "no time"}', b'{"time": "x"}', b'{"time": true}'])
def test_what_is_no_event_stands_alone(line: bytes) -> None:
    """A line that can't be read is told apart, with its reason; what is around it is sent."""
    first, bad, last = [one for group in messages(batch(record("a"), line, record("b"))) for one in group]
    assert isinstance(bad, Unreadable)
    assert bad.reason.startswith("not an event")
    assert isinstance(first, Message)
    assert isinstance(last, Message)
    assert first.done == bad.start < bad.done == last.start


def test_a_run_id_becomes_a_uuid4() -> None:
    """32 hex digits stay but for the version's bits, any other id makes one of its own; both always the same."""
    digits = uuid.uuid4().hex
    assert run_uuid(digits) == str(uuid.UUID(digits))
    assert run_uuid("0123456789abcdef0123456789abcdef") == "01234567-89ab-4def-8123-456789abcdef"
    assert run_uuid("my run") == run_uuid("my run") != run_uuid("my other run")
    assert uuid.UUID(run_uuid("my run")).version == 4


def test_the_same_text_has_the_same_uuid() -> None:
    """A log that is made again has its uuid again; another text, place or level has another."""
    (name,) = {log.payload["uuid"] for _ in range(2) for log in made(record("a"))}
    assert uuid.UUID(name).version == 4
    (longer,) = made(record("a"), record("b"))
    (_, second) = made(record("a"), record("a", time=TIME + 5))
    (error,) = made(record("a", level="ERROR"))
    assert len({name, *(log.payload["uuid"] for log in (longer, second, error))}) == 4


def test_no_two_metrics_are_the_same_message() -> None:
    """Equal values of one millisecond keep their time, in messages of different times, also from batch to batch."""
    latest: dict[tuple[str, float], int] = {}
    events = [record(metrics={"loss": 0.5}), record(metrics={"loss": 0.5}), record(metrics={"loss": 0.25})]
    found = made(*events, latest=latest) + made(*events, latest=latest)
    assert [message.payload["timestamp"] for message in found] == [MS] * 6
    assert [message.timestamp - MS for message in found] == [0, 1, 0, 2, 3, 1]


def test_what_is_there_already_is_left_out() -> None:
    """Events that begin before an offset are not made again."""
    first = len(batch(record("a")).body)
    assert shown(record("a"), record("b"), after=first) == [("INFO", "b\n")]


def test_texts_can_be_had_alone() -> None:
    """Up to an offset each text is a log of its own."""
    first = len(batch(record("a")).body)
    events = [record("a"), record("b"), record("c"), record("d")]
    assert shown(*events, alone=first + 1) == [("INFO", "a\n"), ("INFO", "b\nc\nd\n")]


def test_halves_make_up_the_whole() -> None:
    """A log can be halved until it is short; other messages can't."""
    (log,) = made(record("x" * 1000 + "y" * 1000))
    parts = halves(log)
    assert parts is not None
    first, second = parts
    assert first.payload["body"] + second.payload["body"] == log.payload["body"]
    assert len({part.payload["uuid"] for part in (log, first, second)}) == 3
    assert (first.done, second.done) == (0, log.done)
    assert halves(made(record("x" * 100))[0]) is None
    assert halves(made(record(metrics={"a": 1.0}))[0]) is None


@pytest.mark.parametrize("seed", range(20))
def test_done_never_runs_ahead(seed: int) -> None:
    """Whatever the events: once messages are taken up to one, all that belongs before its `done` was among them."""
    chance = random.Random(seed)
    events: list[dict[str, Any]] = []
    for number in range(200):
        values = {f"m{i}": float(number) for i in range(chance.choice([0, 0, 1, 3]))}
        text = chance.choice(["", f"line {number}", "x" * chance.choice([10, 5000, 30_000])])
        level, time = chance.choice(["INFO", "INFO", "ERROR"]), TIME + number * chance.choice([0, 0.001, 0.02])
        events.append(record(text, metrics=values, level=level, time=time))
        if chance.random() < 0.05:
            events.append({"time": time, "event": chance.choice(["heartbeat", "params", "odd"]), "params": {"a": 1}})
    whole = batch(*events)
    sent = [message for group in messages(whole, limit=chance.choice([100, LONGEST_BODY])) for message in group]
    ends, texts, numbers = zip(*_belongings(whole), strict=True)
    reached = length = metrics = 0
    for message in sent:
        assert isinstance(message, Message)
        length += len(message.payload.get("body", ""))
        metrics += message.type == "metric"
        reached = max(reached, message.done)
        complete = bisect.bisect_right(ends, reached) - 1
        assert length >= texts[complete]
        assert metrics >= numbers[complete]
    assert (length, metrics) == (texts[-1], numbers[-1])


def _belongings(whole: Batch) -> list[tuple[int, int, int]]:
    """For each event where it ends, and how much text and how many metrics there are up to there."""
    found = [(0, 0, 0)]
    for _, start, end in whole.events():
        event = json.loads(whole.body[start:end])
        _, text, metrics = found[-1]
        if "event" not in event:
            metrics += len(event["metrics"])
            text += len(event["message"]) + 1 if event["message"] or not event["metrics"] else 0
        found.append((end, text, metrics))
    return found
