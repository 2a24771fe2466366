"""The spool against a plain list: whatever is put, read, acknowledged and lost, in whatever order."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loghook.spool import Limits, Log, WriterSpool

from .tools import META, after_crash, line, no_growth, numbers, read_all

LIMITS = Limits(disk=48 * 1024, memory=20 * 1024, segment=4096)
SIZES = st.one_of(st.integers(20, 300), st.integers(3000, 4200), st.integers(5000, 12000))


class Model:
    """A log as a list of lines, each at its offset."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.starts: list[int] = []
        self.end = 0
        self.safe = 0
        """How many of the lines are on disk for certain."""
        self.acks = dict.fromkeys(META["destinations"], 0)

    def add(self, text: bytes) -> None:
        """Append one line."""
        self.lines.append(text)
        self.starts.append(self.end)
        self.end += len(text)

    def from_(self, index: int) -> bytes:
        """Return all bytes from the line with this index on."""
        return b"".join(self.lines[index:])

    def cut(self, size: int) -> None:
        """Forget what lies at `size` and after it: it was in memory alone."""
        assert size in (*self.starts, self.end), "a crash leaves whole lines"
        keep = [*self.starts, self.end].index(size)
        assert keep >= self.safe, "a crash loses nothing that was safe"
        del self.lines[keep:], self.starts[keep:]
        self.end = size


