"""What Polyaxon 0.x is told: in a job and outside, through trouble, with tokens that expire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from loghook.credentials import KeySource
from loghook.testing import Answer, Clock, lost_reply
from loghook.transports import Batch, Delivered, TryLater
from loghook.transports.polyaxon.generation0 import Polyaxon0Transport

from .platforms.generation0 import FakePolyaxon0

NOW = 1763740000.0
RUN = "0123456789abcdef0123456789abcdef"
INFO = json.dumps({"project_name": "someone.digits", "experiment_name": "someone.digits.7.5"})


@pytest.fixture
def server() -> Iterator[FakePolyaxon0]:
    """The strict stand-in."""
    server = FakePolyaxon0()
    yield server
    server.close()
    assert not server.violations
    assert not server.errors


def transport(
    server: FakePolyaxon0, environ: dict[str, str] | None = None, clock: Clock | None = None
) -> Polyaxon0Transport:
    """A transport whose token is in its environment."""
    environ = environ or {"POLYAXON_USER_TOKEN": server.tokens[0]}
    keys = KeySource(environ=environ)
    url = f"polyaxon0+{server.url}/someone/digits"
    return Polyaxon0Transport(url, keys, timeout=1.0, clock=clock or Clock(NOW), environ=environ)


def batch(*events: dict[str, Any], run: str = RUN, offset: int = 0) -> Batch:
    """A batch of events."""
    body = b"".join(json.dumps({"time": NOW, **event}).encode() + b"\n" for event in events)
    return Batch(run, "writer", offset, body)


def record(message: str = "", **more: Any) -> dict[str, Any]:
    """A record's event."""
    return {"level": "INFO", "logger": "train", "message": message, **more}


STARTED = {
    "event": "run_started",
    "run": {
        "name": "dogs vs. cats",
        "host": "h",
        "pid": 7,
        "git": {"commit": "a" * 40, "branch": "main"},
        "params": {"lr": 0.1, "odd": float("nan")},
    },
}


def test_a_run_outside_a_job_makes_an_experiment(server: FakePolyaxon0) -> None:
    """It gets a name from the run's, surroundings, params, the commit, and the status running."""
    line = json.dumps({"time": NOW, **STARTED}).replace("NaN", "null").encode() + b"\n"
    assert transport(server).send(Batch(RUN, "writer", 0, line)) == Delivered(len(line))
    (experiment,) = server.entities.values()
    assert experiment.name == "dogs-vs-cats-0123456789ab"
    assert experiment.run_env == {"hostname": "h", "pid": 7}
    assert experiment.params == {"lr": 0.1, "odd": None}
    assert experiment.coderef is not None
    assert experiment.coderef["commit"] == "a" * 40
    assert [status["status"] for status in experiment.statuses] == ["running"]


def test_another_process_goes_on_with_the_experiment(server: FakePolyaxon0) -> None:
    """A transport that has made no experiment finds the one that its run has."""
    transport(server).send(batch(record("one")))
    transport(server).send(batch(record("two"), offset=500))
    (experiment,) = server.entities.values()
    assert [line[-3:] for line in experiment.logs] == ["one", "two"]


def test_a_platform_that_lists_nothing_gets_an_experiment_all_the_same(server: FakePolyaxon0) -> None:
    """Where experiments cannot be listed, one is made."""
    server.lists = False
    assert isinstance(transport(server).send(batch(record("one"))), Delivered)
    assert len(server.entities) == 1


def test_a_job_has_its_experiment(server: FakePolyaxon0) -> None:
    """In a job events go to the experiment that the environment names, and none is made."""
    experiment = server.begin("someone/digits/experiments/5")
    environ = {"POLYAXON_USER_TOKEN": server.tokens[0], "POLYAXON_EXPERIMENT_INFO": INFO}
    transport(server, environ).send(batch(record("hello"), run="someone.digits.7.5"))
    assert experiment.logs == ["2025-11-21 15:46:40 UTC INFO -- hello"]
    assert len(server.entities) == 1


