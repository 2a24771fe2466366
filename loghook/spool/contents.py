"""What lies in a log, as the process that writes it sees it: lines in memory, in maps, and in files."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable
from pathlib import Path

from loghook.spool.acks import Acknowledged
from loghook.spool.backlog import Backlog
from loghook.spool.census import Census
from loghook.spool.losses import Losses
from loghook.spool.reader import LogReader, delete_acknowledged
from loghook.spool.segment import MappedSegment, MemorySegment

__all__ = ["Contents"]

_BLOCK = 1 << 20
_PATIENCE = 2.0
"""Seconds that a disk may refuse to give a line back before the line is given up."""


class Contents:
    """The lines of one log, wherever they lie now; any thread may read while others put and the keeper moves them.

    `maps` returns the memory maps that there are: they are read where a file can't be.
    """

    def __init__(self, directory: Path | None, backlog: Backlog, maps: Callable[[], list[MappedSegment]]) -> None:
        self._reader = LogReader(directory) if directory else None
        self._backlog = backlog
        self._maps = maps
        self._counted = (0, 0)
        self.losses = Losses()
        self._census = Census()
        self._given_up = 0
        self._unreadable: dict[int, float] = {}

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on, at most `max_bytes` or one line that is longer; b"" for nothing (yet).

        Raises LookupError when `offset` lies before what is still there, OSError when the disk can't be read.
        """
        if data := self._backlog.read(offset, max_bytes):
            return data
        if offset < self._given_up:
            raise LookupError(f"offset {offset} is gone: the log begins at {self._given_up}")
        try:
            data = self._reader.read(offset, max_bytes) if self._reader else b""
        except (LookupError, OSError) as error:
            if data := self._read_maps(offset, max_bytes):
                return data
            if isinstance(error, LookupError):
                self._begin_behind(offset)
            elif error.errno == errno.EIO:
                if self._is_end(offset):
                    return b""
                self._lose_patience(offset)
            raise
        data = data or self._read_maps(offset, max_bytes)
        if not data and self._is_gap(offset):
            self._begin_behind(offset)
            raise LookupError(f"offset {offset} is gone: the log begins at {self.first}")
        return data

    def _is_gap(self, offset: int) -> bool:
        """Whether there is a later line, but no place that could hold the one at an offset (on disk: see `hole_at`)."""
        held = [*self._backlog, *self._maps()]
        known = self._reader.known if self._reader else []
        if any(one.base <= offset < one.end() for one in held) or any(piece.base <= offset for piece in known):
            return False
        if not known and not any(one.base > offset for one in held):
            return False
        # lines may have come, and left memory for the disk, since that was looked at
        pieces = self._reader.refresh() if self._reader else []
        return not any(piece.base <= offset for piece in pieces)

    def _is_end(self, offset: int) -> bool:
        ends = [*(segment.end() for segment in self._backlog), *(segment.end() for segment in self._maps())]
        return bool(ends) and offset >= max(ends)

    def _lose_patience(self, offset: int) -> None:
        """Give up what lies at an offset once a dead disk has refused it for a while."""
        since = self._unreadable.setdefault(offset, time.monotonic())
        if time.monotonic() - since > _PATIENCE:
            self._unreadable = {}
            self._begin_behind(offset)

    def _begin_behind(self, offset: int) -> None:
        """Have the log begin with what there is behind an offset, whose file is gone."""
        pieces = self._reader.known if self._reader else []
        bases = [base for base in (*self._bases(), *(piece.base for piece in pieces)) if base > offset]
        if bases and min(bases) > self._given_up:
            begin, self._given_up = max(offset, self._given_up), min(bases)
            self._note(begin, self._given_up)

    def _bases(self) -> list[int]:
        return [*self._backlog.bases(), *(segment.base for segment in self._maps())]

    def _read_maps(self, offset: int, max_bytes: int) -> bytes:
        """Read from memory maps: what is left of a file that somebody deleted, or that can't be opened now."""
        for segment in self._maps():
            with contextlib.suppress(ValueError):  # unmapped this moment
                if data := segment.read(offset, max_bytes):
                    return data
        return b""

    def hole_at(self, offset: int) -> tuple[Path, int, int] | None:
        """Return the file in which the line at `offset` should be, if it is not there though later ones are.

        With it come the offset where the file begins, and the one where the next one does.
        """
        if self._reader is None or self._has(offset):
            return None
        pieces = self._reader.refresh()
        mapped, waiting = self._maps(), list(self._backlog)
        bases = [*(piece.base for piece in pieces), *(one.base for one in mapped), *(one.base for one in waiting)]
        until = min((base for base in bases if base > offset), default=None)
        before = [piece for piece in pieces if piece.base <= offset]
        if until is None or not before or any(one.base <= offset < one.end() for one in mapped) or self._has(offset):
            return None
        return before[-1].path, before[-1].base, until

    def short_files(self) -> list[tuple[Path, int, int]]:
        """Return the files, mapped ones apart, that are gone or cut short: path, base, and where they should end."""
        if self._reader is None:
            return []
        others = self._bases()  # before the files: what leaves memory meanwhile is then seen on disk
        return self._census.short(((piece.base, piece.path) for piece in self._reader.refresh()), others)

    def _has(self, offset: int) -> bool:
        """Whether there is a line at an offset, or never will be."""
        try:
            return bool(self.read(offset, 1))
        except LookupError:
            return True

    @property
    def first(self) -> int:
        """The oldest offset that is still there. Raises OSError when a file can't be opened."""
        # in the order in which lines move: what leaves memory meanwhile is then seen on disk
        bases = self._bases()
        try:
            pieces = self._reader.refresh() if self._reader else []
        except OSError as error:
            if error.errno != errno.EIO or not bases:
                raise
            pieces = []  # a disk that is dead: what there is is in memory
        return max(min([*bases, *(piece.base for piece in pieces[:1])], default=0), self._given_up)

    @property
    def count(self) -> int:
        """How many events there ever were, those that are deleted by now among them."""
        offset, count = self._counted
        return count + self.count_from(offset)

    def count_from(self, offset: int, end: int | None = None) -> int:
        """Return how many events lie at `offset` and after it, up to `end` where one is given."""
        count = 0
        while end is None or offset < end:
            try:
                data = self.read(offset, _BLOCK)
            except LookupError:  # somebody deletes files this moment
                offset = max(offset + 1, self.first)
                continue
            if not data:
                break
            count += data.count(b"\n", 0, len(data) if end is None else end - offset)
            offset += len(data)
        return count

    def count_below(self, end: int) -> int:
        """Return how many events lie in front of `end`."""
        offset, count = self._counted
        return count + self.count_from(offset, end) if offset <= end else count - self.count_from(end, offset)

    def keep_count(self) -> None:
        """Count what is new, while it is there (one thread only)."""
        while True:
            offset, count = self._counted
            try:
                data = self.read(offset, _BLOCK)
            except LookupError:  # deleted before it was counted
                self._counted = (max(self.first, offset + 1), count)
                continue
            if not data:
                return
            self._counted = (offset + len(data), count + data.count(b"\n"))

    def _about(self, size: int) -> int:
        """Return about how many events so many bytes were, that went before they were counted."""
        offset, count = self._counted
        return max(1, round(size * count / offset)) if offset and count else 1

    def _note(self, start: int, stop: int, *, fillers: int = 0) -> None:
        """Take note of a stretch that is gone, part of which may have been counted."""
        counted = min(max(start, self._counted[0]), stop)
        self.losses.note(
            stop,
            fillers=fillers,
            counted=self._about(counted - start) if counted > start else 0,
            uncounted=self._about(stop - counted) if stop > counted else 0,
        )

    def skipped(self, start: int, stop: int) -> None:
        """Take note of a stretch that a destination goes without, if nobody has (one thread only)."""
        start = max(start, self._given_up)
        if start < stop:
            self._given_up = stop
            self._note(start, stop)

    def begins_at(self, first: int) -> None:
        """Take note that what was in front of the first line that is left is gone."""
        self._census.forget(first)
        self.losses.note(first)

    def note_filled(self, filled: list[tuple[int, int]], known: Acknowledged) -> None:
        """Take note of stretches that are filler now (one thread only).

        What the slowest destination has, which is `known`, is nobody's loss, and counted by it if it was not here.
        """
        if self._counted[0] < known.offset:
            self._counted = (known.offset, known.events + known.refused + self.losses.counted)
        counted = self._counted[0]
        for start, stop in filled:
            if stop > known.offset:
                self._note(start, stop, fillers=self.count_from(start, min(stop, counted)) if start < counted else 0)

    def lost(self, known: Acknowledged, *, now: bool = False) -> int:
        """Return how many events turn out to be gone for good, and count them no longer (one thread only).

        `known` is what the slowest destination has, and all of it is counted. What is under way to it may arrive
        though its file is gone, so this waits until it has got past the place, or not: `now`.
        """
        if not self.losses or (known.offset < self.losses.until and not now):
            return 0
        end, count = self._counted
        there = self.count_from(max(known.offset, self.first), end) if end > known.offset else 0
        right = known.events + known.refused + there
        self._counted = (end, right)
        return self.losses.settle(count - right)

    def give_up(self, offset: int, count: int) -> int:
        """Let go of what waits in memory, `count` events at `offset` and after it (one thread only).

        Returns how many of them the disk has all the same: a write that found no room may have come half way.
        """
        with contextlib.suppress(LookupError, OSError):
            self.keep_count()
        start = max(offset, min(self._backlog.bases()))
        self._backlog.clear()
        kept = 0
        with contextlib.suppress(LookupError, OSError):
            kept = self.count_from(start)
        end, counted = self._counted
        if end > start:
            self._counted = (end, counted - count + kept)
        return kept

    def delete(self, offset: int) -> list[Path]:
        """Delete the files that hold nothing at `offset` or after it, and nothing uncounted; return their paths."""
        if self._reader is None or not offset:
            return []
        self._census.forget(offset)
        return delete_acknowledged(self._reader, min(offset, self._counted[0]))

    def delete_before(self, segment: MemorySegment) -> list[Path]:
        """Delete all files in front of a segment that goes without ever having been on disk: they end in a hole."""
        pieces = self._reader.refresh() if self._reader else []
        gone = [piece.path for piece in pieces if piece.base < segment.end()]
        with contextlib.suppress(OSError):  # a disk that takes no change: what stays there is nobody's any more
            for path in gone:
                path.unlink(missing_ok=True)
        return gone
