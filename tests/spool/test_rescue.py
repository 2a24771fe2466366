"""Files of the spool that somebody else deletes, replaces or cuts short: no SIGBUS, and what a map has is kept."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from loghook.delivery import Delivery
from loghook.spool import Limits, Log, repair
from loghook.spool.guard import guard
from loghook.spool.repair import torn_ranges
from loghook.spool.segment import MappedSegment
from loghook.testing import RecordingTransport

from .tools import after_crash, in_child, line, numbers, only, open_log, read_all

LIMITS = Limits(1 << 22, 1 << 20, 1 << 14)

needs_guard = pytest.mark.skipif(guard() is None, reason="no guard for this machine")


def keep(log: Log) -> None:
    """Do the keeper's chores."""
    log.reserve()
    log.settle()
    log.tidy(["a"])


def filled(home: Path, lines: int = 300) -> Log:
    """Return a log of lines of 100 bytes, 20 of which are delivered, in files of which each one is mapped or was."""
    log = open_log(home, LIMITS)
    for number in range(lines):
        assert log.put(line(number, 100))
        if number % 50 == 49:
            keep(log)
    log.acks.move("a", 2000, events=20)
    return log


def delete(home: Path) -> None:
    """Delete the home folder."""
    shutil.rmtree(home)


def unlink(home: Path) -> None:
    """Delete each segment."""
    for path in home.rglob("*.seg"):
        path.unlink()


def replace(home: Path) -> None:
    """Put another file in each segment's place."""
    for path in list(home.rglob("*.seg")):
        (home / "other").write_bytes(b"something else")
        (home / "other").replace(path)