def test_a_managed_job_keeps_its_status(server: FakePolyaxon0) -> None:
    """Where Polyaxon leads the experiment's life no status is sent, and lines of its stdout are not sent again."""
    experiment = server.begin("someone/digits/experiments/5")
    environ = {
        "POLYAXON_USER_TOKEN": server.tokens[0],
        "POLYAXON_EXPERIMENT_INFO": INFO,
        "POLYAXON_IS_MANAGED": "1",
    }
    events = [record("printed", stream="stdout"), record("logged"), {"event": "run_ended", "status": "success"}]
    transport(server, environ).send(batch(*events, run="someone.digits.7.5"))
    assert not experiment.statuses
    assert [line.partition(" -- ")[2] for line in experiment.logs] == ["logged"]


def test_a_point_keeps_its_time_and_its_step(server: FakePolyaxon0) -> None:
    """Metrics go in one list, each with its own time, and a step beside the values; one called step is left alone."""
    points = [
        record(metrics={"loss": 0.5}, step=0, time=NOW + 1.25),
        record(metrics={"loss": 0.25, "acc": 1}, step=1, time=NOW + 2),
        record(metrics={"loss": 0.125}, time=NOW + 3),
        record(metrics={"step": 9.0}, step=3, time=NOW + 4),
    ]
    transport(server).send(batch(*points))
    (experiment,) = server.entities.values()
    assert experiment.metrics == [
        {"values": {"loss": 0.5, "step": 0}, "created_at": "2025-11-21 15:46:41.250000+00:00"},
        {"values": {"loss": 0.25, "acc": 1, "step": 1}, "created_at": "2025-11-21 15:46:42.000000+00:00"},
        {"values": {"loss": 0.125}, "created_at": "2025-11-21 15:46:43.000000+00:00"},
        {"values": {"step": 9.0}, "created_at": "2025-11-21 15:46:44.000000+00:00"},
    ]
    assert [request.path.endswith("/metrics/") for request in server.requests].count(True) == 1


def test_what_is_no_finite_number_is_told_in_the_log(server: FakePolyaxon0) -> None:
    """NaN and the infinities, which end a request there, become a line; the other values of the record go."""
    transport(server).send(batch(record(metrics={"loss": "NaN", "acc": 1.0, "worst": "-Infinity"}, step=3)))
    (experiment,) = server.entities.values()
    assert experiment.metrics[0]["values"] == {"acc": 1.0, "step": 3}
    assert [line.partition(" -- ")[2] for line in experiment.logs] == ["loss = nan, worst = -inf at step 3"]


def test_a_failure_has_its_traceback(server: FakePolyaxon0) -> None:
    """A run that failed says why, and a record's traceback is in the log."""
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: boom'
    events = [
        record("uncaught", level="CRITICAL", exception=trace),
        {"event": "run_ended", "status": "failure", "exception": trace},
    ]
    transport(server).send(batch(*events))
    (experiment,) = server.entities.values()
    assert experiment.statuses == [{"status": "failed", "message": "ValueError: boom", "traceback": trace}]
    assert experiment.logs[0].endswith(f"UTC CRITICAL -- uncaught\n{trace}")


def test_a_job_has_no_metrics(server: FakePolyaxon0) -> None:
    """Numbers of a job or a build, which have no metrics there, are told in its log."""
    job = server.begin("someone/digits/jobs/3")
    environ = {
        "POLYAXON_USER_TOKEN": server.tokens[0],
        "POLYAXON_JOB_INFO": json.dumps({"job_name": "someone.digits.jobs.3"}),
    }
    transport(server, environ).send(batch(record(metrics={"loss": 0.5}, step=1), run="someone.digits.jobs.3"))
    assert [line.partition(" -- ")[2] for line in job.logs] == ["loss = 0.5 at step 1"]


def test_heartbeats_go_once_a_minute(server: FakePolyaxon0) -> None:
    """Of the heartbeats one a minute is sent, and none that lay about for long."""
    clock = Clock(NOW + 300)
    sender = transport(server, clock=clock)
    beats = [{"event": "heartbeat", "time": NOW + second} for second in range(0, 300, 10)]
    sender.send(batch(*beats))
    (experiment,) = server.entities.values()
    assert experiment.beats == 2


