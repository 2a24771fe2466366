"""No memory left: the kernel kills the program, or its every request for memory is refused."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .campaign import Campaign, Figures, Row
from .counting import WAIT, Counting, Sum, logs, serving, taken
from .death import NO_CORE, compared

__all__ = ["ROWS"]

LIMIT = 160 << 20

JOIN = "open({path!r}, 'w').write('0')\n"
HOG = """
time.sleep({pause})
hog = []
while True:
    hog.append(b"x" * (1 << 24))
"""

SQUEEZE = """
import resource

def squeeze():
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (24 << 20), -1))
    refused = 0
    while any(worker.is_alive() for worker in workers):
        hog, size = [], 1 << 20
        while size > 1024:
            try:
                hog.append(bytearray(size))
            except MemoryError:
                refused += 1
                size //= 2
        time.sleep(0.003)
        del hog
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print("refused", refused)

squeeze()
"""


@contextmanager
def memory_group() -> Iterator[Path | None]:
    """A memory-limited cgroup of our own, of either version; None where none can be made."""
    for root, file in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / f"loghook-faults-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            with contextlib.suppress(OSError):
                (group / file).write_text(str(LIMIT))
                if file == "memory.max":
                    (group / "memory.swap.max").write_text("0")
                yield group
                return
        finally:
            group.rmdir()
    yield None


def killed_for_memory(campaign: Campaign) -> Figures:
    """Let programs take memory until the kernel kills them, while their threads log."""
    programs, wrong = [], []
    with memory_group() as group:
        if group is None:
            return Figures(0, note="no memory-limited cgroup can be made here")
        for number in range(campaign.times(3, 50)):
            program = Counting(
                campaign.folder / f"{number}",
                before=NO_CORE + JOIN.format(path=str(group / "cgroup.procs")),
                after=HOG.format(pause=campaign.random.uniform(0, 0.1)),
            )
            if program.finish() != -signal.SIGKILL:
                wrong.append(f"program {number} of seed {campaign.seed} ended with {program.process.returncode}")
            programs.append(program)
    return compared(campaign, programs, tuple(wrong))


def refused_memory(campaign: Campaign) -> Figures:
    """Refuse a program's requests for memory all the time while its threads log; what can't be taken is counted."""
    total, refused = Sum(), 0
    programs = []
    for number in range(campaign.times(2, 20)):
        program = Counting(campaign.folder / f"{number}", threads=4, total=3000, size=2000, after=SQUEEZE + WAIT)
        if program.finish():
            total.wrong.append(f"program {number} of seed {campaign.seed} ended with {program.process.returncode}")
        programs.append(program)
        said = program.said
        refused += int(said.rpartition("refused ")[2].split()[0]) if "refused " in said else 0
    with serving(campaign.home) as api:
        total.wrong += taken(campaign.home)
        dropped = 0
        for number, program in enumerate(programs):
            counted = sum(api.get(f"/runs/{program.run}")["dropped"].values()) if program.run else 0
            what = f"program {number} of seed {campaign.seed}"
            total.compare(what, program.returned, logs(api, program.run), given_up=counted)
            dropped += counted
    return Figures(
        refused, total.lost, total.twice, tuple(total.wrong), f"{dropped} of {total.records:,} counted as dropped"
    )


ROWS = [
    Row(
        "Death",
        "the kernel kills it for want of memory, 8 threads logging",
        "every record whose call had returned is there, once",
        killed_for_memory,
    ),
    Row(
        "Death",
        "no memory for anybody (`RLIMIT_AS`), 4 threads logging",
        "the program lives on; what could not be taken is counted",
        refused_memory,
    ),
]
