"""The writing side: one log per process, appended to from any thread and from signal handlers."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loghook.spool import layout
from loghook.spool.acks import Acknowledged, Acks
from loghook.spool.backlog import Backlog
from loghook.spool.contents import Contents
from loghook.spool.drops import Drops
from loghook.spool.folder import Folder
from loghook.spool.limits import Limits, is_precious
from loghook.spool.rescue import fill, rescue
from loghook.spool.segment import END, NOT_YET, MappedSegment, MemorySegment, Segment, chain
from loghook.spool.supply import Supply, words

__all__ = ["Log"]

_LOOK = 1.0
"""Seconds between two looks at the files that are mapped no more."""
_PATIENCE = 30.0


class Log:
    """One writer's log in one process.

    `write` is the append of the segment in use, a C function; it raises ValueError when there is no room, and then
    `put` does the rest. Whatever threads or signal handlers may do at the same moment is a single C call on a
    shared object (``mmap.write``, ``dict.setdefault``, ``list.pop``, ``list.append``), so there is no lock to wait for.
    """

    def __init__(
        self,
        home: Path,
        run: str,
        meta: dict[str, Any],
        limits: Limits,
        *,
        mapped: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a new log under `home`; `meta` goes into its meta.json.

        `mapped` says whether a memory map may be used; None asks the file system. Never raises for the disk's
        sake: without a usable one the log lives in memory, and `trouble` says why. `clock` says, in seconds, when a
        disk that failed may be tried again.
        """
        self.run = run
        self.writer = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.limits = limits
        self.drops = Drops()
        self.wanted: Callable[[], None] = _nothing
        """Called, from any thread, when the reserved segment was taken."""
        self._folder = Folder(home, run, self.writer, {**meta, "run": run, "writer": self.writer})
        self.directory = self._folder.path
        self.acks = Acks(self.directory)
        if mapped is None:
            mapped = self.directory is not None and not layout.is_unsafe(layout.filesystem(self.directory))
        self._supply = Supply(self.directory, limits, mapped=mapped, clock=clock)
        self._backlog = Backlog()
        self._contents = Contents(self.directory, self._backlog, self._maps)
        self._left: list[MappedSegment] = []
        self._lowest = 0
        self._destinations: list[str] | None = None
        self._was_deleted = False
        self._clock = clock
        self._look_after = 0.0
        self._at_rest = (0, 0.0)
        self.patience = _PATIENCE
        """Seconds without a delivery, longer than any takes, after which nothing is under way any more."""
        self._skipped: list[tuple[int, int]] = []
        segment = self._supply.take(0, limits.smallest, 0, precious=True, disk=True) or MemorySegment(limits.segment)
        segment.activate(0)
        self._begin(segment)

    @property
    def trouble(self) -> str:
        """What keeps the disk from being used, or did last; "" when nothing ever did."""
        return words(self._folder.error) if self._folder.error else self._supply.trouble

    @property
    def mapped(self) -> bool:
        """Whether segments are memory maps where the disk can be used."""
        return self._supply.mapped

    # ---------------------------------------------------------------- the caller's side

    def put(self, line: bytes) -> bool:
        """Append `line`, one event with its newline, rolling over where needed; False: it was dropped and counted."""
        kept = self.offer(line)
        if not kept:
            self.drop()
        return kept

    def drop(self) -> None:
        """Count one event that the limits left no room for."""
        self.drops.add("limit" if self.mapped and not self._backlog else "memory")

    def offer(self, line: bytes) -> bool:
        """Append `line` if the limits allow it; False, and nothing counted, if not, or if the log is closed."""
        while True:
            try:
                self.write(line)
                return True
            except ValueError:
                if not self._roll(len(line), precious=is_precious(line), disk=not self._backlog):
                    return False

    def _roll(self, need: int, *, precious: bool, disk: bool) -> bool:
        """Go on to the segment that follows; False when the limits allow none, or when the log is closed.

        While lines wait in memory those that follow do so too: what lies on disk has no holes.
        """
        segment = self._segment
        following: Segment | None = segment.links.get("next")
        if following is None:
            if self._supply.is_tight() and not precious:
                return False
            self.wanted()
            size = self.limits.grown(segment.size)
            candidate = self._supply.take(need, size, self._backlog.held(), precious=precious, disk=disk)
            if candidate is None:
                return False
            segment.seal()
            following = segment.links.setdefault("next", candidate)
            if following is END:
                candidate.discard()
            elif following is not candidate:
                self._supply.give_back(candidate)
        if following is END or following is None:
            return False
        with contextlib.suppress(ValueError):  # unmapped: whoever rolled over first has activated it long ago
            following.activate(segment.seal())
        self._begin(following)
        if isinstance(segment, MappedSegment):
            self._left.append(segment)
        return True

    def _begin(self, segment: Segment) -> None:
        if isinstance(segment, MemorySegment) and "next" not in segment.links:
            self._backlog.add(segment)
        tight = segment.tight or self._supply.is_tight()
        self.write: Callable[[bytes], int] = self._write_precious if tight else segment.write
        self._segment = segment

    def _write_precious(self, line: bytes) -> int:
        """The append while the soft limit is passed: what is left is for events that are dropped last."""
        segment = self._segment
        if not segment.tight and not self._supply.is_tight():
            self.write = segment.write
        elif not is_precious(line):
            raise ValueError("soft limit")
        return segment.write(line)

    @property
    def full(self) -> bool:
        """Whether plain records are being dropped."""
        nearly = self.limits.soft_memory - self.limits.soft_memory // 16
        return self._segment.tight or self._supply.is_tight() or self._backlog.held() > nearly

    def disk_used(self) -> int:
        """Return the bytes that the segments on disk take, reserved ones included."""
        return self._supply.used()

    # ---------------------------------------------------------------- the keeper's side (one thread)

    def reserve(self) -> None:
        """Have one mapped segment ready, its pages faulted in, for the next roll-over; unmap what was left behind."""
        for mapped in self._maps():
            mapped.watch()
        for left in self._left[:-1]:
            if left.end() <= self._lowest or not left.is_hurt():  # where the file is gone the map is all there is
                left.close()
                self._left.remove(left)
        self._supply.drop_hurt()
        segment = self._last()
        if isinstance(segment, MappedSegment) and segment.end() - segment.base > segment.size // 4:
            self._supply.reserve(self.limits.grown(segment.size))
        if self.closed:
            self._discard_spares()

    def settle(self) -> None:
        """Move lines that lie in memory to disk, where that is possible, and forget what every destination has."""
        self._restore()
        self._note_skipped()
        self._rescue()
        for segment in self._backlog:
            unwanted = segment.stored or not segment.data or segment.end() <= self._lowest
            if "next" in segment.links and unwanted:
                if segment.data and not segment.stored:
                    self._supply.forget(self._contents.delete_before(segment))
                self._backlog.remove(segment)
            elif segment.data and self._supply.has_disk() and not self._store(segment):
                return

    def try_disk_again(self) -> None:
        """Have the next `settle` look at all files, and try a disk that has failed just now."""
        self._look_after = 0.0
        self._supply.try_again()

    def _store(self, segment: MemorySegment) -> bool:
        try:
            self._supply.prepare(segment)
            while "next" not in segment.links:
                if not self._roll(0, precious=True, disk=True):
                    return False
            segment.seal()
            self._supply.store(segment)
            segment.stored = True
        except OSError as error:
            self._supply.failed(error)
            return False
        self._backlog.remove(segment)
        return True

    def _restore(self) -> None:
        """Make the directory anew if somebody deleted it; what is put from then on is safe again."""
        if self.closed or not self._supply.has_disk() or not self._folder.is_missing():
            return
        try:
            self._folder.restore()
        except OSError as error:
            self._supply.failed(error)
            return
        self._supply.forget_missing()
        self._was_deleted = True

    def _rescue(self) -> None:
        """Write to disk again what somebody else deleted or cut short there, and count what is gone for good."""
        if self._destinations is None or not self._supply.has_disk():
            return
        hurt = [segment for segment in self._maps() if segment.is_hurt()]
        short = self._short_files()
        # a reader that has everything deletes files too, and says so before it does
        known = self._slowest(self._destinations)
        short = [file for file in short if file[2] > known.offset]
        acknowledged = [self.acks.get(name).offset for name in self._destinations]
        filled: list[tuple[int, int]] = []
        try:
            for segment in hurt:
                if segment.end() > known.offset:
                    filled += self._rescue_map(segment, acknowledged)
            for hole in self._holes(short, acknowledged):
                filled += fill(*hole, acknowledged)
        except OSError as error:
            self._supply.failed(error)
        if filled or hurt or short or self._was_deleted:
            self._was_deleted = False
            self._note_losses(filled, known)

    def _rescue_map(self, segment: MappedSegment, acknowledged: list[int]) -> list[tuple[int, int]]:
        while "next" not in segment.links:
            if not self._roll(0, precious=True, disk=True):
                return []
        segment.seal()
        lost = rescue(segment, acknowledged)
        self._supply.remember(segment)
        return lost

    def _holes(self, short: list[tuple[Path, int, int]], acknowledged: list[int]) -> Iterator[tuple[Path, int, int]]:
        """Yield where lines are missing in files that nobody has mapped any more: path, base, and the end."""
        first = self.first if short else 0
        yield from (file for file in short if file[1] >= first)  # in front of that the log just begins later
        for offset in {*acknowledged}:  # what somebody waits for, though its file be long enough
            if offset < self.end() and (hole := self._contents.hole_at(offset)):
                yield hole

    def _short_files(self) -> list[tuple[Path, int, int]]:
        if self._clock() < self._look_after:
            return []
        self._look_after = self._clock() + _LOOK
        try:
            return self._contents.short_files()
        except OSError:  # a disk that can't be read takes nothing away
            return []

    def _note_losses(self, filled: list[tuple[int, int]], known: Acknowledged) -> None:
        first, lowest = self.first, known.offset
        if first > lowest:
            self._contents.begins_at(first)
        self._contents.note_filled(filled, known)
        self.drops.gone(lambda end: lowest < end <= first or any(a < end <= b for a, b in filled))

    def _note_skipped(self) -> None:
        while self._skipped:
            self._contents.skipped(*self._skipped.pop(0))

    def count_lost(self, *, now: bool = False) -> None:
        """Count what went with files that somebody took away.

        Once the slowest destination is past it, or has not moved for longer than anything can be under way; or `now`.
        """
        slowest = self._slowest(self._destinations or [])
        self._note_skipped()
        if not self._contents.losses or slowest.offset != self._at_rest[0]:
            self._at_rest = (slowest.offset, self._clock())
        now = now or self._clock() - self._at_rest[1] > self.patience
        self._contents.keep_count()  # up to there at least
        if self._destinations and (lost := self._contents.lost(slowest, now=now)):
            self.drops.add("deleted", lost)

    def _slowest(self, destinations: list[str]) -> Acknowledged:
        return min((self.acks.get(name) for name in destinations), default=Acknowledged(), key=lambda one: one.offset)

    def tidy(self, destinations: list[str]) -> None:
        """Delete what every one of `destinations` has acknowledged."""
        self._destinations = destinations
        self._lowest = self._slowest(destinations).offset
        self.drops.arrived(self._lowest)
        try:
            self.count_lost()
            self._supply.forget(self._contents.delete(self._lowest))
        except OSError as error:
            self._supply.failed(error)

    # ---------------------------------------------------------------- reading, from any thread

    @property
    def accepted(self) -> int:
        """How many events this log has taken, dropped ones not among them."""
        return self._contents.count

    @property
    def in_memory(self) -> int:
        """How many events lie in memory alone, and go with the process."""
        return self._backlog.count_from(0)

    def accepted_below(self, end: int) -> int:
        """How many events this log has taken in front of the offset `end`."""
        return self._contents.count_below(end)

    def count_from(self, offset: int, end: int | None = None) -> int:
        """Return how many events lie at `offset` and after it, up to `end` where one is given."""
        return self._contents.count_from(offset, end)

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on; b"" for nothing (yet). Raises as `Contents.read`."""
        return self._contents.read(offset, max_bytes)

    @property
    def first(self) -> int:
        """The oldest offset that is still there."""
        return self._contents.first

    def skip(self, destination: str, offset: int) -> None:
        """Have `destination` go on at `offset`, since what was in front of it is gone; the keeper counts that."""
        self._skipped.append((self.acks.get(destination).offset, offset))
        self.acks.move(destination, offset, events=0)

    def _maps(self) -> list[MappedSegment]:
        mapped = [*self._left, *(s for s in chain(self._segment) if isinstance(s, MappedSegment))]
        return [segment for segment in mapped if segment.base != NOT_YET and not segment.map.closed]

    def end(self) -> int:
        """Return the offset after the last line."""
        return self._last().end()

    def _last(self) -> Segment:
        segment = last = self._segment
        for segment in chain(last):
            last = last if segment.base == NOT_YET else segment
        return last

    # ---------------------------------------------------------------- the end

    def give_up(self) -> dict[str, int]:
        """Drop, and count, what lies in memory alone, since it goes with the process; to be called without a keeper.

        Returns how many events each destination goes without. A disk that took part of them keeps that part.
        """
        acknowledged = {name: self.acks.get(name).offset for name in self._destinations or []}
        lost = {name: self._backlog.count_from(offset) for name, offset in acknowledged.items()}
        if any(lost.values()):
            kept = self._contents.give_up(min(acknowledged.values()), max(lost.values()))
            lost = {name: max(0, count - kept) for name, count in lost.items()}
            self.drops.add("disk", max(lost.values()))
        return lost

    @property
    def closed(self) -> bool:
        """Whether nothing can be put any more."""
        *_, last = chain(self._segment)
        return last.links.get("next") is END

    def _finish(self) -> None:
        """Let no line in any more, whoever is about to roll over."""
        segment = self._segment
        end = segment.seal()
        while (following := segment.links.setdefault("next", END)) is not END:
            with contextlib.suppress(ValueError):  # unmapped, and so activated long ago
                following.activate(end)
            segment = following
            end = segment.seal()

    def _discard_spares(self) -> None:
        for spare in self._supply.drain():
            spare.discard()

    def abandon(self) -> None:
        """Let go of everything without touching what is on disk: this process is a child, the log is its parent's."""
        self._folder.release()
        for segment in (*chain(self._segment), *self._supply.drain(), *self._left):
            segment.close()
            segment.links.setdefault("next", END)

    def is_delivered(self, destinations: list[str]) -> bool:
        """Whether every one of `destinations` has all that is here, and refused none of it."""
        refused = self.directory is not None and (self.directory / "refused.ndjson").exists()
        return not refused and all(self.acks.get(name).offset >= self.end() for name in destinations)

    def discard(self) -> None:
        """Delete a closed log: nothing in it is needed any more."""
        self._folder.discard()

    def close(self) -> None:
        """Give the log up: unmap it, and let anybody deliver what is left."""
        self._finish()
        self.try_disk_again()
        self.settle()
        self._discard_spares()
        for segment in (*self._left, *chain(self._segment)):
            segment.close()
        self._folder.release()


def _nothing() -> None:
    return None
