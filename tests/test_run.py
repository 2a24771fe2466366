"""A run: what it says of itself, how it is flushed, counted and closed."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import loghook
from loghook.destinations import destination_id, masked_arguments
from loghook.run import Run
from loghook.settings import resolve
from loghook.testing import Answer, AwkwardServer, FakeLoghookServer

from .scripts import by_writer, events, last_end

KEY = "a-key-for-tests-0001"
Open = Callable[..., Run]


@pytest.fixture
def open_run(home: Path) -> Iterator[Open]:
    """A function that opens a run; all that it opened are closed afterwards."""
    runs: list[Run] = []

    def open_run(
        *, environ: dict[str, str] | None = None, params: dict[str, Any] | None = None, **settings: Any
    ) -> Run:
        settled = resolve({"home": home, "shutdown_timeout": 0.2, "quiet": True, **settings}, {}, warn=print)
        runs.append(Run(settled, params=params, api_key_getter=lambda: KEY, environ={} if environ is None else environ))
        return runs[-1]

    yield open_run
    for run in runs:
        run.close()
        run.spool.close()


@pytest.mark.parametrize("project", ["", "vision"])
def test_a_run_says_which_project_it_is_in(project: str, open_run: Open, home: Path) -> None:
    """The setting `project` is told with the run's start, where it is set."""
    open_run(project=project)
    (started,) = events(home, "run_started")
    assert started["run"].get("project", "") == project


def test_a_projects_name_is_no_place_for_a_secret(open_run: Open, home: Path) -> None:
    """A secret in the project's name is replaced, as it is in the run's own."""
    secret = "ghp_" + "a1B2" * 9
    open_run(project=f"of {secret}")
    (started,) = events(home, "run_started")
    assert secret not in started["run"]["project"]


def test_a_url_of_polyaxon_without_a_project_gets_the_runs(open_run: Open) -> None:
    """Where a URL of Polyaxon names no project the setting is one; whoever delivers the rest later finds it there."""
    urls = "polyaxon2+http://127.0.0.1:9/acme,polyaxon+http://127.0.0.1:9/acme/mine,http://127.0.0.1:9/acme"
    run = open_run(url=urls, project="dogs vs. cats")
    assert list(run.destinations.values()) == [
        "polyaxon2+http://127.0.0.1:9/acme/dogs-vs.-cats",
        *urls.split(",")[1:],
    ]


def test_a_run_says_how_it_started(open_run: Open, home: Path) -> None:
    """The first events are the writer and the run: name, host, pid, arguments, Python, params."""
    run = open_run(name="dogs vs. cats", params={"rate": 0.1})
    first, second = events(home)
    process = {"pid": os.getpid(), "host": socket.gethostname()}
    assert (first["event"], first["writer"]) == ("writer_started", process)
    started = second["run"]
    assert (second["event"], started["name"], started["params"]) == ("run_started", "dogs vs. cats", {"rate": 0.1})
    assert started["argv"] == masked_arguments(sys.argv)
    assert started["python"] == ".".join(map(str, sys.version_info[:3]))
    assert process.items() <= started.items()
    assert list(by_writer(home)) == [(run.id, run.spool.log.writer)]


def test_a_run_hands_its_id_down(open_run: Open) -> None:
    """The environment gets the run's id and owner; a process that finds them joins and owns nothing."""
    environ: dict[str, str] = {}
    run = open_run(environ=environ)
    assert environ == {"LOGHOOK_RUN_ID": run.id, "LOGHOOK_RUN_PARENT": str(os.getpid())}
    other = open_run(environ={"LOGHOOK_RUN_PARENT": "1"}, run_id=run.id)
    assert (run.is_owner, other.is_owner, other.id) == (True, False, run.id)
    other.end("failure")
    assert not [event for event in by_writer(other.settings.home)[other.id, other.spool.log.writer] if "run" in event]


