"""What a run's state is called."""

from __future__ import annotations

import pytest

from loghook.server.status import LOST_AFTER, patience, seen_at, status


@pytest.mark.parametrize(
    ("began", "ended", "ending", "seen", "expected"),
    [
        (0.0, None, None, 100.0, "running"),
        (None, None, None, 100.0, "running"),
        (0.0, None, None, 100.0 - LOST_AFTER, "running"),
        (0.0, None, None, 99.0 - LOST_AFTER, "lost"),
        (None, None, None, 0.0, "lost"),
        (0.0, 50.0, "success", 50.0, "success"),
        (0.0, 50.0, "failure", 100.0, "failure"),
        (None, 50.0, "stopped", 50.0, "stopped"),
        (50.0, 50.0, "success", 50.0, "success"),
        (60.0, 50.0, "failure", 100.0, "running"),
        (60.0, 50.0, "failure", 60.0, "lost"),
    ],
)
def test_table(began: float | None, ended: float | None, ending: str | None, seen: float, expected: str) -> None:
    """The end decides unless the run started again later; else the last sign of life does."""
    assert status(began, ended, ending, seen, 100.0) == expected


def test_slow_heartbeats() -> None:
    """A run from a client with a heartbeat a minute is lost after three of them, and a run of loghook's after 35 s."""
    assert patience("loghook") == LOST_AFTER == 35.0
    assert patience("polyaxon") == 185.0
    assert status(0.0, None, None, 0.0, 180.0, patience("polyaxon")) == "running"
    assert status(0.0, None, None, 0.0, 190.0, patience("polyaxon")) == "lost"


def test_skew() -> None:
    """A sender whose clock is an hour behind is seen now."""
    assert seen_at(time=1_000.0, sent=1_001.0, now=4_601.0) == 4_600.0


def test_future() -> None:
    """An event from the future is seen now."""
    assert seen_at(time=9_000.0, sent=None, now=4_600.0) == 4_600.0


def test_late() -> None:
    """An event that waited three days in a spool was seen three days ago."""
    assert seen_at(time=1_000.0, sent=260_200.0, now=260_200.0) == 1_000.0
