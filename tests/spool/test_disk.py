"""Bad disks: full, read-only, not a folder, deleted under our feet; and file systems where a map is not safe."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loghook.spool import Limits, Log, Spool, repair, writers
from loghook.spool.layout import filesystem, is_unsafe
from loghook.spool.segment import MappedSegment

from .tools import META, SMALL, after_crash, claimed, in_child, line, no_growth, numbers, only, open_log, read_all

BOTH = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "memory"])


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the seconds that have passed."""
        return self.now


@BOTH
def test_a_full_disk_is_no_error_and_no_end(home: Path, tmp_path: Path, mapped: bool) -> None:
    """While the disk is full lines go to memory and can be read; once there is room they are on disk, in order."""
    clock = Clock()
    log = open_log(home, mapped=mapped, clock=clock)
    for number in range(50):
        assert log.put(line(number, 100))
    log.settle()
    with no_growth():
        for number in range(50, 500):
            assert log.put(line(number, 100))
            if number % 100 == 0:
                clock.now += 6
                log.reserve()
                log.settle()
                log.tidy(["a"])
    assert log.trouble
    assert numbers(read_all(log)) == list(range(500))
    before = numbers(read_all(only(home)))
    assert before == list(range(len(before)))
    clock.now += 6
    log.settle()
    assert numbers(read_all(only(home))) == list(range(500))
    for number in range(500, 600):
        assert log.put(line(number, 100))
    if mapped:
        assert isinstance(log._segment, MappedSegment)
        dead = after_crash(home, tmp_path / "dead")
        assert numbers(read_all(dead)) == list(range(600))
    log.settle()
    assert numbers(read_all(only(home))) == list(range(600))
    log.close()


def test_what_goes_with_the_process_is_dropped_and_counted(home: Path) -> None:
    """What a full disk took half of, and what it took nothing of, is dropped in the end, but for what it has."""
    log = open_log(home, mapped=False, clock=Clock())
    for number in range(100):
        assert log.put(line(number, 100))
    log.acks.move("a", 1000, events=10)
    log.tidy(["a", "b"])
    with no_growth(5000):
        log.settle()
        lost = log.give_up()
        assert log.put(line(100, 100))
    there = numbers(read_all(only(home)))
    assert there == list(range(len(there)))
    assert 40 < len(there) < 60
    assert lost == {"a": 100 - len(there), "b": 100 - len(there)}
    assert log.drops.counts() == {"disk": 100 - len(there)}
    assert log.accepted == len(there) + 1
    assert log.in_memory == 1
    assert log.give_up() == {"a": 1, "b": 1}
    assert log.give_up() == {"a": 0, "b": 0}
    assert log.drops.counts() == {"disk": 101 - len(there)}
    assert log.accepted == len(there)
    log.close()


def test_what_a_destination_has_is_not_lost_with_the_process(home: Path) -> None:
    """Of what lies in memory alone each destination goes without what it does not have yet."""
    with no_growth():
        log = open_log(home, clock=Clock())
        for number in range(100):
            assert log.put(line(number, 100))
        log.acks.move("a", 10_000, events=100)
        log.acks.move("b", 6_000, events=60)
        log.tidy(["a", "b"])
        assert log.give_up() == {"a": 0, "b": 40}
        assert log.drops.counts() == {"disk": 40}
        assert log.accepted == 60
        log.close()


def test_a_write_that_stops_half_way_is_done_again_in_place(home: Path, tmp_path: Path) -> None:
    """Where the disk fills up in the middle of a write the same bytes are written again, and no reader sees others."""
    clock = Clock()
    log = open_log(home, Limits(1 << 20, 1 << 19, 1 << 16), mapped=False, clock=clock)
    for number in range(300):
        assert log.put(line(number, 100))
    for size in (0, 10, 32, 1000, 5000, 12_345):
        with no_growth(size):
            log.settle()
        clock.now += 6
        seen = numbers(read_all(only(home)))
        assert seen == list(range(len(seen)))
        assert numbers(read_all(log)) == list(range(300))
        copy = tmp_path / f"{size}"
        shutil.copytree(home, copy)
        repair(only(copy).directory)
        mended = numbers(read_all(only(copy)))
        assert mended == list(range(len(mended)))
    log.settle()
    assert numbers(read_all(only(home))) == list(range(300))
    log.close()


def test_no_room_for_the_first_segment(home: Path) -> None:
    """A log that begins on a full disk begins in memory, and nothing on disk looks as if its beginning were gone."""
    clock = Clock()
    with no_growth(200):
        log = open_log(home, clock=clock)
        assert log.directory
        for number in range(100):
            assert log.put(line(number, 100))
    assert numbers(read_all(log)) == list(range(100))
    assert (log.first, only(home).first) == (0, 0)
    clock.now += 6
    with no_growth(100):
        log.settle()
        assert only(home).first == 0
        assert numbers(read_all(log)) == list(range(100))
    clock.now += 6
    log.settle()
    assert only(home).first == 0
    assert numbers(read_all(only(home))) == list(range(100))
    log.close()


