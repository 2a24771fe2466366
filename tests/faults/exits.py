"""The end of a program while its platform is in trouble: prompt, with its own exit status, and nothing lost."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from loghook.credentials import KeySource
from loghook.destinations import destination
from loghook.sync import sync
from tests.stopwatch import Stopwatch

from .campaign import Campaign, Figures, Row
from .proxy import Proxy
from .pythons import found, siblings
from .serving import Platform
from .troubles import TROUBLES

__all__ = ["ROWS"]

SHUTDOWN = 1.0
ALLOWED = SHUTDOWN + 1.0
AT_ONCE = 3
"""Programs that run at the same time."""
LEAVER = str(Path(__file__).with_name("leaver.py"))
PATIENCE = 120.0


@dataclass(frozen=True)
class Ending:
    """A way to end: its name in leaver.py, the exit status, and the last line on stderr that is not ours."""

    name: str
    status: int = 0
    last: str = ""


ENDINGS = {
    "the program comes to its end": Ending("normal"),
    "an exception ends it": Ending("exception", 1, "ValueError: no"),
    "sys.exit(3)": Ending("exit", 3),
    "SIGTERM": Ending("sigterm", -signal.SIGTERM),
    "daemon threads log on": Ending("threads"),
    "atexit callbacks log": Ending("callbacks"),
    "three experiments beside the run": Ending("many"),
    "a command under `loghook run`": Ending("command", 3),
}


@dataclass(frozen=True)
class Left:
    """How a program went: seconds from the end of its own work until it was gone, and what it had told of."""

    status: int
    seconds: float
    said: str
    run: str
    returned: int
    home: Path

    def wrong(self, ending: Ending) -> str:
        """Return what was not as it should be, "" if nothing."""
        if self.status != ending.status:
            return f"exit status {self.status}, not {ending.status}: {self.said[-500:]}"
        if self.seconds > ALLOWED:
            return f"gone after {self.seconds:.1f} s"
        lines = self.said.splitlines()
        ours = [line for line in lines if line.startswith("loghook: ")]
        waiting = [line for line in ours if "`loghook sync` sends them" in line]
        others = [line for line in lines if line not in ours]
        if len(waiting) != 1 or len(ours) > 2:
            return f"on stderr: {ours}"
        if (others[-1] if others else "") != ending.last:
            return f"on stderr: {others}"
        return ""


def _leave(python: str, ending: Ending, count: int, url: str, key: str, home: Path) -> Left:
    """Run a program to its end."""
    if ending.name == "command":
        return _run_command(python, url, key, home)
    read, write = os.pipe()
    process = subprocess.Popen(
        [python, LEAVER, ending.name, str(count), str(write)],
        env=_environ(url, key, home),
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    watch = Stopwatch(process.pid)
    with os.fdopen(read, encoding="ascii") as pipe, ThreadPoolExecutor(2) as readers:
        told, said = readers.submit(pipe.read), readers.submit(process.communicate, timeout=PATIENCE)
        try:
            error = said.result()[1]
        finally:
            process.kill()
        run, *lines = told.result().splitlines()
    numbers = [int(line) for line in lines if line.isdigit()]
    (ended,) = (float(line.split()[1]) for line in lines if line.startswith("end"))
    return Left(process.returncode, watch.since(ended), error, run, len(numbers), home)


COMMAND = """\
import sys, time
for number in range(100):
    print("record", number)
print("end", time.monotonic(), flush=True)
sys.exit(3)
"""


def _run_command(python: str, url: str, key: str, home: Path) -> Left:
    """Have `loghook run` run a command to its end."""
    environ = {**_environ(url, key, home), "LOGHOOK_RUN_ID": f"command-{home.name}"}
    command = [python, "-m", "loghook", "run", "--", python, "-c", COMMAND]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Stopwatch(process.pid)
    try:
        out, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    ended = float(out.split()[-1])
    return Left(process.returncode, watch.since(ended), said, environ["LOGHOOK_RUN_ID"], 100, home)


def _environ(url: str, key: str, home: Path) -> dict[str, str]:
    ours = {"LOGHOOK_URL": url, "LOGHOOK_API_KEY": key, "LOGHOOK_HOME": str(home)}
    return {**os.environ, **ours, "LOGHOOK_SHUTDOWN_TIMEOUT": str(SHUTDOWN)}


def leave(campaign: Campaign, ending: Ending) -> Figures:
    """Let programs end while their platforms are in trouble; then mend the platforms, and deliver what waits."""
    pythons = [sys.executable, *(found(campaign.folder / "pythons") if campaign.long else siblings())]
    cases = _cases(campaign, pythons)
    with Platform(campaign.folder / "server") as platform, ThreadPoolExecutor(AT_ONCE) as pool:
        proxies = {trouble: Proxy(platform.port) for _, trouble in cases}
        for trouble, proxy in proxies.items():
            proxy.set(TROUBLES[trouble])

        def one(number: int) -> Left:
            python, trouble = cases[number]
            url, home = f"http://127.0.0.1:{proxies[trouble].port}", campaign.folder / f"{number}"
            return _leave(python, ending, campaign.times(500, 10_000), url, platform.key, home)

        lefts = list(pool.map(one, range(len(cases))))
        for proxy in proxies.values():
            proxy.set(None)
        for left in lefts:
            _deliver(left.home, platform.key)
        lost = twice = 0
        for left in lefts:
            missing, repeated = _compare(platform, left, ending)
            lost, twice = lost + missing, twice + repeated
        for proxy in proxies.values():
            proxy.close()
    slowest = max(left.seconds for left in lefts)
    wrong = tuple(
        f"{trouble}, {ending.name}, {python}: {sentence}"
        for (python, trouble), left in zip(cases, lefts, strict=True)
        if (sentence := left.wrong(ending))
    )
    note = f"gone within {slowest:.1f} s, with a timeout of {SHUTDOWN:g} s; {len(set(pythons))} Python(s)"
    return Figures(len(lefts), lost, twice, wrong, note)


def _cases(campaign: Campaign, pythons: list[str]) -> list[tuple[str, str]]:
    """All troubles on all interpreters; in the short form some, another few on each of the other interpreters."""
    every = list(TROUBLES)
    if campaign.long:
        return [(python, trouble) for python in pythons for trouble in every]
    first, *others = pythons
    some = campaign.random.sample(every, 5)
    return [(first, trouble) for trouble in some] + [(other, campaign.random.choice(every)) for other in others]


def _deliver(home: Path, key: str) -> None:
    """Do what `loghook sync` does."""
    keys = KeySource(environ={"LOGHOOK_API_KEY": key})
    sync(home, lambda name, url: destination(url, keys, 10.0), patience=30.0)


def _compare(platform: Platform, left: Left, ending: Ending) -> tuple[int, int]:
    """Return how many records of a program are lost and stored twice; one may be there whose call had not returned."""
    if ending.name == "command":
        lines = [line["message"] for line in platform.api.logs(left.run)]
        printed = [line for line in lines if line.startswith("record ")]
        return 100 - len(set(printed)), len(printed) - len(set(printed))
    return platform.compare([left.run], left.returned)


ROWS = [
    Row(
        "Exit",
        f"{name}, in each of these troubles",
        "gone within the shutdown timeout and a second, its exit status untouched, nothing lost",
        functools.partial(leave, ending=ending),
    )
    for name, ending in ENDINGS.items()
]
