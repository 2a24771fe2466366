"""What lies in a log, as the process that writes it sees it: lines in memory, in maps, and in files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from loghook.spool.backlog import Backlog
from loghook.spool.reader import LogReader, delete_acknowledged
from loghook.spool.segment import MappedSegment

__all__ = ["Contents"]

_BLOCK = 1 << 20


class Contents:
    """The lines of one log, wherever they lie now; any thread may read while others put and the keeper moves them.

    `maps` returns the memory maps that there are: they are read where a file can't be.
    """

    def __init__(self, directory: Path | None, backlog: Backlog, maps: Callable[[], list[MappedSegment]]) -> None:
        self._reader = LogReader(directory) if directory else None
        self._backlog = backlog
        self._maps = maps
        self._counted = (0, 0)

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on, at most `max_bytes` or one line that is longer; b"" for nothing (yet).

        Raises LookupError when `offset` lies before what is still there, OSError when the disk can't be read.
        """
        if data := self._backlog.read(offset, max_bytes):
            return data
        try:
            data = self._reader.read(offset, max_bytes) if self._reader else b""
        except (LookupError, OSError):
            if data := self._read_maps(offset, max_bytes):
                return data
            raise
        return data or self._read_maps(offset, max_bytes)

    def _read_maps(self, offset: int, max_bytes: int) -> bytes:
        """Read from memory maps: what is left of a file that somebody deleted, or that can't be opened now."""
        for segment in self._maps():
            with contextlib.suppress(ValueError):  # unmapped this moment
                if data := segment.read(offset, max_bytes):
                    return data
        return b""

    @property
    def first(self) -> int:
        """The oldest offset that is still there. Raises OSError when a file can't be opened."""
        # in the order in which lines move: what leaves memory meanwhile is then seen on disk
        bases = [*(segment.base for segment in self._backlog), *(segment.base for segment in self._maps())]
        pieces = self._reader.refresh() if self._reader else []
        return min([*bases, *(piece.base for piece in pieces[:1])], default=0)

    @property
    def count(self) -> int:
        """How many events there ever were, those that are deleted by now among them."""
        offset, count = self._counted
        return count + self.count_from(offset)

    def count_from(self, offset: int, end: int | None = None) -> int:
        """Return how many events lie at `offset` and after it, up to `end` where one is given."""
        count = 0
        while (end is None or offset < end) and (data := self.read(offset, _BLOCK)):
            count += data.count(b"\n", 0, len(data) if end is None else end - offset)
            offset += len(data)
        return count

    def count_below(self, end: int) -> int:
        """Return how many events lie in front of `end`."""
        offset, count = self._counted
        return count + self.count_from(offset, end) if offset <= end else count - self.count_from(end, offset)

    def keep_count(self) -> None:
        """Count what is new, while it is there (one thread only)."""
        offset, count = self._counted
        while data := self.read(offset, _BLOCK):
            offset, count = offset + len(data), count + data.count(b"\n")
            self._counted = (offset, count)

    def delete(self, offset: int) -> list[Path]:
        """Delete the files that hold nothing at `offset` or after it, and nothing uncounted; return their paths."""
        if self._reader is None or not offset:
            return []
        return delete_acknowledged(self._reader, min(offset, self._counted[0]))