def test_a_short_lived_token_is_exchanged(server: FakePolyaxon0) -> None:
    """In a job the ephemeral token is exchanged for another, which is kept out of sight, and again after a refusal."""
    experiment = server.begin("someone/digits/experiments/5")
    environ = {"POLYAXON_SECRET_EPHEMERAL_TOKEN": server.ephemeral, "POLYAXON_EXPERIMENT_INFO": INFO}
    known: list[str] = []
    keys = KeySource(environ=environ, found=known.append)
    url = f"polyaxon0+{server.url}/someone/digits"
    sender = Polyaxon0Transport(url, keys, timeout=1.0, clock=Clock(NOW), environ=environ)
    first = batch(record("one"), run="someone.digits.7.5")
    sender.send(first)
    assert known == server.tokens
    server.tokens[:] = ["another-token-for-tests"]
    assert isinstance(sender.send(batch(record("two"), run="someone.digits.7.5", offset=first.next)), Delivered)
    assert server.exchanged == 2
    assert len(experiment.logs) == 2


def test_a_token_that_is_not_exchanged_is_asked_for_once_a_minute(server: FakePolyaxon0) -> None:
    """While the exchange is refused another token serves; that is said once, and asked again after a minute."""
    experiment = server.begin("someone/digits/experiments/5")
    server.exchange = Answer(403, {"Content-Type": "application/json"}, b'{"detail": "Used before."}')
    environ = {
        "POLYAXON_SECRET_EPHEMERAL_TOKEN": server.ephemeral,
        "POLYAXON_USER_TOKEN": server.tokens[0],
        "POLYAXON_EXPERIMENT_INFO": INFO,
    }
    said: list[str] = []
    clock = Clock(NOW)
    url = f"polyaxon0+{server.url}/someone/digits"
    keys = KeySource(environ=environ, warn=said.append)
    sender = Polyaxon0Transport(url, keys, timeout=1.0, clock=clock, environ=environ)
    for number in range(5):
        one = batch(record(f"line {number}", metrics={"loss": 0.5}), run="someone.digits.7.5", offset=1000 * number)
        assert isinstance(sender.send(one), Delivered)
    assert (server.exchanged, len(experiment.logs)) == (1, 5)
    assert said == [f"{server.url}: POLYAXON_SECRET_EPHEMERAL_TOKEN got no token: 403 Forbidden: Used before."]
    clock.advance(61)
    assert isinstance(sender.send(batch(record("more"), run="someone.digits.7.5", offset=9000)), Delivered)
    assert (server.exchanged, len(said)) == (2, 1)


def test_without_any_token_the_reason_is_told(server: FakePolyaxon0) -> None:
    """Where the exchange is refused and there is no other token, events wait, and the refusal is said."""
    experiment = server.begin("someone/digits/experiments/5")
    server.exchange = Answer(403, {"Content-Type": "application/json"}, b'{"detail": "Used before."}')
    environ = {"POLYAXON_SECRET_EPHEMERAL_TOKEN": server.ephemeral, "POLYAXON_EXPERIMENT_INFO": INFO}
    clock = Clock(NOW)
    sender = transport(server, environ, clock)
    sent = batch(record("one"), run="someone.digits.7.5")
    for _ in range(3):
        outcome = sender.send(sent)
        assert isinstance(outcome, TryLater)
        assert outcome.key
        assert "Used before., and there is no API key; looked in POLYAXON_USER_TOKEN" in outcome.reason
        assert outcome.reason.count(server.url) == 1
    assert server.exchanged == 1
    server.exchange = None
    clock.advance(61)
    assert isinstance(sender.send(sent), Delivered)
    assert len(experiment.logs) == 1


