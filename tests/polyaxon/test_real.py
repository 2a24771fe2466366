"""A run on the real server: every point and every line is there once, whatever was killed meanwhile."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loghook import spool

from .conftest import Haupt, RunOnServer

pytestmark = [pytest.mark.polyaxon, pytest.mark.timeout(400)]

STEPS, LINES = 2000, 5000
RUN = "0123456789abcdef0123456789abcdef"

TRAIN = """
import logging, math, sys, time
import loghook

pause = float(sys.argv[1])
logging.basicConfig(level=logging.INFO, stream=open("printed.log", "w"))
loghook.install("dogs vs. cats", params={"lr": 0.1, "layers": [64, 10], "odd": float("nan")})
log = logging.getLogger("train")
line = 0
for step in range(STEPS):
    odd = float("nan") if step % 100 == 7 else float(step)
    metrics = {"loss": 1 / (step + 1), "val": {"acc": math.sin(step)}, "a b.c": odd}
    log.info("", extra={"metrics": metrics, "step": step})
    while line * STEPS < (step + 1) * LINES:
        log.info("line %05d", line)
        line += 1
    if pause:
        time.sleep(pause)
    if step == int(sys.argv[2]):
        open("waiting", "w").close()
        sys.stdin.readline()
raise ValueError("boom")
""".replace("STEPS", str(STEPS)).replace("LINES", str(LINES))


class Training:
    """A script that logs, in a process of its own."""

    def __init__(self, folder: Path, server: Haupt, pause: float = 0.0, wait_at: int = -1) -> None:
        self.home = folder / "home"
        self.waiting = folder / "waiting"
        script = folder / "train.py"
        script.write_text(TRAIN)
        environ = {
            **os.environ,
            "LOGHOOK_HOME": str(self.home),
            "LOGHOOK_URL": f"polyaxon+{server.url}/default/demo",
            "LOGHOOK_RUN_ID": RUN,
            "LOGHOOK_SHUTDOWN_TIMEOUT": "120",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(pause), str(wait_at)],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self) -> str:
        """Let it go on to its end, and return what it said."""
        said, _ = self.process.communicate("\n", timeout=300)
        return said


def assert_complete(run: RunOnServer) -> None:
    """Every point, every line, the params and the failure are there, each once and in order."""
    steps = range(STEPS)
    assert run.points("loss") == [(step, 1 / (step + 1)) for step in steps]
    assert run.points("val__acc") == [(step, math.sin(step)) for step in steps]
    assert run.points("a-b-c") == [(step, None if step % 100 == 7 else float(step)) for step in steps]
    log = run.log()
    stamps = [line["timestamp"] for line in log]
    assert all(earlier < later for earlier, later in pairwise(stamps))
    values = [line["value"] for line in log]
    assert values[:-1] == [f"INFO train -- line {number:05d}" for number in range(LINES)]
    assert values[-1].startswith("CRITICAL uncaught -- uncaught ValueError: boom\nTraceback")
    assert_described(run)


def assert_described(run: RunOnServer) -> None:
    """Name, params, last values, summaries and statuses are there."""
    record = run.record()
    assert (record["name"], record["description"]) == ("dogs-vs-cats", "dogs vs. cats")
    assert record["inputs"] == {"lr": 0.1, "layers": [64, 10], "odd": None}
    assert record["outputs"] == {"loss": 1 / STEPS, "val__acc": math.sin(STEPS - 1), "a-b-c": float(STEPS - 1)}
    assert record["status"] == "failed"
    assert record["duration"] is not None
    statuses = run.statuses()
    assert [kind for kind, _ in statuses] == ["running", "failed"]
    assert statuses[-1][1].startswith("ValueError: boom\nTraceback (most recent call last):\n")
    summary = run.summaries()["loss"]
    assert summary["step"] == {"count": STEPS, "min": 0, "max": STEPS - 1}
    assert (summary["metric"]["max"], summary["metric"]["last"]) == (1.0, 1 / STEPS)


def test_a_run_arrives_point_by_point(haupt: Haupt, tmp_path: Path) -> None:
    """Three metrics of 2,000 steps, 5,000 lines, params and a failure with its traceback are read back exactly."""
    assert "ValueError: boom" in Training(tmp_path, haupt).ended()
    assert_complete(haupt.run("demo", RUN))


def test_nothing_is_missing_or_twice_after_the_server_was_killed_twice(
    haupt: Haupt, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """The server is killed twice while a run goes on, and the run is as if nothing had been."""
    # It waits before its end: while nobody is there to take its events a process ends without them.
    training = Training(tmp_path, haupt, pause=0.004, wait_at=STEPS - 1)
    run = haupt.run("demo", RUN)
    wait_until(lambda: lines_of(run) > 100, 60, "the first lines")
    haupt.kill()
    wait_until(lambda: backlog(training) > 50_000, 60, "what waits in the spool")
    haupt.start()
    seen = lines_of(run)
    wait_until(lambda: lines_of(run) > seen, 60, "more lines")
    haupt.kill()
    haupt.start()
    said = training.ended()
    assert "wait in the spool" in said
    assert_complete(run)


def test_nothing_is_missing_or_twice_after_the_run_was_killed(
    haupt: Haupt, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """What a killed process left is delivered by `loghook sync` and joins what was there without a seam."""
    training = Training(tmp_path, haupt, pause=0.002, wait_at=900)
    wait_until(training.waiting.exists, 120, "the script's wait")
    training.process.send_signal(signal.SIGKILL)
    training.process.communicate()
    environ = {**os.environ, "LOGHOOK_HOME": str(training.home)}
    subprocess.run([sys.executable, "-m", "loghook", "sync"], env=environ, check=True, timeout=120)
    run = haupt.run("demo", RUN)
    assert run.points("loss") == [(step, 1 / (step + 1)) for step in range(901)]
    assert [line["value"] for line in run.log()] == [
        f"INFO train -- line {number:05d}" for number in range(math.ceil(901 * LINES / STEPS))
    ]


def test_its_own_page_shows_the_run(haupt: Haupt, tmp_path: Path, artifacts: Path) -> None:
    """The page that the server brings along has the charts and the log of a run; a picture is kept."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: run `pip install '.[test]'`")
    from ..browser.conftest import CHROMIUM_ARGUMENTS, chromium_path

    Training(tmp_path, haupt, pause=0.006).ended()  # its charts show about a point a second
    address = f"{haupt.url}/ui/default/demo/runs/{RUN}"
    with sync_api.sync_playwright() as playwright:
        path = chromium_path(playwright)
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        page: Any = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(f"{address}/logs")
        page.get_by_text("INFO train -- line 04999").first.wait_for()
        page.goto(f"{address}/dashboards")
        for name in ("loss", "val__acc", "a-b-c"):
            page.get_by_text(name, exact=True).first.wait_for()
        page.locator("svg path, canvas").nth(3).wait_for()
        page.screenshot(path=artifacts / "polyaxon.png")
        browser.close()


def lines_of(run: RunOnServer) -> int:
    """How many lines the log has so far; 0 while there is none."""
    try:
        return len(run.log())
    except OSError:
        return 0


def backlog(training: Training) -> int:
    """How many bytes wait in the spool."""
    return sum(one.end() - one.acknowledged(name) for one in spool.writers(training.home) for name in one.destinations)