def test_the_memory_is_bounded_and_every_drop_counted(home: Path) -> None:
    """In memory as on disk plain lines are dropped first, metrics last, each counted, until there is room."""
    clock = Clock()
    log = open_log(home, Limits(1 << 20, 1 << 15, 4096), mapped=False, clock=clock)
    taken = {True: 0, False: 0}
    with no_growth():
        for number in range(400):
            taken[False] += log.put(line(number, 100))
        assert not log.put(line(0, 100))
        assert log.full
        for number in range(400):
            taken[True] += log.put(line(number, 100, precious=True))
    assert (1 << 15) - (1 << 11) - 4096 < 100 * taken[False] <= (1 << 15) - (1 << 11)
    assert (1 << 15) - 4096 < 100 * sum(taken.values()) <= 1 << 15
    assert log.drops.counts() == {"memory": 801 - sum(taken.values())}
    assert log.accepted == sum(taken.values())
    clock.now += 6
    log.settle()
    assert log.put(line(1, 100))
    assert len(numbers(read_all(log))) == sum(taken.values()) + 1
    log.close()


def test_a_home_that_is_a_file(home: Path) -> None:
    """Where no folder can be made lines wait in memory, can be read and acknowledged, and `trouble` says why."""
    home.write_text("not a folder")
    for place in (home, home / "below", Path("/proc/loghook"), Path("/dev/null/home")):
        log = Log(place, "run", META, SMALL)
        assert log.directory is None
        assert log.trouble
        for number in range(500):
            assert log.put(line(number, 100))
        log.reserve()
        log.settle()
        assert numbers(read_all(log)) == list(range(500))
        log.acks.move("a", 30_000, events=300)
        log.tidy(["a"])
        log.settle()
        assert log.acks.get("a") == (30_000, 300, 0)
        assert 0 < log.first <= 30_000
        assert numbers(read_all(log, 30_000)) == list(range(300, 500))
        assert log.accepted == 500
        log.close()


