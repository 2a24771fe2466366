"""Segments: the pieces that a writer's log is made of.

Both kinds answer to the same names. ``write(line)`` appends a line in one C call, or raises ValueError when the segment
is full or sealed; ``seal()`` ends it for good and returns the offset after its last line; ``links`` holds, under
"next", the segment that follows, or `END` once the log is closed, and is set once with ``dict.setdefault`` (one C
call), so that threads and signal handlers that roll over at the same moment agree without a lock.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loghook.spool.guard import Guard, guard

__all__ = [
    "END",
    "HEADER",
    "NOT_YET",
    "MappedSegment",
    "MemorySegment",
    "Segment",
    "chain",
    "header",
    "parse_header",
    "reserve",
]

HEADER = 32
"""Bytes in front of the first line of a segment file."""

END: Any = object()
"""What follows the last segment of a log that is closed."""

NOT_YET = -1
"""The base of a segment that is not in use yet."""

_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, Linux 5.14; the mmap module has no name for it
_TOUCH = 64 * 1024
_HEADER = re.compile(rb"#loghook 1 (\d{20})\n")


def header(base: int) -> bytes:
    """Return the 32 bytes that open a segment file: format version and the offset of its first line."""
    return b"#loghook 1 %020d\n" % base


def parse_header(data: bytes) -> int | None:
    """Return the base offset that a segment file's first 32 bytes name, None while the segment is not in use."""
    found = _HEADER.fullmatch(data[:HEADER])
    return int(found[1]) if found else None