def test_an_exchange_that_fails_for_the_moment_is_tried_again(server: FakePolyaxon0) -> None:
    """A platform that is down while a token is asked for is no missing key, and its Retry-After is kept to."""
    server.begin("someone/digits/experiments/5")
    server.exchange = Answer(503, {"Retry-After": "7"}, b"")
    environ = {"POLYAXON_SECRET_EPHEMERAL_TOKEN": server.ephemeral, "POLYAXON_EXPERIMENT_INFO": INFO}
    sender = transport(server, environ)
    sent = batch(record("one"), run="someone.digits.7.5")
    outcome = sender.send(sent)
    assert isinstance(outcome, TryLater)
    assert (outcome.key, outcome.after) == (False, 7.0)
    server.exchange = None
    assert isinstance(sender.send(sent), Delivered)


def test_what_no_database_takes_is_replaced(server: FakePolyaxon0) -> None:
    """A NUL in a message, a name or a traceback becomes a sign for it, and holds nothing up."""
    ended = {"event": "run_ended", "status": "failure", "exception": "ValueError: a\0b"}
    sent = batch(record("a\0b", metrics={"lo\0ss": 0.5}), {"event": "params", "params": {"k\0": "v\0"}}, ended)
    assert transport(server).send(sent) == Delivered(sent.next)
    (experiment,) = server.entities.values()
    assert experiment.logs[0].endswith(" -- a\u2400b")
    assert experiment.metrics[0]["values"] == {"lo\u2400ss": 0.5}
    assert experiment.params == {"k\u2400": "v\u2400"}
    assert experiment.statuses[-1]["message"] == "ValueError: a\u2400b"


def test_no_request_is_made_twice_that_was_answered(server: FakePolyaxon0) -> None:
    """When one request of a batch fails, the next send goes on from there."""
    sender = transport(server)
    sent = batch(STARTED | {"run": {"name": "r"}}, record("one", metrics={"loss": 0.5}), record("two"))
    server.script(*(step for _ in range(4) for step in (None, Answer(500), lost_reply)))
    for _ in range(20):
        outcome = sender.send(sent)
        if isinstance(outcome, Delivered):
            break
        assert isinstance(outcome, TryLater)
    assert outcome == Delivered(sent.next)
    experiment = next(iter(server.entities.values()))
    assert [status["status"] for status in experiment.statuses].count("running") <= 2
    assert {line.partition(" -- ")[2] for line in experiment.logs} == {"one", "two"}


def test_a_line_that_is_refused_is_set_aside_alone(server: FakePolyaxon0) -> None:
    """Of a list that the platform refuses, the good lines arrive and the bad one is named."""
    sent = batch(*(record(f"line {number}", level="info" if number == 3 else "INFO") for number in range(8)))
    outcome = transport(server).send(sent)
    assert isinstance(outcome, Delivered)
    assert [line for line, _ in outcome.set_aside] == [3]
    (experiment,) = server.entities.values()
    assert [line[-1] for line in experiment.logs] == ["0", "1", "2", "4", "5", "6", "7"]
    server.violations.clear()


def test_an_event_of_which_all_is_refused_is_named_once(server: FakePolyaxon0) -> None:
    """A record whose point and whose line are refused, each in a request of its own, is one event set aside."""
    respond, too_large = server.respond, Answer(413, {"Content-Type": "text/html"}, b"<h1>413</h1>")
    server.respond = lambda request: too_large if b"poison" in request.body else respond(request)
    outcome = transport(server).send(batch(record("one"), record("poison", metrics={"poison": 1.0}), record("two")))
    assert isinstance(outcome, Delivered)
    assert [line for line, _ in outcome.set_aside] == [1]
    (experiment,) = server.entities.values()
    assert [line[-3:] for line in experiment.logs] == ["one", "two"]


def test_loghooks_key_is_not_shown_to_polyaxon(server: FakePolyaxon0) -> None:
    """Polyaxon's own token goes before LOGHOOK_API_KEY, and Hyperdash's is never sent."""
    environ = {"LOGHOOK_API_KEY": "not-for-polyaxon", "POLYAXON_USER_TOKEN": server.tokens[0]}
    assert isinstance(transport(server, environ).send(batch(record("one"))), Delivered)
    outcome = transport(server, {"HYPERDASH_API_KEY": "not-for-polyaxon"}).send(batch(record("two"), offset=500))
    assert isinstance(outcome, TryLater)
    assert outcome.key
