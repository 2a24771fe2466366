"""Death of the process at any moment: what had been logged is there, once."""

from __future__ import annotations

import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from loghook.spool import writers

from .campaign import Campaign, Figures, Row
from .counting import WAIT, Counting, Sum, logs, serving, taken, until

__all__ = ["ROWS"]

NO_CORE = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
"""A core dump takes long, and disk."""


def sigkill(campaign: Campaign, *, short: int, long: int, threads: int, size: int) -> Figures:
    """Kill programs at random moments, some before their first record."""
    programs = []
    for number in range(campaign.times(short, long)):
        program = Counting(campaign.folder / f"{number}", threads=threads, size=size)
        if number % 5:
            until(program.process, lambda program=program: program.has_begun)
            time.sleep(campaign.random.uniform(0, 0.04))
        else:
            time.sleep(campaign.random.uniform(0, 0.5))
        program.kill()
        programs.append(program)
        if number % 100 == 99:
            campaign.say(f"{number + 1} killed")
    return compared(campaign, programs)


def compared(campaign: Campaign, programs: list[Counting], wrong: tuple[str, ...] = ()) -> Figures:
    """Have a server take what dead programs left, and compare."""
    total = Sum(wrong=list(wrong))
    with serving(campaign.home) as api:
        total.wrong += taken(campaign.home)
        for number, program in enumerate(programs):
            what = f"program {number} of seed {campaign.seed}"
            total.compare(what, program.returned, logs(api, program.run))
    return Figures(len(programs), total.lost, total.twice, tuple(total.wrong), f"{total.records:,} records")


def own_end(campaign: Campaign) -> Figures:
    """Let programs end themselves with `os._exit` and `abort`, while their threads log."""
    programs, wrong = [], []
    for number in range(campaign.times(6, 100)):
        how, status = (("os._exit(3)", 3), ("os.abort()", -signal.SIGABRT))[number % 2]
        pause = campaign.random.uniform(0, 0.05)
        program = Counting(campaign.folder / f"{number}", before=NO_CORE, after=f"time.sleep({pause})\n{how}\n")
        if program.finish() != status:
            wrong.append(f"{how} ended program {number} of seed {campaign.seed} with {program.process.returncode}")
        programs.append(program)
    return compared(campaign, programs, tuple(wrong))


CLAIM = """
import sys
from pathlib import Path
from loghook.listener import claim
from loghook.spool import run_writers
[spool] = run_writers(Path(sys.argv[1]), sys.argv[2])
print("go", flush=True)
assert claim(spool)
"""


def in_repair(campaign: Campaign) -> Figures:
    """Tear lines of a dead program's log, and kill who mends it, at random moments; somebody mends it in the end."""
    program = Counting(campaign.folder / "program", threads=1, total=3000, size=2000, after=f"{WAIT}os._exit(0)\n")
    program.finish()
    [spool] = writers(campaign.home)
    torn = tear(sorted(spool.directory.glob("*.seg")), campaign.random, 500)
    times = campaign.times(12, 200)
    runs = [spool.run, *(f"{spool.run}-{number}" for number in range(1, times))]
    for run in runs[1:]:
        shutil.copytree(spool.directory, spool.directory.parent.with_name(run) / spool.writer)
    killed = 0
    for run in runs:
        for _ in range(2):
            with subprocess.Popen([sys.executable, "-c", CLAIM, campaign.home, run], stdout=subprocess.PIPE) as mender:
                assert mender.stdout is not None
                assert mender.stdout.readline()
                time.sleep(campaign.random.uniform(0, 0.04))
                mender.kill()
            killed += mender.returncode == -signal.SIGKILL
    total = Sum()
    with serving(campaign.home) as api:
        total.wrong += taken(campaign.home)
        for run in runs:
            lines = logs(api, run)
            total.compare(f"run {run} of seed {campaign.seed}", program.returned, lines, given_up=torn)
            if len(lines) != 3000 - torn:
                total.wrong.append(f"run {run} of seed {campaign.seed} has {len(lines)} records of {3000 - torn}")
    return Figures(killed, total.lost, total.twice, tuple(total.wrong), f"{torn} torn lines in each")


def tear(files: list[Path], chance: random.Random, count: int) -> int:
    """Put a zero byte into records, `count` at most, none of them the first; return how many were torn."""
    torn = 0
    for path in files:
        data = path.read_bytes()
        starts = [found.start() for found in re.finditer(rb'\n\{"time"[^\n]*"count"[^\n]*', data)]
        with path.open("r+b") as file:
            for start in chance.sample(starts, max(0, min(count // len(files), len(starts) - 1))):
                file.seek(start + chance.randrange(1, data.index(b"\n", start + 1) - start))
                file.write(b"\0")
                torn += 1
    return torn


def in_acknowledge(campaign: Campaign) -> Figures:
    """Kill programs that acknowledge small batches all the time; `loghook sync` sends the rest."""
    programs, platform = [], campaign.folder / "platform"
    total = Sum()
    with serving(platform) as api:
        environ = {"LOGHOOK_URL": api.url, "LOGHOOK_API_KEY": api.key}
        quick = {"LOGHOOK_BATCH_SIZE": "2000", "LOGHOOK_FLUSH_INTERVAL": "0.02"}
        for number in range(campaign.times(10, 200)):
            program = Counting(campaign.folder / f"{number}", threads=2, environ={**environ, **quick})
            until(program.process, lambda program=program: program.has_begun)
            time.sleep(campaign.random.uniform(0, 0.3))
            program.kill()
            programs.append(program)
        command = [sys.executable, "-m", "loghook", "sync"]
        synced = subprocess.run(command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, check=False)
        if synced.returncode:
            total.wrong.append(f"loghook sync ended with {synced.returncode}")
        for number, program in enumerate(programs):
            total.compare(f"program {number} of seed {campaign.seed}", program.returned, logs(api, program.run))
    total.wrong += [f"{spool.directory} is still there" for spool in writers(campaign.home)]
    return Figures(len(programs), total.lost, total.twice, tuple(total.wrong), f"{total.records:,} records")


ROWS = [
    Row(
        "Death",
        "SIGKILL at a random moment, 8 threads logging",
        "every record whose call had returned is there, once",
        functools.partial(sigkill, short=40, long=1000, threads=8, size=200),
    ),
    Row(
        "Death",
        "SIGKILL while 8 threads roll over to the next segment all the time",
        "the same",
        functools.partial(sigkill, short=12, long=200, threads=8, size=16000),
    ),
    Row("Death", "SIGKILL of who mends a torn log, twice in a row", "the torn lines alone are missing", in_repair),
    Row(
        "Death",
        "SIGKILL while batches are acknowledged",
        "`loghook sync` sends the rest, nothing twice",
        in_acknowledge,
    ),
    Row(
        "Death", "`os._exit` and `abort`, 8 threads logging", "every record is there, once; the status is kept", own_end
    ),
]
