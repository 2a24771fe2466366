"""loghook tensorboard, on files that a real SummaryWriter writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loghook.spool import writers

writer = pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install '.[test]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Command:
    """A running `loghook tensorboard`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "loghook", "tensorboard", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.first = self.process.stderr.readline()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and the rest of stderr."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    """Starts the command; it is killed if a test leaves it running."""
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(*arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def events(home: Path) -> list[dict[str, Any]]:
    """Return all events in the one spool under `home`."""
    found: list[dict[str, Any]] = []
    for spool in writers(home):
        offset = 0
        while body := spool.read(offset, 1 << 20):
            offset += len(body)
            found += [json.loads(line) for line in body.splitlines() if line.strip()]
    return found


def points(home: Path) -> list[tuple[str, int, Any]]:
    """Return (name, step, value) of every point in the spool."""
    return [(name, e["step"], value) for e in events(home) for name, value in e.get("metrics", {}).items()]


def test_scalars_of_all_subfolders_keep_names_steps_and_times(
    home: Path, tmp_path: Path, command: Callable[..., Command], wait_until: Callable[..., None]
) -> None:
    """With --backfill what was there and what comes later, in new files too, is recorded; the run is a success."""
    logs = tmp_path / "runs"
    with writer.SummaryWriter(str(logs)) as first, writer.SummaryWriter(str(logs / "eval")) as second:
        first.add_scalar("loss", 0.5, 1, walltime=1_763_740_000.25)
        first.add_text("note", "no scalar", 1)
        second.add_scalar("acc/top1", 0.9, 7)
        running = command("-n", "followed", "--logdir", str(logs), "--backfill")
        assert "Ctrl-C" in running.first
        # The writers queue on a thread of their own, which no flush waits for.
        wait_until(lambda: (first.flush(), second.flush(), len(points(home)) == 2)[-1], timeout=60)
        first.add_scalar("loss", 0.25, 2)
        first.add_scalar("loss", 0.75, 1)
        with writer.SummaryWriter(str(logs / "later")) as third:
            third.add_scalar("lr", 0.125, 3)
        wait_until(lambda: (first.flush(), len(points(home)) == 5)[-1], timeout=60)
    code, stderr = running.end()
    assert (code, stderr) == (0, "recorded 5 points\n")
    found = points(home)
    assert sorted(found[:2]) == [("eval/acc/top1", 7, pytest.approx(0.9)), ("loss", 1, 0.5)]
    assert sorted(found[2:]) == [("later/lr", 3, 0.125), ("loss", 1, 0.75), ("loss", 2, 0.25)]
    assert next(e["time"] for e in events(home) if "loss" in e.get("metrics", {})) == 1_763_740_000.25
    ended = events(home)[-1]
    assert (ended["event"], ended["status"]) == ("run_ended", "success")


def test_without_backfill_only_what_comes_later_is_recorded(
    home: Path, tmp_path: Path, command: Callable[..., Command], wait_until: Callable[..., None]
) -> None:
    """Points from before the start stay out without --backfill; SIGTERM ends the run as a success as well."""
    logs = tmp_path / "runs"
    with writer.SummaryWriter(str(logs)) as before:
        before.add_scalar("loss", 0.5, 1)
    running = command("--logdir", str(logs))
    with writer.SummaryWriter(str(logs), filename_suffix=".later") as later:
        later.add_scalar("loss", 0.25, 2)
    wait_until(lambda: points(home), timeout=60)
    assert running.end(signal.SIGTERM)[0] == 0
    assert points(home) == [("loss", 2, 0.25)]
    started = next(e for e in events(home) if e.get("event") == "run_started")
    assert (started["run"]["name"], started["run"]["api"]) == ("runs", "cli_tensorboard")


def test_a_damaged_file_is_named_and_hides_no_other(
    home: Path, tmp_path: Path, command: Callable[..., Command], wait_until: Callable[..., None]
) -> None:
    """A file that only looks like an event file is told of in one line, and the others are followed."""
    logs = tmp_path / "runs"
    logs.mkdir()
    (logs / "events.out.tfevents.0").write_bytes(b"no event file at all, but long enough to look at" * 4)
    with writer.SummaryWriter(str(logs)) as summary:
        summary.add_scalar("loss", 0.5, 1)
    running = command("--logdir", str(logs), "--backfill")
    wait_until(lambda: points(home) == [("loss", 1, 0.5)], timeout=60)
    code, stderr = running.end()
    assert code == 0
    assert stderr.count("can't be read on") <= 1
