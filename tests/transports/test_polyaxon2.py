"""What Polyaxon 2 is told, when, and what becomes of it when something is in the way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loghook.credentials import KeySource
from loghook.testing import Answer, Clock, Request, lost_reply
from loghook.transports import Batch, Delivered, Outcome, TryLater
from loghook.transports.polyaxon import PolyaxonTransport
from loghook.transports.polyaxon.access import with_tokens
from loghook.transports.polyaxon.generation2 import Polyaxon2Transport
from loghook.transports.polyaxon.names import metric_file, run_uuid, slug
from loghook.transports.polyaxon.pace import RATE, Pace

from .platforms.generation2 import HIDDEN_500, FakePolyaxon2

NOW = 1763740000.0
RUN = "0123456789abcdef0123456789abcdef"
STARTED = {"event": "run_started", "run": {"name": "dogs vs. cats", "host": "h", "pid": 7, "params": {"lr": 0.1}}}


@pytest.fixture
def server() -> Iterator[FakePolyaxon2]:
    """The strict fake, which like the real one asks for no token."""
    server = FakePolyaxon2(token=None)
    yield server
    server.close()
    assert not server.violations
    assert not server.errors


def transport(
    server: FakePolyaxon2, clock: Clock | None = None, environ: dict[str, str] | None = None
) -> Polyaxon2Transport:
    """A transport in an environment."""
    environ = environ or {}
    url = f"polyaxon2+{server.url}/default/digits"
    return Polyaxon2Transport(url, KeySource(environ=environ), timeout=1.0, clock=clock or Clock(), environ=environ)


def lines(*events: dict[str, Any]) -> bytes:
    """Events as they lie in the spool."""
    return b"".join(json.dumps({"time": NOW + number, **event}).encode() + b"\n" for number, event in enumerate(events))


def points(name: str, *values: Any, first: int = 0) -> list[dict[str, Any]]:
    """Records of one metric."""
    return [
        {"level": "INFO", "logger": "t", "message": f"{name} {step}", "metrics": {name: value}, "step": step}
        for step, value in enumerate(values, first)
    ]


def batch(body: bytes, offset: int = 0, *, urgent: bool = False, writer: str = "w") -> Batch:
    """A batch of one writer."""
    return Batch(RUN, writer, offset, body, urgent=urgent)


def until_delivered(sender: Polyaxon2Transport, sent: Batch, tries: int = 40) -> Outcome:
    """Send a batch again and again until it is delivered."""
    for _ in range(tries):
        outcome = sender.send(sent)
        if isinstance(outcome, Delivered):
            return outcome
    raise AssertionError(f"not delivered: {outcome}")


def test_points_are_held_until_they_are_due(server: FakePolyaxon2) -> None:
    """The first points go at once; those that follow within the pause are held, and acknowledged when they went."""
    clock = Clock()
    sender = transport(server, clock)
    first = batch(lines(STARTED, *points("loss", 0.5)))
    assert sender.send(first) == Delivered(first.next)
    second = batch(lines(*points("loss", 0.25, first=1)), first.next)
    assert sender.send(second) == Delivered(first.next, taken=second.next)
    assert server.points(RUN, "loss") == [("0", 0.5)]
    clock.advance(3)
    assert sender.send(batch(b"", second.next)) == Delivered(second.next)
    assert server.points(RUN, "loss") == [("0", 0.5), ("1", 0.25)]


def test_what_somebody_waits_for_goes_at_once(server: FakePolyaxon2) -> None:
    """An urgent batch, empty or not, makes the transport send all that it holds."""
    sender = transport(server)
    first = batch(lines(STARTED, *points("loss", 0.5)))
    sender.send(first)
    second = batch(lines(*points("loss", 0.25, first=1)), first.next)
    sender.send(second)
    assert sender.send(batch(b"", second.next, urgent=True)) == Delivered(second.next)
    assert len(server.points(RUN, "loss")) == 2


def test_the_end_of_a_run_comes_after_all_else(server: FakePolyaxon2) -> None:
    """The last points and lines are there before the final status is."""
    sender = transport(server)
    sender.send(batch(lines(STARTED, *points("loss", 0.5))))
    offset = len(lines(STARTED, *points("loss", 0.5)))
    rest = lines(*points("loss", 0.25, first=1), {"event": "run_ended", "status": "success"})
    assert sender.send(batch(rest, offset)) == Delivered(offset + len(rest))
    assert server.requests[-1].path.endswith("/statuses")
    assert server.runs[RUN]["status"] == "succeeded"


def test_a_run_that_goes_on_in_another_process_is_seamless(server: FakePolyaxon2) -> None:
    """A transport that knows nothing takes the file up where its marker says, however much was written beyond."""
    body = lines(STARTED, *points("loss", *range(10)))
    for cut in range(len(body)):
        if body[cut - 1 : cut] != b"\n":
            continue
        server.files.clear()
        server.runs.clear()
        clock = Clock()
        sender = transport(server, clock)
        sender.send(batch(body[:cut]))
        server.script(*[None] * 3, Answer(cut=0))  # the second of two rounds ends before its marker
        sender.send(batch(body[cut:], cut, urgent=True))
        server._steps.clear()
        outcome = transport(server).send(batch(body[cut:], cut, urgent=True))
        assert outcome == Delivered(len(body))
        assert server.points(RUN, "loss") == [(str(step), float(step)) for step in range(10)]
        assert [entry["value"] for entry in server.log(RUN)] == [f"INFO t -- loss {step}" for step in range(10)]


@pytest.mark.parametrize("lost", range(1, 14))
def test_a_lost_answer_anywhere_repeats_nothing(server: FakePolyaxon2, lost: int) -> None:
    """Whichever answer is lost, and whoever goes on after it, each point and each line is there once."""
    body = lines(STARTED, *points("loss", 1, 2, 3), *points("acc", 4, 5), {"event": "run_ended", "status": "failure"})
    server.script(*[None] * lost, lost_reply)
    transport(server).send(batch(body, urgent=True))
    server._steps.clear()
    until_delivered(transport(server), batch(body, urgent=True))
    assert [value for _, value in server.points(RUN, "loss")] == [1, 2, 3]
    assert [value for _, value in server.points(RUN, "acc")] == [4, 5]
    assert len(server.log(RUN)) == 5
    assert server.runs[RUN]["status"] == "failed"


def test_a_chunk_that_was_tried_stays_as_it_is(server: FakePolyaxon2) -> None:
    """Lines that come after a failed upload go into another chunk: one that gets through late harms nothing."""
    late: list[Request] = []
    sender = transport(server)
    first = batch(lines(STARTED, *points("loss", 1)), urgent=True)

    def stalls(request: Request, respond: Any) -> Answer:
        late.append(request)
        return Answer(cut=0)

    server.script(*[None] * 7, stalls)
    assert isinstance(sender.send(first), TryLater)
    assert b"plxlogs" in late[0].body
    second = batch(first.body + lines(*points("loss", 2, first=1)), urgent=True)
    assert sender.send(second) == Delivered(second.next)
    server.respond(late[0])
    assert [entry["value"] for entry in server.log(RUN)] == ["INFO t -- loss 0", "INFO t -- loss 1"]


def test_a_batch_that_was_cut_short_waits_for_its_rest(server: FakePolyaxon2) -> None:
    """When a smaller batch follows on a failed one, nothing is acknowledged in the middle of what was taken."""
    sender = transport(server)
    body = lines(STARTED, *points("loss", 1, 2, 3))
    server.script(*[None] * 8, Answer(500))
    while isinstance(sender.send(batch(body, urgent=True)), Delivered):
        pytest.fail("the failure came too late")
    half = batch(body, urgent=True).head(events=2)
    assert sender.send(half) == Delivered(0, taken=half.next)
    assert sender.send(batch(body[half.next :], half.next, urgent=True)) == Delivered(len(body))
    assert len(server.points(RUN, "loss")) == 3


def test_names_that_would_collide_are_kept_apart(server: FakePolyaxon2) -> None:
    """The first of two names with one translation gets the plain file, the other a hash, also in another process."""
    both = {"metrics": {"a b": 1.0, "a.b": 2.0, "损失": 3.0}, "level": "INFO", "logger": "t", "message": ""}
    body = lines(STARTED, both)
    transport(server).send(batch(body, urgent=True))
    transport(server).send(batch(lines(both), len(body), urgent=True))
    files = sorted(path for path in server.files[RUN] if path.startswith("events/"))
    assert len(files) == 3
    assert [value for _, value in server.points(RUN, "a-b")] == [1.0, 1.0]
    assert [value for _, value in server.points(RUN, metric_file("a.b", ["a-b"]))] == [2.0, 2.0]
    assert [value for _, value in server.points(RUN, metric_file("损失"))] == [3.0, 3.0]


def test_each_rank_has_files_of_its_own(server: FakePolyaxon2) -> None:
    """Only the run's owner writes into the plain file; a rank's file says which, a nameless writer's whose."""
    sender = transport(server)
    began = {"event": "writer_started", "writer": {"pid": 8, "host": "h"}}
    ranked = {"event": "writer_started", "writer": {"pid": 9, "host": "h", "rank": 1}}
    sender.send(batch(lines(began, STARTED, *points("loss", 1.0)), urgent=True, writer="owner"))
    sender.send(batch(lines(ranked, *points("loss", 2.0)), urgent=True, writer="second"))
    sender.send(batch(lines(began, *points("loss", 3.0)), urgent=True, writer="child"))
    assert [value for _, value in server.points(RUN, "loss")] == [1.0]
    assert [value for _, value in server.points(RUN, "loss--rank1")] == [2.0]
    assert [value for _, value in server.points(RUN, "loss--child")] == [3.0]


