"""Where a log's segments come from: on disk where that can be used, in memory otherwise, as far as the limits go."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from loghook.spool.limits import Limits
from loghook.spool.segment import HEADER, MappedSegment, MemorySegment, Segment, header

__all__ = ["Supply", "words"]

_RETRY_DISK = 5.0


class Supply:
    """Makes segments, and knows what those on disk take.

    Any thread may ask for one, at any moment; what is shared changes by single C calls.
    """

    def __init__(self, directory: Path | None, limits: Limits, *, mapped: bool, clock: Callable[[], float]) -> None:
        self.directory = directory
        self.limits = limits
        self._clock = clock
        self.mapped = mapped and directory is not None
        self.trouble = ""
        """What keeps the disk from being used, or did last."""
        self._numbers = itertools.count(1)
        self._sizes: dict[Path, int] = {}
        self._spares: list[MappedSegment] = []
        self._not_before = self._no_map_before = 0.0
        self._stored: tuple[Path, int] | None = None

    # ---------------------------------------------------------------- what is there

    def used(self) -> int:
        """Return the bytes that the segments on disk take, reserved ones included."""
        return sum(list(self._sizes.values()))

    def is_tight(self) -> bool:
        """Whether what is left on disk is for events that are dropped last."""
        return self.used() > self.limits.soft - self.limits.segment

    def has_disk(self) -> bool:
        """Whether the disk may be tried now: there is one, and it has not just failed."""
        return self.directory is not None and self._clock() >= self._not_before

    def failed(self, error: BaseException) -> None:
        """Leave the disk alone for a moment."""
        self.trouble = words(error)
        self._not_before = self._clock() + _RETRY_DISK

    def try_again(self) -> None:
        """Leave the disk alone no longer."""
        self._not_before = 0.0

    def _can_map(self) -> bool:
        """Whether a map may be tried now; where there is no memory for one, files may still be written."""
        return self.mapped and self.has_disk() and self._clock() >= self._no_map_before

    def forget_missing(self) -> None:
        """Take note of segments that somebody else deleted."""
        self.forget([path for path in list(self._sizes) if not path.exists()])

    def forget(self, paths: Iterable[Path]) -> None:
        """Take note that segments were deleted."""
        for path in paths:
            self._sizes.pop(path, None)

    # ---------------------------------------------------------------- segments

    def take(self, need: int, size: int, held: int, *, precious: bool, disk: bool) -> Segment | None:
        """Return an unused segment with room for `need` bytes, None where the limits allow none.

        `disk` says whether it may lie on disk; a new one has `size` bytes there if that is enough. `held` is how many
        bytes wait in memory already.
        """
        if disk and self.mapped:
            with contextlib.suppress(IndexError):
                spare = self._spares.pop()
                if spare.room >= need:
                    return spare
                self._spares.insert(0, spare)
            if self._can_map():
                size = max(size, need + HEADER)
                if self.used() + size > (self.limits.disk if precious else self.limits.soft):
                    return None
                segment = self._map(size)
                if segment:
                    return segment
        return self._in_memory(need, held, precious=precious)

    def _map(self, size: int) -> MappedSegment | None:
        path = self._new_path()
        try:
            segment = MappedSegment(path, size)
        except (OSError, ValueError) as error:
            self.trouble = words(error)
            self._no_map_before = self._clock() + _RETRY_DISK
            return None
        self._sizes[path] = size
        return segment

    def _in_memory(self, need: int, held: int, *, precious: bool) -> MemorySegment | None:
        usual = min(self.limits.segment, self.limits.memory // 4)
        for limit, tight in ((self.limits.soft_memory, False), (self.limits.memory, True)):
            if held + need <= limit and (precious or not tight):
                return MemorySegment(max(need, min(usual, limit - held)), tight=tight)
        return None

    def _new_path(self) -> Path:
        assert self.directory is not None
        return self.directory / f"{next(self._numbers):08d}.seg"

    def give_back(self, segment: Segment) -> None:
        """Keep a segment that another thread's won against for the next time."""
        if isinstance(segment, MappedSegment):
            self._spares.append(segment)

    def drop_hurt(self) -> None:
        """Let go of a spare whose file somebody else has changed; have the others guarded."""
        for spare in list(self._spares):
            spare.watch()
            if spare.is_hurt():
                with contextlib.suppress(ValueError):  # it was taken this moment
                    self._spares.remove(spare)
                    spare.discard()
                    self.forget([spare.path])

    def remember(self, segment: MappedSegment) -> None:
        """Take note that a segment's file is there."""
        self._sizes[segment.path] = segment.size

    def reserve(self, size: int) -> None:
        """Have a spare on disk of `size` bytes, its pages faulted in, if there is none and the limits allow it."""
        if self._spares or not self._can_map() or self.used() + size > self.limits.soft or self.is_tight():
            return
        spare = self._map(size)
        if spare:
            spare.touch()
            self._spares.append(spare)

    # ---------------------------------------------------------------- lines that waited in memory

    def prepare(self, segment: MemorySegment) -> None:
        """Give a memory segment its place on disk, by which readers know that its offsets are to come. Raises OSError.

        That is behind the lines that were stored last, or in a file of its own.
        """
        if segment.place:
            return
        path, end = self._stored or (Path(), -1)
        if end == segment.base and self._sizes.get(path, self.limits.segment) < self.limits.segment:
            segment.place = (path, self._sizes[path])
            return
        path = self._new_path()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        self._sizes[path] = HEADER
        segment.place = (path, HEADER)
        try:
            _write(fd, header(segment.base), 0)
        except OSError:
            segment.place = None
            path.unlink(missing_ok=True)
            self.forget([path])
            raise
        finally:
            os.close(fd)

    def store(self, segment: MemorySegment) -> None:
        """Write a sealed memory segment to its place on disk. Raises OSError.

        A write that stopped half way is done again from its start, in place, so a reader sees the same bytes.
        """
        if self.used() + len(segment.data) > self.limits.disk:
            raise OSError("spool limit reached")
        self.prepare(segment)
        assert segment.place is not None
        path, position = segment.place
        try:
            with path.open("r+b", buffering=0) as file:
                _write(file.fileno(), segment.data, position)
        except FileNotFoundError:
            segment.place = None
            raise
        self._sizes[path] = position + len(segment.data)
        self._stored = (path, segment.end())

    # ---------------------------------------------------------------- the end

    def drain(self) -> list[MappedSegment]:
        """Hand over the spares, for good."""
        spares, self._spares = self._spares, []
        return spares


def words(error: BaseException) -> str:
    """Return what an error says, for a sentence."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _write(fd: int, data: bytes | bytearray, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written
