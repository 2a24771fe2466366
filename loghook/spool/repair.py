"""Mending what a dead writer left: a line that was torn when it died becomes filler, every other byte stays.

SIGKILL in the middle of a copy can leave one line with a zero byte in it, or without its newline; a power cut can leave
whole pages of zeros. Offsets are names for ever, so nothing is cut out: the torn line is overwritten, in place
and with the same length, by an event that says so, padded with blanks. Doing it again changes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from loghook.spool.reader import LogReader
from loghook.spool.segment import HEADER

_EVENT = b'{"event":"dropped","dropped":{"torn":1}}'

__all__ = ["filler", "repair", "torn_ranges"]


def torn_ranges(data: bytes, *, last: bool) -> list[tuple[int, int]]:
    """Return the (start, end) of every torn line in `data`, the lines of one segment.

    In the last segment of a log the zeros at the end are only what was reserved and not used.
    """
    end = len(data.rstrip(b"\0")) if last else len(data)
    ranges = []
    position = 0
    while position < end:
        zero = data.find(b"\0", position, end)
        if zero < 0:
            if data[end - 1 : end] != b"\n":
                ranges.append((data.rfind(b"\n", position, end) + 1 or position, end))
            break
        start = max(data.rfind(b"\n", position, zero) + 1, position)
        stop = data.find(b"\n", zero, end) + 1 or end
        ranges.append((start, stop))
        position = stop
    return ranges


def filler(size: int) -> bytes:
    """Return one line of `size` bytes that stands for a torn one: an event where it fits, else a blank line."""
    return (_EVENT if len(_EVENT) < size else b"").ljust(size - 1) + b"\n"


def repair(directory: Path) -> int:
    """Mend the segments in `directory`, whose writer must be dead; return how many torn lines there were.

    Raises OSError when the files can't be written.
    """
    pieces = LogReader(directory).refresh()
    torn = 0
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        with piece.path.open("r+b") as file:
            file.seek(HEADER)
            size = following.base - piece.base if following else -1
            data = file.read(size)
            for start, end in torn_ranges(data.ljust(size, b"\0"), last=following is None):
                os.pwrite(file.fileno(), filler(end - start), HEADER + start)
                torn += 1
    return torn