def test_a_read_only_home(tmp_path: Path) -> None:
    """A home that is mounted read-only costs no line and no exception."""
    with Mounted(tmp_path / "disk", "size=8m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        log = open_log(disk / "home")
        assert log.directory is None
        assert "ead-only" in log.trouble
        for number in range(300):
            assert log.put(line(number, 100))
            log.settle()
        log.acks.move("a", 5000, events=50)
        assert log.acks.get("a") == (5000, 50, 0)
        assert numbers(read_all(log)) == list(range(300))
        log.close()


def test_an_acknowledgement_that_cannot_be_written(home: Path) -> None:
    """An acknowledgement that fails to reach the disk holds in this process, and reaches it with a later one."""
    log = open_log(home)
    log.acks.move("a", 100, events=1)
    with no_growth():
        log.acks.move("a", 200, events=1)
        assert log.acks.get("a") == (200, 2, 0)
        log.acks.move("a", 300, events=1)
        assert log.acks.get("a") == (300, 3, 0)
        assert only(home).acknowledged("a") == 100
    log.acks.move("a", 400, events=1)
    assert only(home).acks.get("a") == log.acks.get("a") == (400, 4, 0)
    log.close()


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """On a real file system that fills up and is freed again, nothing raises, and every line is there in order."""
    with Mounted(tmp_path / "disk", "size=1m") as disk:
        clock = Clock()
        log = open_log(disk / "home", Limits(1 << 24, 1 << 22, 1 << 16), clock=clock)
        ballast = disk / "ballast"
        number = 0
        for full in (True, False, True, False):
            if full:
                with ballast.open("wb") as file:
                    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                    file.write(b"x" * max(0, free - 20_000))
            else:
                ballast.unlink()
            for _ in range(1000):
                assert log.put(line(number, 200))
                number += 1
                if number % 100 == 0:
                    clock.now += 3
                    log.reserve()
                    log.settle()
                    log.acks.move("a", log.end(), events=0)
                    log.tidy(["a", "b"])
                    log.acks.move("b", 200 * (number - 800), events=0)
        assert log.first <= 200 * (number - 800)
        assert numbers(read_all(log, log.first))[-1] == number - 1
        found = numbers(read_all(log, log.first))
        assert found == list(range(found[0], number))
        log.close()


@BOTH
def test_a_folder_deleted_midway(home: Path, mapped: bool) -> None:
    """When somebody deletes the folder, what is put afterwards is read in this process, and on disk again soon."""
    clock = Clock()
    log = open_log(home, mapped=mapped, clock=clock)
    for number in range(20):
        assert log.put(line(number, 100))
    shutil.rmtree(home)
    for number in range(20, 300):
        assert log.put(line(number, 100))
        log.reserve()
    assert numbers(read_all(log)) == list(range(300))
    assert log.first == 0
    log.acks.move("a", 1000, events=10)
    assert log.acks.get("a") == (1000, 10, 0)
    for _ in range(2):
        clock.now += 6
        log.settle()
        log.tidy(["a", "b"])
    assert numbers(read_all(log)) == list(range(300))
    for number in range(300, 400):
        assert log.put(line(number, 100))
    clock.now += 6
    log.settle()
    assert numbers(read_all(log)) == list(range(400))
    spool = only(home)
    assert spool.alive()
    assert spool.meta["destinations"] == META["destinations"]
    assert numbers(read_all(spool, spool.first))[-100:] == list(range(300, 400))
    log.close()
    assert not only(home).alive()


def test_no_memory_for_a_map(home: Path) -> None:
    """A process that is given no memory for another map still has its lines on disk once they are settled."""

    def put(say: Callable[[int], int]) -> None:
        log = open_log(home, Limits(1 << 22, 1 << 20, 1 << 16), clock=Clock())
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
        for number in range(1000):
            if log.put(line(number, 100)):
                say(number)
        assert log.trouble
        log.settle()
        os._exit(0)  # as a process that is killed, without a close

    said, status = in_child(put)
    assert status == 0
    assert said == list(range(1000))
    assert numbers(read_all(claimed(only(home)))) == said


def test_no_descriptors_left(home: Path) -> None:
    """A process that has used up its file descriptors puts and reads on, and no offset passes for deleted."""
    log = open_log(home)
    for number in range(30):
        assert log.put(line(number, 100))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for number in range(30, 100):
            assert log.put(line(number, 100))
        assert numbers(log.read(0, 1000)) == list(range(10))
        with pytest.raises(OSError, match="Too many"):
            _ = log.first
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert log.first == 0
    assert numbers(read_all(log)) == list(range(100))
    log.close()


def test_a_spool_on_a_bad_disk_never_raises(home: Path) -> None:
    """`Spool.put` takes what comes, whatever the disk does, and the hot path stays what it was."""
    home.mkdir()
    spool = Spool(home, "run", SMALL, meta=lambda: META)
    with no_growth():
        for number in range(100):
            assert spool.put(line(number, 100))
        shutil.rmtree(home)
        for number in range(100, 200):
            assert spool.put(line(number, 100))
    assert numbers(read_all(spool.log)) == list(range(200))
    spool.close()
    assert list(writers(home)) == []


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/fast xfs rw 0 0
//nas/share /mnt/with\\040space cifs rw 0 0
s3fs /mnt/bucket fuse.s3fs rw 0 0
portal /mnt/portal fuse rw 0 0
tank /tank zfs rw 0 0
host /shared virtiofs rw 0 0
lustre /scratch lustre rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
overlay /layers overlay rw 0 0
over /home/fast/over ext4 rw 0 0
later /home/fast/over beegfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind", "unsafe"),
    [
        ("/", "ext4", False),
        ("/homeless/x", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/.loghook", "nfs4", True),
        ("/home/fast/me", "xfs", False),
        ("/home/faster", "nfs4", True),
        ("/home/fast/over/me", "beegfs", True),
        ("/mnt/with space/x", "cifs", True),
        ("/mnt/bucket/x", "fuse.s3fs", True),
        ("/mnt/portal", "fuse", True),
        ("/tank/x", "zfs", True),
        ("/shared/x", "virtiofs", True),
        ("/scratch/x/y/z", "lustre", True),
        ("/dev/shm/x", "tmpfs", False),
        ("/layers", "overlay", False),
    ],
)
def test_which_file_system_a_path_lies_on(path: str, kind: str, unsafe: bool) -> None:
    """The last mount of the longest point above a path tells its file system, and whether a map is safe there."""
    assert filesystem(Path(path), MOUNTS) == kind
    assert is_unsafe(kind) is unsafe


def test_a_system_without_a_list_of_mounts() -> None:
    """Where mounts can't be told the file system is unknown, and a map passes for safe."""
    assert filesystem(Path("/home"), "") == ""
    assert not is_unsafe("")


class Mounted:
    """A small tmpfs of our own in this block; the test is skipped where mounting is not allowed."""

    def __init__(self, point: Path, options: str) -> None:
        self.point = point
        self.options = options

    def __enter__(self) -> Path:
        """Mount it."""
        self.point.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", self.options, "loghook-test", str(self.point)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"no mount here: {error}")
        if done.returncode:
            pytest.skip(f"this process may not mount: {done.stderr.strip()}")
        return self.point

    def __exit__(self, *_: object) -> None:
        """Unmount it, whatever is still open there."""
        subprocess.run(["umount", "-l", str(self.point)], check=True)


@pytest.fixture(autouse=True)
def limits_put_back() -> Iterator[None]:
    """Fail a test that leaves a limit on this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