def test_odd_numbers_and_steps_are_kept(server: FakePolyaxon2) -> None:
    """NaN and the infinities are in the file and null in JSON; a missing step is the next; steps may go back."""
    values = [(5, 1.0), (3, "NaN"), (3, "Infinity"), (None, 2.0), (4, "-Infinity")]
    common = {"level": "INFO", "logger": "t", "message": ""}
    events = [{**common, "metrics": {"loss": value}, "step": step} for step, value in values]
    transport(server).send(batch(lines(STARTED, *events), urgent=True))
    found = server.points(RUN, "loss")
    assert [step for step, _ in found] == ["5", "3", "3", "6", "4"]
    assert [value for _, value in found if math.isfinite(value)] == [1.0, 2.0]
    assert server.runs[RUN]["outputs"] == {"loss": None}
    assert server.artifacts[RUN]["loss"]["summary"]["metric"]["max"] == 2.0


def test_points_that_the_platform_lost_are_told_of(server: FakePolyaxon2) -> None:
    """A file that is shorter than its marker says is gone on with, and the run says so."""
    body = lines(STARTED, *points("loss", 1, 2, 3))
    transport(server).send(batch(body, urgent=True))
    server.files[RUN]["events/metric/loss.plx"] = b"step|timestamp|metric\n"
    transport(server).send(batch(lines(*points("loss", 4, first=3)), len(body), urgent=True))
    assert server.points(RUN, "loss") == [("3", 4.0)]
    assert server.runs[RUN]["meta_info"]["loghook-trouble"] == "loss.plx lacks 3 points that it had"


