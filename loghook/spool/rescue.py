"""Writing anew what somebody else took away: a segment's file that is gone, cut short, or not ours any more.

The map outlives its file. What is in it is written to a file of the same name; lines that are gone from the map as well
become filler of the same length, since offsets are names for ever.
"""

from __future__ import annotations

import itertools
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from loghook.spool.repair import torn_ranges
from loghook.spool.segment import HEADER, MappedSegment, header, reserve

__all__ = ["fill", "rescue"]

_EVENT = b'{"event":"dropped","dropped":{}}'
_LONGEST = 64 * 1024


def rescue(segment: MappedSegment, cuts: Iterable[int] = ()) -> list[tuple[int, int]]:
    """Write a sealed segment to its file again; return the offsets (start, end) of each stretch of lines lost.

    `cuts` are offsets where a line has to begin, since somebody reads on from there. Raises OSError when the disk
    takes no more, and leaves the segment as it is then.
    """
    shift = HEADER - segment.base
    end = segment.end() + shift
    fd = os.open(segment.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        # What came after the cut, into the page that the file now ends in, goes when the file grows; behind that page
        # the map may be touched only then.
        safe = -(-os.fstat(fd).st_size // mmap.PAGESIZE) * mmap.PAGESIZE
        content = bytearray(segment.map[: min(safe, end)])
        reserve(fd, segment.size)
        content += segment.map[safe:end]
        content[:HEADER] = header(segment.base)
        torn = torn_ranges(bytes(content[HEADER:]), last=False)
        holes = list(_cut([(HEADER + start, HEADER + stop) for start, stop in torn], [c + shift for c in cuts]))
        for start, stop in holes:
            content[start:stop] = _filler(stop - start)
            segment.map[start:stop] = content[start:stop]
        view = memoryview(bytes(content).ljust(segment.size, b"\0"))
        position = 0
        while position < segment.size:
            position += os.pwrite(fd, view[position:], position)
        segment.mended()
    finally:
        os.close(fd)
    return [(start - shift, stop - shift) for start, stop in holes]


def fill(path: Path, base: int, until: int, cuts: Iterable[int] = ()) -> list[tuple[int, int]]:
    """Make filler of what is not there in a file that nobody has mapped, and that went from `base` to `until`.

    Returns and raises as `rescue`.
    """
    size = until - base
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        content = os.pread(fd, size, HEADER).ljust(size, b"\0")
        holes = list(_cut(torn_ranges(content, last=False), [cut - base for cut in cuts]))
        for start, stop in holes:
            os.pwrite(fd, _filler(stop - start), HEADER + start)
        os.pwrite(fd, header(base), 0)
    finally:
        os.close(fd)
    return [(base + start, base + stop) for start, stop in holes]


def _cut(ranges: list[tuple[int, int]], cuts: list[int]) -> Iterator[tuple[int, int]]:
    for start, stop in ranges:
        points = [start, *sorted({cut for cut in cuts if start < cut < stop}), stop]
        yield from itertools.pairwise(points)


def _filler(size: int) -> bytes:
    """Return whole lines of `size` bytes in all; each is an event where it fits, so that all count them alike."""
    lines = bytearray()
    while rest := size - len(lines):
        # what is left over must not be too short for an event
        length = rest if rest <= _LONGEST else min(_LONGEST, rest - len(_EVENT) - 1)
        lines += (_EVENT if length > len(_EVENT) else b"").ljust(length - 1) + b"\n"
    return bytes(lines)