@pytest.mark.parametrize("harm", [unlink, replace, delete])
def test_what_a_map_still_has_is_on_disk_again(home: Path, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Lines whose files are gone or others lie on disk again, in order, and survive the process."""
    log = filled(home, 60)
    harm(home)
    for number in range(60, 100):
        assert log.put(line(number, 100))
    for _ in range(3):
        keep(log)
    assert numbers(read_all(log)) == list(range(100))
    assert log.drops.counts() == {}
    assert log.accepted == 100
    assert numbers(read_all(after_crash(home, tmp_path / "dead"))) == list(range(100))
    log.close()


@needs_guard
@pytest.mark.parametrize("size", [0, 31, 32, 1000, 4096, 10_000])
def test_a_segment_cut_short_costs_what_was_in_it(home: Path, tmp_path: Path, size: int) -> None:
    """After a cut lines are taken as ever, those that went with the file are counted, and offsets stay as they are."""
    log = filled(home, 100)
    segment = log._segment
    assert isinstance(segment, MappedSegment)
    os.truncate(segment.path, size)
    for number in range(100, 150):
        assert log.put(line(number, 100))
    keep(log)
    assert log.end() == 15_000
    found = numbers(read_all(log, 2000))
    assert found[-50:] == list(range(100, 150))
    assert log.drops.counts() == {}
    log.count_lost(now=True)
    lost = sum(log.drops.counts().values())
    assert lost == len(set(range(20, 150)) - set(found))
    assert lost <= 80
    assert log.read(14_900, 1000) == line(149, 100)
    assert log.accepted + lost == 20 + log.count_from(2000) + lost
    dead = after_crash(home, tmp_path / "dead")
    assert numbers(read_all(dead, 2000)) == found
    log.close()


@pytest.mark.parametrize("harm", [lambda path: os.truncate(path, 500), lambda path: path.unlink()], ids=["cut", "gone"])
def test_a_file_that_is_mapped_no_more_holds_nobody_up(home: Path, harm: Callable[[Path], None]) -> None:
    """What was cut off or deleted behind the writer's back is counted, and what follows it is delivered."""
    log = filled(home, 1000)
    keep(log)
    files = sorted(log.directory.glob("*.seg")) if log.directory else []
    assert len(files) > 4
    harm(files[1])
    offset, delivered = 2000, 20
    for _ in range(20):
        data = log.read(offset, 5000)
        offset, delivered = offset + len(data), delivered + data.count(b"\n")
        log.acks.move("a", offset, events=data.count(b"\n"))
        keep(log)
    spool = only(home)
    assert offset > log.end() - 5000 * 2
    lost = log.drops.counts().get("deleted", 0)
    assert lost in range(155, 165)
    assert numbers(read_all(spool, spool.first))[-1] == 999
    log.close()


@pytest.mark.parametrize("number", [0, 2], ids=["first", "middle"])
@pytest.mark.parametrize(
    "harm",
    [lambda path: os.truncate(path, 500), lambda path: os.truncate(path, 0), lambda path: path.unlink()],
    ids=["cut", "emptied", "gone"],
)
def test_what_goes_while_nobody_delivers_is_counted(home: Path, number: int, harm: Callable[[Path], None]) -> None:
    """Files that nobody has mapped are missed while nobody reads them, and what was in them is counted, exactly."""
    now = [0.0]
    log = open_log(home, LIMITS, clock=lambda: now[0])
    for text in range(1000):
        assert log.put(line(text, 100))
        if text % 50 == 49:
            keep(log)
    now[0] += 2
    keep(log)
    assert log.directory
    harm(sorted(log.directory.glob("*.seg"))[number])
    now[0] += 2
    keep(log)
    assert log.drops.counts() == {}, "somebody may be about to have it"
    now[0] += 60
    keep(log)
    found = numbers(read_all(log, log.first))
    assert log.drops.counts() == {"deleted": 1000 - len(found)}
    assert 100 < 1000 - len(found) < 200
    assert found[-1] == 999
    assert log.accepted == log.count_from(log.first)
    now[0] += 60
    keep(log)
    assert log.drops.counts() == {"deleted": 1000 - len(found)}
    log.close()


def test_what_a_destination_goes_without_is_counted(home: Path) -> None:
    """Files that go with the folder, and that a listener passes over before the keeper looks, are counted."""
    log = open_log(home, LIMITS, mapped=False)
    for number in range(100):
        assert log.put(line(number, 100))
    log.acks.move("a", 1000, events=10)
    keep(log)
    shutil.rmtree(home)
    assert log.put(line(100, 100))
    transport = RecordingTransport()
    assert Delivery(log, "a", 1 << 20).step(transport)
    assert numbers(transport.sent[0].body) == [100]
    keep(log)
    assert log.drops.counts() == {"deleted": 90}
    assert log.accepted == 11
    log.close()


def test_what_a_reader_deletes_is_not_missed(home: Path) -> None:
    """Files that go because every destination has what was in them are no loss."""
    now = [0.0]
    log = open_log(home, LIMITS, clock=lambda: now[0])
    for text in range(1000):
        assert log.put(line(text, 100))
        if text % 50 == 49:
            now[0] += 2
            keep(log)
    reader = only(home)
    for _ in range(20):
        now[0] += 60
        position = reader.acknowledged("a")
        data = reader.read(position, 5000)
        for name in ("a", "b"):
            reader.acknowledge(name, position + len(data), events=data.count(b"\n"))
        reader.tidy()
        log.settle()
        log.tidy(["a", "b"])
    assert reader.first > 80_000
    assert log.drops.counts() == {}
    assert log.accepted == 1000
    log.close()


@needs_guard
def test_what_was_delivered_is_not_lost(home: Path) -> None:
    """Of lines that went before they were counted those that a destination has are not told as lost."""
    log = open_log(home, LIMITS)
    for number in range(100):
        assert log.put(line(number, 100))
        if number == 9:
            log.tidy(["a"])
    log.acks.move("a", 6000, events=60)
    segment = log._segment
    assert isinstance(segment, MappedSegment)
    os.truncate(segment.path, 0)
    log.settle()
    assert log.put(line(100, 100))
    log.acks.move("a", log.end(), events=log.count_from(6000))
    log.tidy(["a"])
    assert log.drops.counts() == {"deleted": 40}
    assert log.accepted == log.acks.get("a").events
    log.close()


@needs_guard
def test_what_was_told_in_a_lost_line_is_told_again(home: Path) -> None:
    """Drops whose event went with a file are news again."""
    log = filled(home, 10)
    log.acks.move("a", 0, events=-20)
    log.drops.add("limit", 7)
    news = log.drops.untold()
    assert news is not None
    assert log.put(line(10, 100))
    log.drops.told(news, log.end())
    keep(log)
    segment = log._segment
    assert isinstance(segment, MappedSegment)
    os.truncate(segment.path, 0)
    keep(log)
    log.count_lost(now=True)
    again = log.drops.untold()
    assert again is not None
    assert again["dropped"] == {"deleted": 11, "limit": 7}
    log.close()


@needs_guard
def test_no_cut_ends_a_program(tmp_path: Path) -> None:
    """A process whose segments are cut short all the time, at any moment of any step, goes on to its own end."""

    def put(say: Callable[[int], int]) -> None:
        log = open_log(tmp_path / "home", LIMITS)
        for number in range(3000):
            if number % 7 == 0:
                for path in (tmp_path / "home").rglob("*.seg"):
                    os.truncate(path, number * 37 % 5000)
            assert log.put(line(number, 100))
            if number % 40 == 0:
                keep(log)
            if number % 100 == 0:
                log.read(log.first, 5000)
        log.close()
        say(1)

    said, status = in_child(put)
    assert status == 0
    assert said == [1]


@needs_guard
def test_a_fault_elsewhere_ends_a_program_as_ever(tmp_path: Path) -> None:
    """SIGBUS in a map that is not the spool's, one that was the spool's, or sent by somebody, is not caught."""
    file = tmp_path / "file"

    def touch(pages: mmap.mmap) -> None:
        os.truncate(file, 0)
        pages[0] = 1

    def mapped() -> mmap.mmap:
        file.write_bytes(bytes(8192))
        with file.open("r+b") as opened:
            return mmap.mmap(opened.fileno(), 8192)

    def after_release() -> None:
        found, pages = guard(), mapped()
        assert found
        found.release(found.watch(pages))
        touch(pages)

    for fault in (lambda: touch(mapped()), after_release, lambda: os.kill(os.getpid(), signal.SIGBUS)):

        def child(say: Callable[[int], int], fault: Callable[[], None] = fault) -> None:
            import faulthandler
            import resource

            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            log = open_log(tmp_path / f"home-{os.getpid()}", LIMITS)
            log.reserve()
            assert log.put(line(1))
            fault()

        _, status = in_child(child)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGBUS


def test_a_line_right_behind_zeros_is_whole() -> None:
    """A line that begins where zeros end is kept; what is left of a torn one is not, whatever it looks like."""
    whole = b'{"a":{"b":1}}\n'
    assert torn_ranges(bytes(10) + whole + whole, last=True) == [(0, 10)]
    assert torn_ranges(whole + b'{"x' + bytes(10) + whole, last=True) == [(len(whole), len(whole) + 13)]
    for tail in (b'{"b":1}}\n', b'"b":1}\n', b"1}\n", b"\n"):
        data = bytes(10) + tail + whole
        assert torn_ranges(data, last=True) == [(0, 10 + len(tail))]


def test_a_dead_log_that_was_cut_short_is_mended(home: Path) -> None:
    """What is left of files that were cut short after a death is delivered, and the holes are filler."""
    log = filled(home, 300)
    log.close()
    files = sorted(only(home).directory.glob("*.seg"))
    os.truncate(files[0], 5000)
    repair(only(home).directory)
    found = numbers(read_all(only(home)))
    assert found[:49] == list(range(49))
    assert found[-130:] == list(range(170, 300))