def test_only_rank_0_owns_a_run(open_run: Open, home: Path) -> None:
    """Of the ranks of a launch the first owns the run; each has its rank on what it says of itself."""
    launch = {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "job"}
    runs = [open_run(environ={**launch, "RANK": str(rank)}) for rank in range(2)]
    assert runs[0].id == runs[1].id
    assert [run.is_owner for run in runs] == [True, False]
    assert sorted(event["writer"]["rank"] for event in events(home, "writer_started")) == [0, 1]


def test_no_secret_is_told(open_run: Open, home: Path) -> None:
    """Neither the environment nor the key nor a password in the URL is in any file of the spool or in a repr."""
    os.environ["MY_SECRET_THING"] = "hunter-two"
    run = open_run(url="http://me:pass-word@127.0.0.1:9", params={"a": 1})
    run.close()
    run.spool.close()
    written = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for secret in (b"hunter-two", b"pass-word", KEY.encode()):
        assert secret not in written
    assert "pass-word" not in repr(run) + str(run.stats())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train.py", "--rate=0.1", "data"], ["train.py", "--rate=0.1", "data"]),
        (["--api-key=abc"], ["--api-key=***"]),
        (["--api-key", "abc", "next"], ["--api-key", "***", "next"]),
        (["--password", "--verbose"], ["--password", "--verbose"]),
        (["--TOKEN=a=b"], ["--TOKEN=***"]),
        (["https://me:secret@host/path?q=1"], ["https://host/path?q=1"]),
        (["keyboard.txt"], ["keyboard.txt"]),
    ],
    ids=str,
)
def test_secrets_in_arguments_are_masked(arguments: list[str], told: list[str]) -> None:
    """Values of options that sound secret, and passwords in URLs, are not told."""
    assert masked_arguments(arguments) == told


def test_a_run_ends_once(open_run: Open, home: Path) -> None:
    """The first end counts, with its reason and exception."""
    run = open_run()
    run.end("failure", exception="Traceback ...", reason="it broke")
    run.end("success")
    end = last_end(home) or {}
    assert (end["status"], end["exception"], end["reason"]) == ("failure", "Traceback ...", "it broke")


def test_params_and_metrics_can_be_said_directly(open_run: Open, home: Path) -> None:
    """`param`, `params` and `metric` write events, whatever their values are."""
    run = open_run()
    run.param("rate", 0.1)
    run.params({"layers": [64, 10], "odd": object()})
    run.metric("loss", 0.5, step=3)
    run.metric("loss", float("nan"))
    run.metric("note", "no number")
    assert [list(event["params"]) for event in events(home, "params")] == [["rate"], ["layers", "odd"]]
    first, second, third = events(home, "record")
    assert (first["metrics"], first["step"]) == ({"loss": 0.5}, 3)
    assert second["metrics"] == {"loss": "NaN"}
    assert third["extra"] == {"metrics": {"note": "no number"}}


def test_a_run_shows_that_it_lives(open_run: Open, home: Path, wait_until: Callable[..., None]) -> None:
    """Heartbeats come by themselves, at the interval that was asked for."""
    open_run(heartbeat_interval=0.05, flush_interval=0.02)
    wait_until(lambda: len(events(home, "heartbeat")) >= 3)


def test_a_process_that_owns_no_run_has_no_heartbeat(open_run: Open, home: Path) -> None:
    """Whoever only joined leaves heartbeats to the owner."""
    run = open_run(environ={"LOGHOOK_RUN_PARENT": "1"}, heartbeat_interval=0.0, flush_interval=0.02)
    run.close()
    assert events(home, "heartbeat") == []


