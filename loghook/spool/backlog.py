"""What waits in memory, until it is on disk or every destination has it."""

from __future__ import annotations

from collections.abc import Iterator

from loghook.spool.segment import MemorySegment

__all__ = ["Backlog"]


class Backlog:
    """The memory segments of a log, oldest first. Any thread may add one: that is a single ``dict.setdefault``."""

    def __init__(self) -> None:
        self._segments: dict[int, MemorySegment] = {}

    def __iter__(self) -> Iterator[MemorySegment]:
        return iter(list(self._segments.values()))

    def __bool__(self) -> bool:
        return bool(self._segments)

    def add(self, segment: MemorySegment) -> None:
        """Keep a segment; twice is once."""
        self._segments.setdefault(id(segment), segment)

    def remove(self, segment: MemorySegment) -> None:
        """Let a segment go."""
        self._segments.pop(id(segment), None)

    def held(self) -> int:
        """Return how many bytes wait."""
        return sum(len(segment.data) for segment in self)

    def count_from(self, offset: int) -> int:
        """Return how many events at `offset` and after it are nowhere else."""
        waiting = [segment for segment in self if not segment.stored]
        return sum(segment.data.count(b"\n", max(0, offset - segment.base)) for segment in waiting)

    def bases(self) -> list[int]:
        """Return where each segment begins."""
        return [segment.base for segment in self]

    def clear(self) -> None:
        """Let everything go, and no line into what was here."""
        for segment in self:
            segment.seal()
            self.remove(segment)

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on; b"" for what is not in memory."""
        for segment in self:
            if data := segment.read(offset, max_bytes):
                return data
        return b""