def test_a_hidden_error_is_tried_again(server: FakePolyaxon2) -> None:
    """A 405 that stands for a 500 is trouble that passes, not a refusal."""
    body = lines(STARTED)
    sender = transport(server)
    server.script(None, None, None, None, None, HIDDEN_500)
    outcome = sender.send(batch(body))
    assert isinstance(outcome, TryLater)
    assert "failed inside" in outcome.reason
    assert sender.send(batch(body)) == Delivered(len(body))


def test_content_that_always_fails_inside_is_set_aside(server: FakePolyaxon2) -> None:
    """What ends in hidden errors again and again, while other content passes, blocks nothing for ever."""

    def fails(request: Request) -> Answer:
        return HIDDEN_500 if b'"inputs"' in request.body and request.method == "PATCH" else respond(request)

    respond, server.respond = server.respond, fails
    body = lines(STARTED, *points("loss", 1.0))
    outcome = until_delivered(transport(server), batch(body, urgent=True))
    assert isinstance(outcome, Delivered)
    assert [line for line, _ in outcome.set_aside] == [0]
    assert server.points(RUN, "loss") == [("0", 1.0)]


def test_an_event_that_is_none_is_set_aside(server: FakePolyaxon2) -> None:
    """A line that is no JSON is named, and the others arrive."""
    body = lines(STARTED) + b"nonsense\n" + lines(*points("loss", 1.0))
    outcome = transport(server).send(batch(body, urgent=True))
    assert isinstance(outcome, Delivered)
    assert [line for line, _ in outcome.set_aside] == [1]
    assert len(server.log(RUN)) == 1


def managed(server: FakePolyaxon2) -> None:
    """Let the platform have made the run."""
    server.projects.add("digits")
    server.runs[RUN] = {"uuid": RUN, "is_managed": True, "meta_info": {}, "inputs": {"lr": 1}, "status": "running"}
    server.runs[RUN].update(outputs=None, conditions=[], settings={"namespace": "polyaxon"})


def test_in_a_managed_run_files_go_into_its_folder(server: FakePolyaxon2, tmp_path: Path) -> None:
    """Its sidecar collects metrics and log; params go over the API, a status and the stdout's lines nowhere."""
    managed(server)
    environ = {
        "POLYAXON_RUN_INSTANCE": f"default.digits.runs.{RUN}",
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_ARTIFACTS_ROOT": str(tmp_path),
        "POLYAXON_K8S_NODE_NAME": "node-7",
        "POLYAXON_K8S_POD_ID": "pod-7",
    }
    printed = {"level": "INFO", "logger": "stdout", "message": "printed", "stream": "stdout"}
    body = lines(STARTED, printed, *points("loss", 0.5, 0.25), {"event": "run_ended", "status": "success"})
    assert transport(server, environ=environ).send(batch(body)) == Delivered(len(body))
    file = tmp_path / RUN / "events" / "metric" / "loss.plx"
    assert file.read_text().splitlines()[0] == "step|timestamp|metric"
    assert [line.split("|")[2] for line in file.read_text().splitlines()[1:]] == ["0.5", "0.25"]
    (chunk,) = (tmp_path / RUN / "plxlogs").iterdir()
    entries = [json.loads(line) for line in chunk.read_text().splitlines()]
    assert [(one["node"], one["pod"], one["value"]) for one in entries] == [
        ("node-7", "pod-7", "INFO t -- loss 0"),
        ("node-7", "pod-7", "INFO t -- loss 1"),
    ]
    assert server.runs[RUN]["inputs"] == {"lr": 0.1}
    assert server.runs[RUN]["conditions"] == []
    assert not server.files
    more = lines(*points("loss", 0.125, first=2))
    transport(server, environ=environ).send(batch(more, len(body), urgent=True))
    assert len(file.read_text().splitlines()) == 4