def test_odd_metrics_are_named_once(open_run: Open, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no number is named in one warning, however often it is logged."""
    run = open_run(quiet=False, flush_interval=0.02)
    for _ in range(3):
        run.metric("note", "x")
        run.metric("shape", [1, 2])
    run.close()
    said = [line for line in capfd.readouterr().err.splitlines() if "no number" in line]
    assert sum("'note'" in line for line in said) == 1
    assert sum("'shape'" in line for line in said) == 1


def test_without_a_destination_there_is_nothing_to_wait_for(open_run: Open) -> None:
    """Where records stay on this machine, flush is true at once."""
    run = open_run()
    run.metric("loss", 1.0)
    assert run.flush(0) is True


def test_flush_waits_for_delivery(open_run: Open) -> None:
    """After a true flush the platform has everything that was logged before it, and the counters say so."""
    with FakeLoghookServer() as server:
        run = open_run(url=server.url)
        for number in range(1000):
            run.metric("loss", float(number))
        assert run.flush(20) is True
        assert len(server.platform.records()) == 1000
        stats = run.stats()
        row = stats["destinations"][server.url]
        assert (stats["accepted"], row["delivered"], row["pending"], row["refused"]) == (1002, 1002, 0, 0)
        assert row["error"] == ""


def test_flush_gives_up_in_time_and_goes_on(open_run: Open, wait_until: Callable[..., None]) -> None:
    """Flush is false after its timeout, shuts nothing down, and the error is in the counters."""
    up = threading.Event()
    steps = [lambda request, respond: respond(request) if up.is_set() else Answer(503)] * 1000
    with FakeLoghookServer(*steps) as server:
        run = open_run(url=server.url, shutdown_timeout=60, heartbeat_interval=600)
        run.metric("loss", 1.0)
        wait_until(lambda: "503" in run.stats()["destinations"][server.url]["error"])
        started, before = time.monotonic(), len(server.requests)
        assert run.flush(0.3) is False
        took = time.monotonic() - started
        assert 0.3 <= took < 20
        row = run.stats()["destinations"][server.url]
        assert (row["delivered"], row["pending"]) == (0, 3)
        assert "503" in row["error"]
        assert len(server.requests) - before <= 2 + 3 * took  # one for the flush, others when their time has come
        up.set()
        assert run.flush(60) is True
        wait_until(lambda: run.stats()["destinations"][server.url]["error"] == "")


def test_two_destinations_do_not_wait_for_each_other(open_run: Open) -> None:
    """With one of two platforms down the other has everything at once, and the counters tell them apart."""
    with FakeLoghookServer() as server, AwkwardServer(lambda request: Answer(500)) as down:
        run = open_run(url=f"{down.url}, {server.url}")
        for number in range(100):
            run.metric("loss", float(number))
        assert server.platform.wait(lambda: len(server.platform.records()) == 100, 10)
        assert run.flush(0.1) is False
        rows = run.stats()["destinations"]
        assert rows[server.url]["pending"] == 0
        assert rows[down.url]["pending"] == 102


def test_the_counters_add_up(open_run: Open) -> None:
    """accepted = delivered + pending + refused + dropped, for each destination, refused and dropped ones too."""
    with FakeLoghookServer() as server:
        server.platform.refuse = lambda event: "not this one" if event.get("step") == 13 else None
        run = open_run(url=server.url)
        run.spool.log.drops.add("test")
        for number in range(50):
            run.metric("loss", 1.0, step=number)
        run.flush(20)
        stats = run.stats()
        row = stats["destinations"][server.url]
        assert row["refused"] == 1
        assert stats["accepted"] == row["delivered"] + row["pending"] + row["refused"] + sum(stats["dropped"].values())


def test_a_destination_has_a_name_of_its_own() -> None:
    """The name under which offsets are kept depends on host, port and path, not on a password or a last slash."""
    name = destination_id("http://host:7707/x")
    assert name == destination_id("http://me:secret@host:7707/x/")
    assert name != destination_id("http://host:7707/y")
    assert name != destination_id("https://host:7707/x")
    assert name.startswith("host-7707-")


def test_stats_are_empty_without_a_run() -> None:
    """Before install and after uninstall there is nothing to count, and flush has nothing to wait for."""
    assert loghook.stats() == {}
    assert loghook.flush() is True
    loghook.install("run")
    logging.getLogger("train").warning("hi")
    assert loghook.stats()["accepted"] == 3
    loghook.uninstall()
    assert loghook.stats() == {}
