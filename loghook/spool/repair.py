"""Mending what a dead writer left: a line that was torn when it died becomes filler, every other byte stays.

SIGKILL in the middle of a copy can leave one line with a zero byte in it, or without its newline; a power cut can leave
whole pages of zeros. Offsets are names for ever, so nothing is cut out: the torn line is overwritten, in place
and with the same length, by an event that says so and blanks. Doing it again changes nothing.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import orjson

from loghook.spool.acks import Acks
from loghook.spool.reader import LogReader
from loghook.spool.segment import HEADER, header, parse_header

__all__ = ["filler", "repair", "torn_ranges"]

_EVENT = b'{"event":"dropped","dropped":{"torn":1}}'
_BLANK = 64 * 1024
"""The longest line of filler: what stands for a large hole must not be too large for a batch."""


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
        if _is_event(tail := data[start:stop].rpartition(b"\0")[2]):
            stop -= len(tail)  # a line that begins where the zeros end is whole
        ranges.append((start, stop))
        position = stop
    return ranges


def _is_event(line: bytes) -> bool:
    """Whether this is a whole event: what is left of a torn one closes more braces than it opens."""
    if not line.startswith(b"{") or not line.endswith(b"\n"):
        return False
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def filler(size: int) -> bytes:
    """Return whole lines of `size` bytes in all that stand for a torn one: an event where it fits, then blank lines."""
    lines = bytearray()
    while (rest := size - len(lines)) > 0:
        text = _EVENT if not lines and len(_EVENT) < rest else b""
        lines += text.ljust(min(rest, _BLANK) - 1) + b"\n"
    return bytes(lines)


def repair(directory: Path) -> int:
    """Mend the segments in `directory`, whose writer must be dead; return how many torn lines there were.

    Raises OSError when the files can't be written.
    """
    _give_header(directory)
    pieces = LogReader(directory).refresh()
    torn = 0
    for piece, following in itertools.zip_longest(pieces, pieces[1:]):
        with piece.path.open("r+b", buffering=0) as file:
            file.seek(HEADER)
            size = following.base - piece.base if following else -1
            data = file.read(size)
            for start, end in torn_ranges(data.ljust(size, b"\0"), last=following is None):
                _fill(file.fileno(), HEADER + start, HEADER + end)
                torn += 1
    return torn


def _give_header(directory: Path) -> None:
    """Give the one segment that has lines and no header, lost with its page in a power cut, its place: at the end."""
    reader, bare = LogReader(directory), []
    for path in directory.glob("*.seg"):
        content = path.read_bytes()
        if parse_header(content) is None and content[HEADER:].strip(b"\0"):
            bare.append(path)
    acknowledged = [Acks(directory).get(path.stem).offset for path in directory.glob("*.ack")]
    base = reader.end()
    if len(bare) == 1 and base >= max(acknowledged, default=0):
        with bare[0].open("r+b", buffering=0) as file:
            _write(file.fileno(), header(base), 0)


def _fill(fd: int, start: int, end: int) -> None:
    """Overwrite one torn line, in such an order that it stays one torn line until all is done, whatever comes between.

    Its end is marked first, then it becomes zeros, then filler, last part first and the first byte of all last.
    """
    new = filler(end - start)
    _write(fd, b"\n", end - 1)
    _write(fd, bytes(end - 1 - start), start)
    for position in range((len(new) - 1) // _BLANK * _BLANK, -1, -_BLANK):
        part = new[position : position + _BLANK]
        _write(fd, part[1:], start + position + 1)
        _write(fd, part[:1], start + position)


def _write(fd: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written