@pytest.mark.parametrize("variables", [{}, {"POLYAXON_RUN_INSTANCE": f"default.digits.runs.{RUN}"}], ids=len)
def test_the_generation_is_found_out(server: FakePolyaxon2, variables: dict[str, str]) -> None:
    """The job's own platform is of the job's generation; any other is asked."""
    environ = {**variables, "POLYAXON_HOST": server.url}
    keys = KeySource(environ=environ)
    sender = PolyaxonTransport(f"polyaxon+{server.url}/default/digits", keys, timeout=1.0, environ=environ)
    body = lines(STARTED)
    assert sender.send(batch(body)) == Delivered(len(body))
    asked = [request.path for request in server.requests].count("/api/v1/installation")
    assert asked == (0 if variables else 1)
    sender.close()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("loss", "loss"),
        ("train/acc", "train__acc"),
        ("a\\b//c", "a__b__c"),
        ("a b.c", "a-b-c"),
        ("é@(x),=1", "ex1"),
        ("a - . b", "a-b"),
    ],
)
def test_a_metric_is_named_as_the_platform_names_it(name: str, file: str) -> None:
    """Slashes become underscores, dots and spaces dashes; accents and other characters go."""
    assert metric_file(name) == file


def test_names_stay_short_and_apart() -> None:
    """A long name ends in a hash, and so does one of which nothing is left; slugs are what a run may be called."""
    assert len(metric_file("x" * 250)) == 100
    assert metric_file("x" * 250) != metric_file("x" * 249)
    assert metric_file("损失") != metric_file("精度")
    assert slug("dogs vs. cats") == "dogs-vs-cats"
    assert slug("损失") == ""
    assert run_uuid(RUN) == run_uuid("01234567-89ab-cdef-0123-456789abcdef") == RUN
    assert len(run_uuid("someone.digits.5")) == 32


def test_a_long_run_costs_what_its_time_costs() -> None:
    """Three metrics, ten times a second for a day, are uploaded at 256 KiB a second at most, and hourly at least."""
    pace, now, size, held, uploaded, gap, last = Pace(), 0.0, 0, 0, 0, 0.0, 0.0
    while now < 86_400:
        now += 0.25
        held += 3 * 50 * 10 // 4
        if pace.metrics_due(now, held, size):
            size, held = size + held, 0
            uploaded += size
            gap, last = max(gap, now - last), now
            pace.metrics_sent(now, now, size)
    assert uploaded <= RATE * 86_400 * 1.01
    assert gap < 3600


def test_a_log_of_a_day_is_some_thousand_files() -> None:
    """Chunks come a second apart at first and ten seconds apart in a long run."""
    pace, now, sent = Pace(), 0.0, []
    while now < 86_400:
        now += 0.25
        if pace.chunks_due(now, 100):
            sent.append(now)
            pace.chunks_sent(now, now, 1)
    assert sent[1] - sent[0] < 1.5
    assert sent[-1] - sent[-2] < 10.5
    assert len(sent) < 10_000


def test_a_jobs_token_goes_to_its_own_platform_alone() -> None:
    """In a job the platform's token is for the platform; another host gets LOGHOOK_API_KEY, or none."""
    job = {
        "POLYAXON_RUN_INSTANCE": "acme.mnist.runs.8aac02e3a62a4f0aaa257c59da5eab80",
        "POLYAXON_HOST": "http://polyaxon.example:80",
        "POLYAXON_AUTH_TOKEN": "the-job's",
    }
    own, other = "polyaxon+http://polyaxon.example/acme/mnist", "polyaxon+http://other.example/acme/mnist"
    assert with_tokens(KeySource(environ=job), job, own).get() == "the-job's"
    assert with_tokens(KeySource(environ=job), job, other).get() is None
    both = {**job, "LOGHOOK_API_KEY": "mine"}
    assert with_tokens(KeySource(environ=both), both, other).get() == "mine"
