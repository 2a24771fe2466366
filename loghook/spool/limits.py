"""How much a log may take, and which events are dropped last."""

from __future__ import annotations

__all__ = ["FIRST", "Limits", "is_precious"]

FIRST = 64 * 1024
"""Bytes of a log's first segment, where the limits allow that much."""


class Limits:
    """How large a log may get, in bytes: on disk, in memory where the disk can't be used, and one segment."""

    def __init__(self, disk: int = 1 << 30, memory: int = 64 << 20, segment: int = 4 << 20) -> None:
        self.disk = disk
        self.memory = memory
        self.segment = max(4096, min(segment, disk // 8))
        self.soft = disk - disk // 16
        """Above this plain records are dropped; what is left is for metrics, params and run events."""
        self.soft_memory = memory - memory // 16

    @property
    def smallest(self) -> int:
        """The size of a log's first segment: a process with one line to say takes little."""
        return min(FIRST, self.segment)

    def grown(self, size: int) -> int:
        """Return the size of the segment that follows one of `size`."""
        return min(self.segment, max(self.smallest, size * 4))


def is_precious(line: bytes) -> bool:
    """Whether an event is dropped last: metrics, params, run events. (A quote inside a JSON string is escaped.)"""
    return b'"metrics":' in line or b'"event":' in line
