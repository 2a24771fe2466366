"""One process sends to loghook and to Polyaxon at once, and one of them is down for a while."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from loghook.testing import Answer, FakeLoghookServer

from ..transports.platforms.generation2 import FakePolyaxon2

RUN = "0123456789abcdef0123456789abcdef"
RECORDS = 2500
DOWN = 60.0
USUAL, LATE = 4.0, 20.0
"""Seconds that the newest record may be old, as a rule and at worst: a busy machine may stand still for some."""

SCRIPT = """
import logging, sys, time
import loghook

logging.basicConfig(level=logging.INFO, stream=open("printed.log", "w"))
loghook.install("two")
log = logging.getLogger("train")
for number in range(RECORDS):
    log.info("%.6f", time.time(), extra={"metrics": {"loss": float(number)}, "step": number})
    time.sleep(0.025)
""".replace("RECORDS", str(RECORDS))


class Watched:
    """What arrived so far, and how old the newest record was each time that somebody looked."""

    def __init__(self, times: Callable[[], list[float]]) -> None:
        self._times = times
        self.ages: list[float] = []

    def look(self) -> None:
        """Note how old the newest record that is there is."""
        times = self._times()
        if times:
            self.ages.append(time.time() - times[-1])


@pytest.fixture
def native() -> Iterator[FakeLoghookServer]:
    """A loghook server."""
    with FakeLoghookServer() as server:
        yield server


@pytest.fixture
def polyaxon() -> Iterator[FakePolyaxon2]:
    """A Polyaxon server that asks for no token."""
    server = FakePolyaxon2(token=None)
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("down", ["loghook", "polyaxon"])
def test_one_that_is_down_makes_the_other_no_later(
    native: FakeLoghookServer, polyaxon: FakePolyaxon2, tmp_path: Path, down: str
) -> None:
    """While one platform is silent the other has each record within seconds; in the end both have everything."""
    native_times = Watched(lambda: [float(event["message"]) for event in native.platform.records()])
    polyaxon_times = Watched(lambda: [float(one["value"].rpartition(" ")[2]) for one in polyaxon.log(RUN)])
    silent, up = (native, polyaxon_times) if down == "loghook" else (polyaxon, native_times)
    respond = silent.respond
    began = time.monotonic()

    def sleeps(request: object) -> object:
        if time.monotonic() - began < DOWN:
            silent.pause(5.0)
            return Answer(503)
        return respond(request)  # type: ignore[arg-type]

    silent.respond = sleeps  # type: ignore[assignment]
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    environ = {
        **os.environ,
        "LOGHOOK_URL": f"{native.url},polyaxon+{polyaxon.url}/default/digits",
        "LOGHOOK_API_KEY": native.key,
        "LOGHOOK_RUN_ID": RUN,
        "LOGHOOK_TIMEOUT": "2",
        "LOGHOOK_SHUTDOWN_TIMEOUT": "60",
    }
    process = subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environ)
    try:
        while process.poll() is None:
            if 2.0 < time.monotonic() - began < DOWN:
                up.look()
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert median(up.ages) < USUAL
    assert max(up.ages) < LATE
    steps = [event["step"] for event in native.platform.records()]
    assert steps == list(range(RECORDS))
    assert polyaxon.points(RUN, "loss") == [(str(number), float(number)) for number in range(RECORDS)]
    assert len(polyaxon.log(RUN)) == RECORDS
    assert not polyaxon.violations
    assert not native.violations
