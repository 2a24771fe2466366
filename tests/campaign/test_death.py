"""A record whose log call has returned survives SIGKILL, whenever it strikes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loghook.server import Server
from loghook.spool import writers

from .scripts import API, Script, numbers

SUICIDE = """
import logging, os, signal
import loghook

loghook.install("suicide")
log = logging.getLogger("count")
for number in range(10_000):
    if number % 10:
        log.info("record %d", number)
    else:
        log.info("record %d", number, extra={"metrics": {"number": float(number)}, "step": number})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_record_of_a_script_that_kills_itself_is_shown(home: Path, wait_until: Callable[..., None]) -> None:
    """Of ten thousand records, SIGKILL behind the last call and no server ever up, all are there later."""
    ended = subprocess.run([sys.executable, "-c", SUICIDE], check=False)
    assert ended.returncode == -signal.SIGKILL
    with Server(home, port=0) as server:
        wait_until(lambda: not list(writers(home)), what="taking the spool")
        api = API(server.url, server.key)
        (run,) = api.get("/runs")["runs"]
        assert numbers(api.logs(run["id"])) == list(range(10_000))
        points = api.get(f"/runs/{run['id']}/metrics/number?max_points=0")["points"]
        assert [(step, value) for step, _, value in points] == [(n, float(n)) for n in range(0, 10_000, 10)]


@pytest.mark.parametrize("repetitions", [12, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_sigkill_at_any_moment_loses_no_record_that_was_returned_from(
    home: Path, wait_until: Callable[..., None], repetitions: int
) -> None:
    """Scripts killed at random moments lose none that `logger.info()` had returned from, and none is stored twice."""
    seed = int(os.environ.get("LOGHOOK_SEED") or time.time_ns())
    print(f"LOGHOOK_SEED={seed}")
    chance = random.Random(seed)
    returned: dict[str, int] = {}
    for _ in range(repetitions):
        script = Script("killed", 10**7)
        time.sleep(chance.uniform(0, 0.1))
        script.process.kill()
        returned[script.run] = script.finish()[0]
    with Server(home, port=0) as server:
        wait_until(lambda: not list(writers(home)), timeout=60, what="taking the spools")
        api = API(server.url, server.key)
        for run, count in returned.items():
            stored = numbers(api.logs(run))
            assert stored == list(range(len(stored)))
            assert count <= len(stored) <= count + 1
