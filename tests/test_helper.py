"""`send_metrics`, and what a Polyaxon job needs no setting for."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import loghook
from loghook import spool

UUID = "8aac02e3a62a4f0aaa257c59da5eab80"


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    """Take back what a test installed."""
    yield
    loghook.uninstall()


def events(home: Path) -> list[dict[str, Any]]:
    """All events in the spools under a home."""
    found = []
    for one in spool.writers(home):
        found += [json.loads(line) for line in one.read(0, 1 << 20).splitlines() if line.strip()]
    return found


def test_metrics_are_a_record_like_any_other(home: Path) -> None:
    """Before anything is installed, `send_metrics` installs what the environment says and records one event."""
    loghook.send_metrics(accuracy=0.9, precision=0.95, step=3)
    (event,) = [event for event in events(home) if "metrics" in event]
    assert event["metrics"] == {"accuracy": 0.9, "precision": 0.95}
    assert event["step"] == 3


def test_metrics_of_any_kind_raise_nothing(home: Path) -> None:
    """What is no number is kept beside the others; nothing is raised."""
    loghook.send_metrics(loss=float("nan"), nested={"a": 1}, odd=object(), step=None)
    (event,) = [event for event in events(home) if "metrics" in event]
    assert event["metrics"] == {"loss": "NaN", "nested/a": 1}
    assert "odd" in event["extra"]["metrics"]


def test_no_level_keeps_metrics_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The level governs records, not metrics."""
    monkeypatch.setenv("POLYAXON_LOG_LEVEL", "ERROR")
    loghook.send_metrics(loss=0.5)
    assert [event["metrics"] for event in events(home) if "metrics" in event] == [{"loss": 0.5}]


def test_declarations_are_params(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's declarations are the run's params by themselves; those of `install` win."""
    monkeypatch.setenv("POLYAXON_PARAMS", '{"lr": 0.1, "layers": 2}')
    loghook.install("run", params={"lr": 0.2})
    (started,) = [event["run"] for event in events(home) if event.get("event") == "run_started"]
    assert started["params"] == {"lr": 0.2, "layers": 2}


def test_a_job_needs_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run of 2.x the run is that one, and its platform the destination; a URL that is set wins."""
    monkeypatch.setenv("POLYAXON_RUN_INSTANCE", f"acme.mnist.runs.{UUID}")
    monkeypatch.setenv("POLYAXON_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("POLYAXON_IS_OFFLINE", "true")
    run = loghook.install()
    assert run.id == UUID
    assert list(run.destinations.values()) == ["polyaxon+http://127.0.0.1:9/acme/mnist"]
    loghook.uninstall()
    monkeypatch.setenv("LOGHOOK_URL", "http://127.0.0.1:9")
    assert list(loghook.install().destinations.values()) == ["http://127.0.0.1:9"]


def test_a_second_run_in_a_job_is_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first run of a process is the job's."""
    monkeypatch.setenv("POLYAXON_RUN_INSTANCE", f"acme.mnist.runs.{UUID}")
    monkeypatch.setenv("POLYAXON_IS_OFFLINE", "1")
    assert loghook.install("one").id == UUID
    handler = loghook.LogHookHandler("two")
    assert handler.run.id != UUID
    handler.close()
    loghook.session.close(handler.run)


def test_offline_everything_waits_in_the_spool(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With POLYAXON_IS_OFFLINE no connection is made: events wait, `flush` says so at once, and the end is prompt."""
    monkeypatch.setenv("LOGHOOK_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LOGHOOK_QUIET", "1")
    monkeypatch.setenv("POLYAXON_IS_OFFLINE", "true")
    run = loghook.install("run")
    loghook.send_metrics(loss=0.5)
    began = time.monotonic()
    assert not run.listeners
    assert not loghook.flush(30)
    loghook.uninstall()
    assert time.monotonic() - began < 5
    assert any("metrics" in event for event in events(home))


def test_no_op_records_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With POLYAXON_NO_OP nothing is written and nothing sent; all calls do as ever."""
    monkeypatch.setenv("POLYAXON_NO_OP", "1")
    monkeypatch.setenv("LOGHOOK_URL", "http://127.0.0.1:9")
    run = loghook.install("run")
    loghook.send_metrics(loss=0.5)
    run.param("lr", 0.1)
    run.metric("loss", 0.5, step=1)
    assert loghook.flush(30)
    assert loghook.stats()["accepted"] == 0
    loghook.uninstall()
    assert not home.exists() or not os.listdir(home)


@pytest.mark.parametrize(
    ("level", "sent"),
    [
        ("WARNING", ["warning", "error"]),
        ("warning", ["warning", "error"]),
        ('"warning"', ["warning", "error"]),
        ("30", ["warning", "error"]),
        ("ERROR", ["error"]),
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("", ["info", "warning", "error"]),
    ],
)
def test_the_polyaxonfiles_level_governs_what_is_sent(
    home: Path, monkeypatch: pytest.MonkeyPatch, level: str, sent: list[str]
) -> None:
    """Records below POLYAXON_LOG_LEVEL, in any of its spellings, are left out, and those at it or above are sent."""
    monkeypatch.setenv("POLYAXON_LOG_LEVEL", level)
    loghook.install("run")
    log = logging.getLogger("test_helper")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)(name)
    assert [event["message"] for event in events(home) if event.get("logger") == "test_helper"] == sent