class MappedSegment:
    """A file of reserved zeros, mapped into memory; a line is copied into it without a system call.

    ``mmap.write`` checks the room, copies and moves its position in a single C call under the GIL, so
    it can't be interleaved by another thread or by a signal handler.
    """

    tight = False

    def __init__(self, path: Path, size: int) -> None:
        """Reserve and map `size` bytes at `path`. Raises OSError when there is no room or the path can't be made."""
        self.path = path
        self.size = size
        self.base = NOT_YET
        self.links: dict[str, Any] = {}
        self._end: int | None = None
        self._tried: list[int] = []
        self._guard: Guard | None = None
        self._slot = -1
        self._helped = 0
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            reserve(fd, size)
            self.map = mmap.mmap(fd, size)
            self.inode = os.stat(path).st_ino  # asked as `is_hurt` does
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        self.map.seek(HEADER)
        self.write = self.map.write
        self.watch(make=False)  # the first guard is the keeper's to make, milliseconds later

    @property
    def room(self) -> int:
        """The longest line, in bytes, that an empty segment of this size takes."""
        return self.size - HEADER

    def touch(self) -> None:
        """Fault every page in, in steps short enough that no other thread waits for the GIL."""
        try:
            for start in range(0, self.size, _TOUCH):
                self.map.madvise(_POPULATE_WRITE, start, min(_TOUCH, self.size - start))
        except (OSError, AttributeError, ValueError):
            return  # an older kernel: the pages come in on first use

    def watch(self, *, make: bool = True) -> None:
        """Have a guard look after the map, where there is one: a file that is cut short then ends no program."""
        if self._guard is None and (found := guard(make=make)):
            with contextlib.suppress(ValueError):  # unmapped
                self._slot = found.watch(self.map)
                self._guard = found

    def is_hurt(self) -> bool:
        """Whether the file is gone, cut short or another one, or had pages that the disk did not give back."""
        if self._guard and self._guard.helped(self._slot) > self._helped:
            return True
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return True
        except OSError as error:
            return error.errno == errno.EIO  # others may pass
        return status.st_size < self.size or status.st_ino != self.inode

    def mended(self) -> None:
        """Take note that the file has all lines again. Raises OSError when it is gone once more."""
        self.inode = os.stat(self.path).st_ino
        self._helped = self._guard.helped(self._slot) if self._guard else 0

    def activate(self, base: int) -> None:
        """Put `base`, the offset of the first line, into the header. Doing it twice is harmless.

        Raises ValueError once unmapped.
        """
        self.base = base
        self.map[:HEADER] = header(base)

    def seal(self) -> int:
        """Let no line in any more; return the offset after the last one.

        Filling the rest with zeros changes nothing in the file, and succeeds only if no line came in between
        reading the position and filling: a compare-and-swap out of one C call. Of the positions tried the last one
        succeeded, whatever has become of the lines themselves.
        """
        while self._end is None:
            try:
                if (position := self.map.tell()) < self.size:
                    self._tried.append(position)
                    self.map.write(bytes(self.size - position))
                self._end = self._after_last_line()
            except ValueError:
                continue  # a line came in between, or others have sealed it, rolled over and unmapped it
        return self._end

    def end(self) -> int:
        """Return the offset after the last line."""
        while (end := self._end) is None:
            try:
                return self._after_last_line()
            except ValueError:
                continue  # unmapped, and so sealed, this moment
        return end

    def _after_last_line(self) -> int:
        position = self.map.tell()
        if position >= self.size and self.map[-1:] != b"\n":
            position = max(self._tried, default=self.size)
        return self.base + position - HEADER

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on, out of the map; b"" for what is not in it. ValueError once unmapped."""
        if self.map.closed or not self.base <= offset < self.end():
            return b""
        start, stop = offset - self.base + HEADER, self.end() - self.base + HEADER
        zero = self.map.find(b"\0", start, stop)  # what was lost with the file, until it is mended
        stop = stop if zero < 0 else zero
        cut = self.map.rfind(b"\n", start, min(stop, start + max(max_bytes, 1))) + 1
        return self.map[start : cut or self.map.find(b"\n", start, stop) + 1]

    def close(self) -> None:
        """Unmap; a `write` that another thread still holds raises ValueError from here on."""
        self._end = self.end()
        if self._guard and not self.map.closed:
            slot, self._slot = self._slot, -1
            self._guard.release(slot)
        self.map.close()

    def discard(self) -> None:
        """Unmap and delete a segment that was never used."""
        self.close()
        self.path.unlink(missing_ok=True)


class MemorySegment:
    """Lines in memory, for where a memory map is not safe; the keeper moves them to disk where that is possible.

    A bytearray refuses to grow while a memoryview of it exists, which is what seals it.
    """

    def __init__(self, size: int, *, tight: bool = False) -> None:
        """Hold at most `size` bytes; `tight`: events alone that are dropped last."""
        self.size = self.room = size
        self.tight = tight
        self.place: tuple[Path, int] | None = None
        """The file, and the position in it, where the keeper is going to write this."""
        self.stored = False
        self.links: dict[str, Any] = {}
        self.data = bytearray()
        self.base = NOT_YET
        self._view: memoryview | None = None

    def write(self, line: bytes) -> int:
        """Append `line`; ValueError when it is full or sealed."""
        if len(self.data) + len(line) > self.size:
            raise ValueError("segment is full")
        try:
            self.data.extend(line)
        except BufferError:
            raise ValueError("segment is sealed") from None
        return len(line)

    def touch(self) -> None:
        """Nothing to fault in."""

    def activate(self, base: int) -> None:
        """Remember the offset of the first line."""
        self.base = base

    def seal(self) -> int:
        """Let no line in any more; return the offset after the last one."""
        if self._view is None:
            self._view = memoryview(self.data)
        return self.end()

    def end(self) -> int:
        """Return the offset after the last line."""
        return self.base + len(self.data)

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on; b"" for what is not in it."""
        start = offset - self.base
        if not 0 <= start < len(self.data):
            return b""
        cut = self.data.rfind(b"\n", start, start + max(max_bytes, 1)) + 1
        return bytes(self.data[start : cut or self.data.index(b"\n", start) + 1])

    def close(self) -> None:
        """Let no line in any more; the memory goes with the last reference."""
        self.seal()

    def discard(self) -> None:
        """Nothing on disk to delete."""


Segment = MappedSegment | MemorySegment


def chain(segment: Segment) -> Iterator[Segment]:
    """Yield `segment` and all that follow it."""
    following: Any = segment
    while following is not None and following is not END:
        yield following
        following = following.links.get("next")


def reserve(fd: int, size: int) -> None:
    """Take the blocks now: a full disk is an OSError here, and not a signal when the map is written to."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    zeros = bytes(_TOUCH)
    for start in range(0, size, _TOUCH):
        os.write(fd, zeros[: min(_TOUCH, size - start)])
