"""The writing side: one log per process, appended to from any thread and from signal handlers."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loghook.spool import layout
from loghook.spool.acks import Acks
from loghook.spool.drops import Drops
from loghook.spool.reader import LogReader, delete_acknowledged
from loghook.spool.segment import HEADER, MappedSegment, MemorySegment, Segment, header

__all__ = ["Limits", "Log", "is_precious"]

_FIRST = 64 * 1024
_RETRY_DISK = 5.0


class Limits:
    """How large a log may get, in bytes: on disk, in memory where the disk can't be used, and one segment."""

    def __init__(self, disk: int = 1 << 30, memory: int = 64 << 20, segment: int = 4 << 20) -> None:
        self.disk = disk
        self.memory = memory
        self.segment = max(4096, min(segment, disk // 8))
        self.soft = disk - disk // 16
        """Above this plain records are dropped; what is left is for metrics, params and run events."""


def is_precious(line: bytes) -> bool:
    """Whether an event is dropped last: metrics, params, run events. (A quote inside a JSON string is escaped.)"""
    return b'"metrics":' in line or b'"event":' in line


class Log:
    """One writer's log in one process.

    `write` is the append of the segment in use, a C function; it raises ValueError when there is no room, and then
    `put` does the rest. Whatever threads or signal handlers may do at the same moment is a single C call on a
    shared object (``mmap.write``, ``dict.setdefault``, ``list.pop``, ``list.append``), so there is no lock to wait for.
    """

    def __init__(
        self, home: Path, run: str, meta: dict[str, Any], limits: Limits, *, mapped: bool | None = None
    ) -> None:
        """Open a new log under `home`; `meta` goes into its meta.json.

        `mapped` says whether a memory map may be used; None asks the file system. Never raises for the disk's
        sake: without a usable one the log lives in memory, and `trouble` says why.
        """
        self.run = run
        self.writer = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.limits = limits
        self.trouble = ""
        self.drops = Drops()
        self.wanted: Callable[[], None] = _nothing
        """Called, from any thread, when the reserved segment was taken."""
        self.lock: layout.Lock | None = None
        self.directory = self._make(home, meta)
        self.acks = Acks(self.directory)
        self.reader = LogReader(self.directory) if self.directory else None
        if mapped is None:
            mapped = self.directory is not None and not layout.is_unsafe(layout.filesystem(self.directory))
        self.mapped = mapped and self.directory is not None
        self._numbers = itertools.count(1)
        self._sizes: dict[Path, int] = {}
        self._spares: list[Segment] = []
        self._left: list[MappedSegment] = []
        self._kept: list[MemorySegment] = []
        self._disk_retry = 0.0
        self._lowest = 0
        self._counted = (0, 0)
        self._file: tuple[Path, int] | None = None
        segment = self._new(_FIRST, precious=True) or MemorySegment(limits.segment)
        segment.activate(0)
        self._begin(segment)

    def _make(self, home: Path, meta: dict[str, Any]) -> Path | None:
        """Make the directory under a name that readers skip, and rename it once its lock is held."""
        final = layout.writer_directory(home, self.run, self.writer)
        draft = final.with_name(f".{self.writer}")
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (layout.spool_root(home), draft.parent, draft):
                folder.mkdir(mode=0o700, exist_ok=True)
            layout.write_meta(draft, {**meta, "run": self.run, "writer": self.writer})
            self.lock = layout.Lock(draft / "lock")
            self.lock.take()
            draft.rename(final)
        except OSError as error:
            self.trouble = _words(error)
            return None
        return final

    # ---------------------------------------------------------------- the caller's side

    def put(self, line: bytes) -> bool:
        """Append `line`, one event with its newline, rolling over where needed; False: it was dropped and counted."""
        kept = self.offer(line)
        if not kept:
            self.drops.add("limit" if self.mapped and not self._kept else "memory")
        return kept

    def offer(self, line: bytes) -> bool:
        """Append `line` if the limits allow it; False, and nothing counted, if not."""
        while True:
            try:
                self.write(line)
                return True
            except ValueError:
                if not self._roll(len(line), is_precious(line)):
                    return False

    def _roll(self, need: int, precious: bool) -> bool:
        """Go on to the segment that follows; False when the limits allow none."""
        segment = self._segment
        following: Segment | None = segment.links.get("next")
        if following is None:
            if self._over_soft_limit() and not precious:
                return False
            candidate = self._take(need, precious)
            if candidate is None:
                return False
            with contextlib.suppress(ValueError):  # unmapped: others have rolled over twice meanwhile
                segment.seal()
            following = segment.links.setdefault("next", candidate)
            if following is not candidate:
                self._spares.append(candidate)
        with contextlib.suppress(ValueError):  # unmapped: whoever rolled over first has activated it long ago
            following.activate(segment.seal())
        self._begin(following)
        if isinstance(segment, MappedSegment):
            self._left.append(segment)
        return True

    def _begin(self, segment: Segment) -> None:
        self._segment = segment
        if isinstance(segment, MemorySegment) and segment not in self._kept:
            self._kept.append(segment)
        self.write: Callable[[bytes], int] = self._write_precious if self._over_soft_limit() else segment.write

    def _write_precious(self, line: bytes) -> int:
        """The append while the soft limit is passed: what is left is for events that are dropped last."""
        segment = self._segment
        if not self._over_soft_limit():
            self.write = segment.write
        elif not is_precious(line):
            raise ValueError("soft limit")
        return segment.write(line)

    def _take(self, need: int, precious: bool) -> Segment | None:
        """Return an unused segment with room for `need` bytes, None where the limits allow none."""
        self.wanted()
        with contextlib.suppress(IndexError):
            spare = self._spares.pop()
            if spare.room >= need:
                return spare
            self._spares.insert(0, spare)
        return self._new(max(need + HEADER, self._next_size()), precious)

    def _new(self, size: int, precious: bool) -> Segment | None:
        if self.mapped and self.directory and time.monotonic() >= self._disk_retry:
            if self.disk_used() + size > (self.limits.disk if precious else self.limits.soft):
                return None
            path = self.directory / f"{next(self._numbers):08d}.seg"
            try:
                segment = MappedSegment(path, size)
            except (OSError, ValueError) as error:
                self._disk_trouble(error)
            else:
                self._sizes[path] = size
                return segment
        held = sum(len(segment.data) for segment in list(self._kept))
        allowed = self.limits.memory if precious else self.limits.memory - self.limits.memory // 16
        if held + size > allowed:
            return None
        return MemorySegment(max(size, min(self.limits.segment, self.limits.memory // 4)))

    def _next_size(self) -> int:
        """Segments grow from 64 KiB, so that a process with one line to say takes little, to the full size."""
        return min(self.limits.segment, max(_FIRST, self._segment.size * 4))

    def _disk_trouble(self, error: BaseException) -> None:
        self.trouble = _words(error)
        self._disk_retry = time.monotonic() + _RETRY_DISK

    def disk_used(self) -> int:
        """Return the bytes that the segments on disk take, reserved ones included."""
        return sum(list(self._sizes.values()))

    @property
    def full(self) -> bool:
        """Whether plain records are being dropped."""
        return self._over_soft_limit()

    def _over_soft_limit(self) -> bool:
        return self.disk_used() > self.limits.soft - self.limits.segment

    # ---------------------------------------------------------------- the keeper's side (one thread)

    def reserve(self) -> None:
        """Have one mapped segment ready, its pages faulted in, for the next roll-over; unmap what was left behind."""
        while len(self._left) > 1:
            self._left.pop(0).close()
        segment = self._segment
        if self._spares or not isinstance(segment, MappedSegment) or self._over_soft_limit():
            return
        if segment.end() - segment.base > segment.size // 4:
            spare = self._new(self._next_size(), precious=False)
            if isinstance(spare, MappedSegment):
                spare.touch()
                self._spares.append(spare)

    def settle(self) -> None:
        """Move lines that lie in memory to disk, where that is possible, and forget what every destination has."""
        for segment in list(self._kept):
            if segment is not self._segment and segment.end() <= self._lowest:
                self._kept.remove(segment)
            elif self.directory and segment.data and time.monotonic() >= self._disk_retry:
                if segment is self._segment and not self._roll(1, precious=True):
                    return
                segment.seal()
                try:
                    self._append(segment, self.directory)
                except OSError as error:
                    self._disk_trouble(error)
                    return
                self._kept.remove(segment)

    def _append(self, segment: MemorySegment, directory: Path) -> None:
        """Append a sealed memory segment to the segment file in use, or to a new one. Raises OSError.

        A write that stopped half way is done again from its start, in place, so a reader sees the same bytes.
        """
        if self.disk_used() + len(segment.data) > self.limits.disk:
            raise OSError("spool limit reached")
        path, end = self._file or (Path(), 0)
        if end == segment.base and path.name and self._sizes[path] < self.limits.segment:
            with path.open("r+b") as file:
                file.seek(self._sizes[path])
                file.write(segment.data)
        else:
            path = directory / f"{next(self._numbers):08d}.seg"
            self._sizes[path] = HEADER
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(header(segment.base) + segment.data)
        self._sizes[path] += len(segment.data)
        self._file = (path, segment.end())

    def tidy(self, destinations: list[str]) -> None:
        """Delete what every one of `destinations` has acknowledged."""
        self._lowest = min((self.acks.get(name).offset for name in destinations), default=0)
        self._count()
        if self.reader and self._lowest:
            for path in delete_acknowledged(self.reader, min(self._lowest, self._counted[0])):
                self._sizes.pop(path, None)

    def _count(self) -> None:
        offset, count = self._counted
        while data := self.read(offset, 1 << 20):
            offset, count = offset + len(data), count + data.count(b"\n")
            self._counted = (offset, count)

    # ---------------------------------------------------------------- reading, from any thread

    @property
    def accepted(self) -> int:
        """How many events this log has taken, dropped ones not among them."""
        offset, count = self._counted
        return count + self.count_from(offset)

    def count_from(self, offset: int) -> int:
        """Return how many events lie at `offset` and after it."""
        count = 0
        while data := self.read(offset, 1 << 20):
            offset, count = offset + len(data), count + data.count(b"\n")
        return count

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on, from memory or from disk; b"" for nothing (yet)."""
        for segment in list(self._kept):
            if segment.base <= offset < segment.end():
                start = offset - segment.base
                end = segment.data.rfind(b"\n", start, start + max(max_bytes, 1)) + 1
                return bytes(segment.data[start : end or segment.data.index(b"\n", start) + 1])
        return self.reader.read(offset, max_bytes) if self.reader else b""

    @property
    def first(self) -> int:
        """The oldest offset that is still there."""
        bases = [segment.base for segment in list(self._kept)]
        if self.reader and (pieces := self.reader.refresh()):
            bases.append(pieces[0].base)
        return min(bases, default=0)

    def end(self) -> int:
        """Return the offset after the last line."""
        segment = self._segment
        while following := segment.links.get("next"):
            segment = following
        return segment.end()

    # ---------------------------------------------------------------- the end

    def abandon(self) -> None:
        """Let go of everything without touching what is on disk: this process is a child, the log is its parent's."""
        if self.lock:
            self.lock.release()
        for segment in (self._segment, *self._spares, *self._left):
            segment.close()

    @property
    def has_refused(self) -> bool:
        """Whether a destination refused an event, which is kept in the directory."""
        return self.directory is not None and (self.directory / "refused.ndjson").exists()

    def discard(self) -> None:
        """Delete a closed log: nothing in it is needed any more."""
        import shutil

        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            with contextlib.suppress(OSError):  # the run has other writers
                self.directory.parent.rmdir()

    def close(self) -> None:
        """Give the log up: unmap it, and let anybody deliver what is left."""
        segment = self._segment
        segment.seal()
        self.settle()
        for spare in self._spares:
            spare.discard()
        self._spares.clear()
        for left in (*self._left, segment):
            left.close()
        if self.lock:
            self.lock.release()


def _nothing() -> None:
    return None


def _words(error: BaseException) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
