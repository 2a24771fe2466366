"""Many threads, signal handlers, finalisers, exceptions out of nowhere, readers and forks, all at once."""

from __future__ import annotations

import ctypes
import gc
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loghook.spool import Limits, Log, Spool, WriterSpool
from loghook.spool.keeper import Keeper
from loghook.spool.segment import MappedSegment

from .tools import META, line, numbers, only, open_log, read_all, start

LARGE = Limits(disk=1 << 28, memory=1 << 26, segment=16384)
BOTH = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "memory"])


@contextmanager
def kept(log: Log, destinations: list[str] | None = None) -> Iterator[list[Exception]]:
    """Have a keeper do its chores for a log in this block; yield the exceptions that it met, which must be none."""
    errors: list[Exception] = []

    def chores() -> None:
        log.reserve()
        log.settle()
        log.tidy(destinations or [])

    keeper = Keeper(chores, 0.001, errors.append)
    log.wanted = keeper.wake.ring
    keeper.start()
    try:
        yield errors
    finally:
        keeper.stop(10)
    assert errors == []


def check_complete(data: bytes, counts: list[int]) -> None:
    """Each thread's lines 0, 1, 2... (as thread * 1,000,000 + n) are there in order, each once."""
    found = numbers(data)
    for thread, count in enumerate(counts):
        mine = [number % 1_000_000 for number in found if number // 1_000_000 == thread]
        assert mine == list(range(count))
    assert len(found) == sum(counts)


@BOTH
def test_eight_threads_over_many_segments(home: Path, mapped: bool) -> None:
    """Eight threads that put across hundreds of roll-overs lose, double and reorder nothing."""
    log = open_log(home, LARGE, mapped=mapped)
    each, threads = 3000, []

    def work(thread: int) -> None:
        for number in range(each):
            assert log.put(line(thread * 1_000_000 + number, 40 + (number * 37) % 200))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with kept(log):
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    check_complete(read_all(log), [each] * 8)
    log.close()
    check_complete(read_all(only(home)), [each] * 8)


@BOTH
def test_readers_and_writers_of_one_log(home: Path, mapped: bool) -> None:
    """Two threads of a process that read a log and acknowledge it, while others put, each see every line once."""
    log = open_log(home, LARGE, mapped=mapped)
    done = threading.Event()
    seen: dict[str, bytes] = {}

    def read(name: str) -> None:
        offset, parts = 0, []
        while True:
            over = done.is_set()
            assert log.first <= offset <= log.end()
            data = log.read(offset, 5000)
            if data:
                parts.append(data)
                offset += len(data)
                log.acks.move(name, offset, events=data.count(b"\n"))
            elif over:
                break
        seen[name] = b"".join(parts)

    def write(thread: int) -> None:
        for number in range(4000):
            assert log.put(line(thread * 1_000_000 + number, 100))

    with kept(log, ["a", "b"]):
        readers = [threading.Thread(target=read, args=(name,)) for name in ("a", "b")]
        writers = [threading.Thread(target=write, args=(thread,)) for thread in range(2)]
        for thread in (*readers, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        for thread in readers:
            thread.join()
    assert seen["a"] == seen["b"]
    check_complete(seen["a"], [4000, 4000])
    assert log.acks.get("a").events == log.accepted == 8000
    assert log.first > 0
    log.close()


def test_lines_that_move_while_a_reader_looks_are_no_gap(home: Path) -> None:
    """Lines that come, and go from memory to disk, after a reader has looked in both places are not taken for lost."""
    log = open_log(home, LARGE, mapped=False)
    maps = log._contents._maps

    def move() -> list[MappedSegment]:
        log._contents._maps = maps
        for number in range(1000):
            assert log.put(line(number, 100))
        log.settle()
        return maps()

    log._contents._maps = move
    assert log.read(0, 5000) == b""
    assert log.first == 0
    check_complete(read_all(log), [1000])
    log.close()


@BOTH
def test_a_signal_handler_puts_during_a_put(home: Path, mapped: bool) -> None:
    """A handler that puts while the thread it interrupts puts, rolling over or not, loses and doubles nothing."""
    log = open_log(home, LARGE, mapped=mapped)
    fresh = itertools.count()
    inner: list[int] = []

    def handler(signum: int, frame: object) -> None:
        for _ in range(10):
            inner.append(number := next(fresh))
            assert log.put(line(number, 300))

    outer: list[int] = []
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while len(outer) < 20_000 or len(inner) < 1000:
            outer.append(number := next(fresh))
            assert log.put(line(number, 300))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found = numbers(read_all(log))
    assert sorted(found) == sorted([*inner, *outer])
    own = set(outer)
    assert [number for number in found if number in own] == outer
    log.close()


def test_a_handler_at_every_step_of_rolling_over(tmp_path: Path) -> None:
    """A put that comes in at any line of a put that rolls over neither loses nor doubles either's line."""
    for mapped, long in itertools.product((True, False), (False, True)):
        step = 0
        for step in range(1, 10_000):
            log = open_log(tmp_path / f"{mapped}-{long}-{step}", mapped=mapped)
            for number in range(40):
                log.put(line(number, 100))
            if not put_interrupted(log, step, 9000 if long else 100):
                break
            found = numbers(read_all(log))
            assert sorted(found) == [*range(40), 100, 101, 102]
            assert log.put(line(103))
            assert numbers(read_all(log))[-1] == 103
            assert log.accepted == 44
            log.abandon()
        log.abandon()
        assert step > 10


def put_interrupted(log: Log, step: int, size: int) -> bool:
    """Put line 100, and at its `step`-th line of Python lines 101 and 102; False if it has no such step."""
    count = 0

    def trace(frame: object, event: str, arg: object) -> object:
        nonlocal count
        if event == "line":
            count += 1
            if count == step:
                sys.settrace(None)
                assert log.put(line(101, size))
                assert log.put(line(102, 100))
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        log.put(line(100, 100))
    finally:
        sys.settrace(None)
    return count >= step


def test_finalisers_that_put(home: Path) -> None:
    """What objects put when the garbage collector, at any moment, finds them is there once."""
    log = open_log(home, LARGE)
    counts = [0, 0]

    class Loud:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            log.put(line(1_000_000 + counts[1], 200))
            counts[1] += 1

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(3000):
            Loud()
            log.put(line(counts[0], 200))
            counts[0] += 1
    finally:
        gc.set_threshold(*before)
        gc.collect()
    assert counts == [3000, 3000]
    check_complete(read_all(log), counts)
    log.close()


class Thrown(Exception):
    """Comes out of nowhere."""


def test_exceptions_thrown_into_a_put(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that an exception cuts short leaves its line in the log once or not at all, and the log in order."""
    # One that comes while a generator is closed by its finaliser has nowhere to go, and the interpreter says so; the
    # hook that pytest has for that runs long enough on the same thread to be hit itself.
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable, /: None)
    log = open_log(home, LARGE)
    returned: list[int] = []
    fresh = itertools.count()
    thrown = 0
    stop = threading.Event()

    def work() -> None:
        nonlocal thrown
        while not stop.is_set():
            try:
                number = next(fresh)
                log.put(line(number, 500))
                returned.append(number)
            except Thrown:
                thrown += 1

    def guarded() -> None:
        while not stop.is_set():
            try:
                work()
            except Thrown:
                continue

    thread = threading.Thread(target=guarded)
    with kept(log):
        thread.start()
        throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
        for _ in range(400):
            throw(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Thrown))
            time.sleep(0.001)
        # one thrown last may still be on its way: no more of them once it has stopped
        stop.set()
        thread.join()
    assert thrown > 10
    found = numbers(read_all(log))
    assert len(found) == len(set(found))
    assert found == sorted(found)
    assert set(returned) <= set(found)
    assert log.put(line(10_000_000))
    log.close()


READER = """
import sys
from pathlib import Path
from loghook.spool import writers
sys.stdin.readline()
[spool] = writers(Path(sys.argv[1]))
offset, last = 0, int(sys.argv[2])
out = sys.stdout.buffer
while True:
    data = spool.read(offset, 7000)
    if not data:
        continue
    assert b"\\0" not in data and data.endswith(b"\\n") and data.startswith(b'{"n":')
    out.write(data)
    offset += len(data)
    if b'{"n":%d,' % last in data:
        break
out.flush()
"""


@BOTH
def test_another_process_reads_live(home: Path, mapped: bool) -> None:
    """A process that reads while another writes sees the same bytes, none torn, none twice."""
    last = 9_000_000
    reader = start(READER, home, last, stdin=subprocess.PIPE)
    log = open_log(home, LARGE, mapped=mapped)
    assert reader.stdin
    with kept(log):
        reader.stdin.write(b"\n")
        reader.stdin.flush()
        for number in range(20_000):
            assert log.put(line(number, 60 + number % 300))
        assert log.put(line(last))
        seen, _ = reader.communicate(timeout=60)
    assert seen == read_all(log)
    log.close()


FORKER = """
import os, sys, threading, time
from pathlib import Path
from loghook.spool import Limits, Spool
home, mapped = Path(sys.argv[1]), sys.argv[2] == "True"
spool = Spool(home, "run", Limits(1 << 26, 1 << 24, 16384), mapped=mapped, meta=lambda: {"destinations": {"a": ""}})
counts, stop = [0] * 4, threading.Event()

def put(who, number):
    line = b'{"n":%d,"p":"%s"}\\n' % (who * 1_000_000 + number, b"x" * (number % 150))
    try:
        spool.write(line)
    except ValueError:
        assert spool.put(line)

def work(thread):
    while not stop.is_set():
        put(thread, counts[thread])
        counts[thread] += 1

def child(depth):
    # `who` of a child is its generation; its records are its own alone
    for number in range(300):
        put(10 + depth, number)
    if depth:
        fork(depth - 1)
        for number in range(300, 400):
            put(10 + depth, number)
    if not mapped:
        spool.log.settle()

def fork(depth):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(depth)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0

def keep():
    while not stop.is_set():
        spool.log.reserve()
        spool.log.settle()
        time.sleep(0.001)

import warnings
warnings.simplefilter("ignore")
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
put(4, 0)
keeper = threading.Thread(target=keep)
keeper.start()
for thread in threads:
    thread.start()
for _ in range(10):
    fork(2)
from_thread = threading.Thread(target=fork, args=(0,))
from_thread.start()
from_thread.join()
stop.set()
for thread in (*threads, keeper):
    thread.join()
name = spool.log.writer
spool.close()
print(name, *counts)
"""


@BOTH
def test_forks_while_four_threads_put(home: Path, mapped: bool) -> None:
    """Children, and theirs, have logs of their own with their records alone; the parent's log is whole."""
    parent = start(FORKER, home, mapped)
    out, _ = parent.communicate(timeout=100)
    assert parent.returncode == 0
    name, *counts = out.decode().split()
    spools = {spool.writer: spool for spool in all_spools(home)}
    check_complete(read_all(spools.pop(name)), [*map(int, counts), 1])
    assert len(spools) == 31
    found = [numbers(read_all(spool)) for spool in spools.values()]
    for depth, last in ((0, 300), (1, 400), (2, 400)):
        mine = [n for n in found if n[0] // 1_000_000 == 10 + depth]
        assert len(mine) == (11 if depth == 0 else 10)
        assert all(n == [(10 + depth) * 1_000_000 + number for number in range(last)] for n in mine)
    assert not any(spool.alive() for spool in spools.values())


def all_spools(home: Path) -> list[WriterSpool]:
    """Return all spools under `home`."""
    from loghook.spool import writers

    return list(writers(home))


def test_closing_while_others_put(home: Path) -> None:
    """What is put while a spool is closed, again and again, is in one of its logs, once."""
    spool = Spool(home, "run", LARGE, meta=lambda: META, mapped=True)
    counts, stop = [0] * 3, threading.Event()

    def work(thread: int) -> None:
        while not stop.is_set():
            text = line(thread * 1_000_000 + counts[thread], 200)
            try:
                spool.write(text)
            except ValueError:
                assert spool.put(text)
            counts[thread] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    closed = 0
    while closed < 30:
        if spool.is_open:
            spool.close()
            closed += 1
    stop.set()
    for thread in threads:
        thread.join()
    spool.close()
    found = sorted(itertools.chain.from_iterable(numbers(read_all(each)) for each in all_spools(home)))
    assert found == sorted(t * 1_000_000 + n for t, count in enumerate(counts) for n in range(count))


def test_a_log_of_one_process_is_opened_once(home: Path) -> None:
    """Threads that put first at the same moment share one log, and the losers' logs leave nothing behind."""
    for number in range(10):
        place = home / f"{number}"
        spool = Spool(place, "run", LARGE, meta=lambda: META, opened=lambda log: time.sleep(0.002))
        barrier = threading.Barrier(6)

        def first(thread: int, spool: Spool = spool, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            assert spool.put(line(thread))

        threads = [threading.Thread(target=first, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spool.close()
        assert sorted(numbers(read_all(only(place)))) == list(range(6))
        assert len(list((place / "spool" / "run").iterdir())) == 1


def test_the_way_in_is_one_c_function(home: Path) -> None:
    """While a log has room its `write` is the C function that copies into the map, and nothing of ours."""
    log = open_log(home, LARGE)
    write: Callable[[bytes], int] = log.write
    assert type(write).__name__ == "builtin_function_or_method"
    assert log.put(line(1, 20_000))
    assert log.put(line(2, 100))
    assert type(log.write).__name__ == "builtin_function_or_method"
    log.close()
