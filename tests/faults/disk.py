"""Bad disks: full, dead, read-only, without inodes; files deleted or cut short under our feet; a clock set back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaign.scripts import API
from tests.conftest import wait

from .campaign import Campaign, Figures, Row
from .counting import WAIT, Counting, Sum, logs, serving

__all__ = ["ROWS"]

STATUS = 3
END = f"{WAIT}sys.exit({STATUS})\n"

DROP_RIGHTS = """
import ctypes
libc = ctypes.CDLL(None)
if hasattr(libc, "capset"):  # root is held to permissions too
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""
LIMIT = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))\n"
BACK = """
def back(shift=86400.0, now=time.time, now_ns=time.time_ns):
    time.time = lambda: now() - shift
    time.time_ns = lambda: now_ns() - int(shift * 1e9)

time.sleep(0.05)
back()
"""

Trouble = Callable[[Counting, Path, random.Random], None]
"""What is done to a program, whose home folder is given, while it logs."""


@contextmanager
def mounted(point: Path, *command: str) -> Iterator[bool]:
    """A file system of our own at a folder; False where none can be mounted."""
    point.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(["mount", *command, str(point)], capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(point)], check=False)


class Victims:
    """Programs that log to a platform while something is done to their disks, and what became of them."""

    def __init__(self, campaign: Campaign, api: API) -> None:
        self.campaign = campaign
        self.api = api
        self.sum = Sum()
        self.tried = 0
        self.dropped: dict[str, int] = {}

    def run(
        self, home: Path, trouble: Trouble | None = None, *, before: str = "", after: str = END, about: int = 0
    ) -> None:
        """Run one program to its end, its status its own; every record has to be on the platform or told as dropped.

        Where files went before their records were counted, so many are told `about`.
        """
        self.tried += 1
        what = f"program {self.tried} of seed {self.campaign.seed}"
        program = Counting(
            self.campaign.folder / f"{self.tried}",
            threads=4,
            total=2000,
            size=400,
            pause=0.001,
            before=before,
            after=after,
            environ={
                "LOGHOOK_HOME": str(home),
                "LOGHOOK_URL": self.api.url,
                "LOGHOOK_API_KEY": self.api.key,
                "LOGHOOK_SHUTDOWN_TIMEOUT": "60",
            },
        )
        wait(lambda: program.has_begun, 60)
        if trouble:
            trouble(program, home, self.campaign.random)
        if program.finish() != STATUS:
            self.sum.wrong.append(f"{what} ended with {program.process.returncode}: {program.said[-300:]}")
        if "Traceback" in program.said:
            self.sum.wrong.append(f"{what} has a traceback on stderr: {program.said[-300:]}")
        dropped = self.told(program.run)
        for reason, count in dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        given_up = sum(dropped.values())
        self.sum.compare(what, program.returned, logs(self.api, program.run), given_up + (about if given_up else 0))
        told = sum(map(len, program.returned)) - given_up
        if told + about < 0:
            self.sum.wrong.append(f"{what} tells of {given_up} dropped records")

    def told(self, run: str) -> dict[str, int]:
        """Return what the platform was told as dropped, by reason; nothing if it never heard of the run."""
        try:
            return dict(self.api.get(f"/runs/{run}")["dropped"]) if run else {}
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise

    def figures(self) -> Figures:
        """Return what it all came to."""
        told = ", ".join(f"{count:,} told as {reason}" for reason, count in self.dropped.items())
        note = f"{self.sum.records:,} records" + (f", {told}" if told else "")
        return Figures(self.tried, self.sum.lost, self.sum.twice, tuple(self.sum.wrong), note)


def on_small_disks(campaign: Campaign, *, options: Callable[[random.Random], str], short: int, long: int) -> Figures:
    """Run programs on small disks in memory."""
    with serving(campaign.folder / "platform") as api:
        victims = Victims(campaign, api)
        for number in range(campaign.times(short, long)):
            point = campaign.folder / f"disk-{number}"
            with mounted(point, "-t", "tmpfs", "-o", options(campaign.random), "loghook-faults") as done:
                if not done:
                    return Figures(0, note="nothing can be mounted here")
                victims.run(point / "home", freed if number % 2 else None)
    return victims.figures()


def freed(program: Counting, home: Path, chance: random.Random) -> None:
    """Fill what is left of the disk, and free it again a little later."""
    ballast = home.parent / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with contextlib.suppress(FileNotFoundError):
        wait(lambda: program.process.poll() is not None, chance.uniform(0, 1))
        ballast.unlink()


def with_limit(campaign: Campaign) -> Figures:
    """Run programs none of whose files may grow beyond some size."""
    with serving(campaign.folder / "platform") as api:
        victims = Victims(campaign, api)
        for number in range(campaign.times(3, 100)):
            limit = campaign.random.choice([0, 31, 4096, 65_535, 65_536, 200_000, campaign.random.randrange(300_000)])
            victims.run(campaign.folder / f"home-{number}", before=LIMIT.format(limit))
    return victims.figures()