class SpoolMachine(RuleBasedStateMachine):
    """A log that is written, read, acknowledged, and that dies and is read on by others."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="loghook-model-"))
        self.homes = 0
        self.now = 0.0
        self.number = 0
        self.dead: list[tuple[WriterSpool, Model]] = []

    @initialize(mapped=st.booleans())
    def open(self, mapped: bool) -> None:
        """Open a log."""
        self.homes += 1
        self.home = self.root / f"{self.homes}"
        self.mapped = mapped
        self.log = Log(self.home, "run", META, LIMITS, mapped=mapped, clock=lambda: self.now)
        self.model = Model()
        self.dropped = 0
        self.tried = 0
        self.in_memory = not mapped

    def offered(self, kept: bool, text: bytes) -> None:
        """Take note of what became of a line."""
        if kept:
            self.model.add(text)
        if not self.in_memory:
            self.model.safe = len(self.model.lines)

    def next(self, size: int, precious: bool) -> bytes:
        """Return a line that there has not been."""
        self.number += 1
        return line(self.number, size, precious=precious)

    @rule(size=SIZES, precious=st.booleans(), full=st.integers(0, 9))
    def put(self, size: int, precious: bool, full: int) -> None:
        """Put a line, now and then while the disk is full."""
        text = self.next(size, precious)
        if full:
            kept = self.log.put(text)
        else:
            with no_growth():
                kept = self.log.put(text)
            self.in_memory = True
        self.tried += 1
        self.dropped += not kept
        self.offered(kept, text)
        if not kept and not self.in_memory:
            reserve = 0 if precious else LIMITS.disk - LIMITS.soft + LIMITS.segment
            assert self.log.disk_used() + max(LIMITS.segment, len(text) + 32) + reserve > LIMITS.disk

    @rule(count=st.integers(1, 40), size=st.integers(20, 300), precious=st.booleans())
    def put_many(self, count: int, size: int, precious: bool) -> None:
        """Put many short lines."""
        for _ in range(count):
            self.put(size, precious, 1)

    @rule(size=SIZES, precious=st.booleans())
    def offer(self, size: int, precious: bool) -> None:
        """Offer a line, which counts nothing when it is refused."""
        text = self.next(size, precious)
        kept = self.log.offer(text)
        self.tried += kept
        self.offered(kept, text)

    @rule()
    def reserve(self) -> None:
        """Do the keeper's first chore."""
        self.log.reserve()

    @rule(full=st.integers(0, 3))
    def settle(self, full: int) -> None:
        """Do the keeper's second chore, now and then while the disk is full."""
        if not full:
            with no_growth():
                self.log.settle()
            return
        self.log.settle()
        if WriterSpool(self.log_directory(), {}).end() == self.model.end:
            self.model.safe = len(self.model.lines)

    @rule(seconds=st.sampled_from([1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass, so that a disk that failed is tried again."""
        self.now += seconds

    @rule()
    def recover(self) -> None:
        """Lines in memory go to disk once there is room and time has passed."""
        self.now += 6.0
        self.log.settle()
        # a line in memory that is too long for the room left keeps those behind it there, though others went to disk
        waiting = max(self.model.end - WriterSpool(self.log_directory(), {}).end(), self.log._backlog.held())
        assert not waiting or self.log.disk_used() + waiting > LIMITS.disk - LIMITS.segment - 32
        if not waiting:
            self.model.safe = len(self.model.lines)
            self.in_memory = not self.mapped

    @rule()
    def tidy(self) -> None:
        """Do the keeper's third chore: what everybody has is deleted, what somebody lacks stays."""
        self.log.tidy(list(META["destinations"]))

    @rule(destination=st.sampled_from(sorted(META["destinations"])), data=st.data())
    def acknowledge(self, destination: str, data: st.DataObject) -> None:
        """A destination gets some lines further."""
        starts = [at for at in (*self.model.starts, self.model.end) if at >= self.model.acks[destination]]
        offset = data.draw(st.sampled_from(starts))
        self.log.acks.move(destination, offset, events=0)
        self.model.acks[destination] = offset

    @rule(data=st.data(), size=st.one_of(st.integers(1, 500), st.integers(1000, 30000)))
    def read(self, data: st.DataObject, size: int) -> None:
        """What is read at an offset is what was put there, whole lines of it."""
        index = data.draw(st.integers(0, len(self.model.lines)))
        check_read(self.log, self.model, index, size, self.log.first)

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), size=st.integers(1, 20000))
    def read_dead(self, data: st.DataObject, size: int) -> None:
        """What a dead writer left is still read as it was put."""
        spool, model = data.draw(st.sampled_from(self.dead))
        check_read(spool, model, data.draw(st.integers(0, len(model.lines))), size, spool.first)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def deliver_dead(self, data: st.DataObject) -> None:
        """A dead writer's lines are acknowledged, and its segments go."""
        spool, model = data.draw(st.sampled_from(self.dead))
        for destination in model.acks:
            offset = data.draw(
                st.sampled_from([at for at in (*model.starts, model.end) if at >= model.acks[destination]])
            )
            spool.acknowledge(destination, offset)
            model.acks[destination] = offset
        spool.tidy()
        assert spool.first <= min(model.acks.values())
        if spool.complete():
            spool.remove()
            assert not spool.directory.exists()
            self.dead.remove((spool, model))

    @rule(mapped=st.booleans())
    def crash(self, mapped: bool) -> None:
        """The process dies; others read what it left, and a new log is opened."""
        to = self.root / f"{self.homes}-dead"
        spool = after_crash(self.home, to)
        self.model.cut(spool.end())
        model = self.model
        for destination, offset in model.acks.items():
            assert spool.acknowledged(destination) == offset
            model.acks[destination] = min(offset, model.end)
        self.dead.append((spool, model))
        self.drop()
        self.open(mapped)

    @rule(mapped=st.booleans())
    def close(self, mapped: bool) -> None:
        """The log is closed in order; nothing can be put any more, all of it can be read."""
        self.now += 6.0
        self.log.close()
        assert not self.log.offer(line(0))
        assert numbers(read_all(self.log, self.log.first)) == numbers(self.model.from_(self.index(self.log.first)))
        self.open(mapped)

    def index(self, offset: int) -> int:
        """Return the index of the line at `offset`."""
        return [*self.model.starts, self.model.end].index(offset)

    def log_directory(self) -> Path:
        """Return where the log lies."""
        assert self.log.directory
        return self.log.directory

    def drop(self) -> None:
        """Give back what an object that is never closed holds of this process."""
        self.log.abandon()

    @invariant()
    def counts_add_up(self) -> None:
        """Accepted is in the log plus dropped; the end is where the last line ends; the limits hold."""
        if not hasattr(self, "log"):
            return
        assert self.log.end() == self.model.end
        assert self.log.accepted == len(self.model.lines)
        assert sum(self.log.drops.counts().values()) == self.dropped
        assert len(self.model.lines) + self.dropped == self.tried
        assert self.log.first <= min(self.model.acks.values())
        assert self.log.first in (*self.model.starts, self.model.end)
        files = sum(path.stat().st_size for path in self.log_directory().glob("*.seg"))
        assert files <= self.log.disk_used() <= LIMITS.disk

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "log"):
            self.drop()
        shutil.rmtree(self.root, ignore_errors=True)


def check_read(source: Log | WriterSpool, model: Model, index: int, size: int, first: int) -> None:
    """Hold one read against the model."""
    offset = [*model.starts, model.end][index]
    if offset < first:
        with pytest.raises(LookupError):
            source.read(offset, size)
        return
    data = source.read(offset, size)
    assert model.from_(index).startswith(data)
    assert offset + len(data) in (*model.starts, model.end)
    if index < len(model.lines):
        assert data
        assert len(data) <= max(size, len(model.lines[index]))


DEFAULT = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
LONG = settings(DEFAULT, max_examples=100, stateful_step_count=80)


def test_a_log_is_a_list() -> None:
    """A log, alive or dead, in memory or on disk, holds what a list would hold."""
    run(DEFAULT)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_log_is_a_list_for_long() -> None:
    """The same holds for long sequences of steps: two thousand, or as many as a busy machine does in five minutes."""
    until = time.monotonic() + 300
    for _ in range(20):
        run(LONG)
        if time.monotonic() > until:
            break


def run(how: settings) -> None:
    """Run the state machine."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(SpoolMachine, settings=how)