def with_trouble(
    campaign: Campaign, *, trouble: Trouble, before: str = "", about: int = 0, short: int, long: int
) -> Figures:
    """Run programs, and do something to their home folders."""
    with serving(campaign.folder / "platform") as api:
        victims = Victims(campaign, api)
        for number in range(campaign.times(short, long)):
            victims.run(campaign.folder / f"home-{number}", trouble, before=before, about=about)
    return victims.figures()


def found(home: Path, pattern: str) -> list[Path]:
    """Return the paths below a home folder that match; what goes meanwhile is left out."""
    paths: list[Path] = []
    with contextlib.suppress(FileNotFoundError):
        for path in home.rglob(pattern):
            paths.append(path)
    return paths


def read_only(program: Counting, home: Path, chance: random.Random) -> None:
    """Take the right to write away from every folder, for a while or for good."""
    folders = [home, *(path for path in found(home, "*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    if chance.random() < 0.5:
        wait(lambda: program.process.poll() is not None, chance.uniform(0, 1))
        for folder in folders:
            folder.chmod(0o700)


def deleted(program: Counting, home: Path, chance: random.Random) -> None:
    """Delete the home folder, again and again."""
    while program.process.poll() is None:
        shutil.rmtree(home, ignore_errors=True)
        wait(lambda: program.process.poll() is not None, chance.uniform(0.5, 2))


def cut_short(program: Counting, home: Path, chance: random.Random) -> None:
    """Cut segments short, again and again, as `> FILE` or a log rotation that copies and truncates would."""
    wait(lambda: program.process.poll() is not None, 0.2)
    while program.process.poll() is None:
        for path in found(home, "*.seg"):
            with contextlib.suppress(OSError):
                os.truncate(path, chance.choice([0, 31, 4096, chance.randrange(path.stat().st_size + 1)]))
        wait(lambda: program.process.poll() is not None, chance.uniform(0.5, 2))


def set_back(campaign: Campaign) -> Figures:
    """Set the programs' clocks back by a day while they log."""
    with serving(campaign.folder / "platform") as api:
        victims = Victims(campaign, api)
        for number in range(campaign.times(1, 30)):
            victims.run(campaign.folder / f"home-{number}", after=BACK + END)
    return victims.figures()


def dying(campaign: Campaign) -> Figures:
    """Let the file system fail midway, as one on a disk that died: every read and write is an error from then on."""
    with serving(campaign.folder / "platform") as api:
        victims = Victims(campaign, api)
        for number in range(campaign.times(1, 30)):
            image, point = campaign.folder / f"image-{number}", campaign.folder / f"disk-{number}"
            image.touch()
            os.truncate(image, 16 << 20)
            made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True, check=False)
            with mounted(point, "-o", "loop", str(image)) as done:
                if made.returncode or not done:
                    return Figures(0, note="no file system can be made here")
                victims.run(point / "home", shut_down)
    return victims.figures()


def shut_down(program: Counting, home: Path, chance: random.Random) -> None:
    """Have ext4 stop at once."""
    wait(lambda: program.process.poll() is not None, chance.uniform(0, 0.3))
    stop = 0x8004587D  # EXT4_IOC_SHUTDOWN
    with contextlib.suppress(OSError):
        fd = os.open(home, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, stop, struct.pack("I", 2))
        finally:
            os.close(fd)


LIVES_ON = "the program runs on, its exit status its own; what nobody could hold is counted and told"

ROWS = [
    Row(
        "Disk",
        "a disk that is full at any moment, freed again or not",
        LIVES_ON,
        lambda campaign: on_small_disks(
            campaign, options=lambda chance: f"size={chance.randrange(50_000, 2_000_000)}", short=3, long=100
        ),
    ),
    Row(
        "Disk",
        "a disk without inodes",
        "the same",
        lambda campaign: on_small_disks(
            campaign, options=lambda chance: f"size=16m,nr_inodes={chance.randrange(2, 20)}", short=2, long=60
        ),
    ),
    Row("Disk", "no file may grow beyond some size (`RLIMIT_FSIZE`)", "the same", with_limit),
    Row(
        "Disk",
        "the home folder becomes read-only",
        "the same",
        lambda campaign: with_trouble(campaign, trouble=read_only, before=DROP_RIGHTS, short=2, long=60),
    ),
    Row(
        "Disk",
        "the home folder is deleted, again and again",
        "the same",
        lambda campaign: with_trouble(campaign, trouble=deleted, about=250, short=2, long=60),
    ),
    Row(
        "Disk",
        "somebody else cuts the mapped files short, again and again",
        "the same: no SIGBUS",
        lambda campaign: with_trouble(campaign, trouble=cut_short, about=250, short=3, long=100),
    ),
    Row("Disk", "the file system fails midway: every access is an error", "the same: no SIGBUS", dying),
    Row("Disk", "the clock goes back by a day", "the same", set_back),
]
