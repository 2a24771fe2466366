"""How far each destination has got in one writer's log."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Acknowledged", "Acks"]

_WIDTH = 64
_LINE = re.compile(rb"(\d+) (\d+) (\d+) *\n")


class Acknowledged(NamedTuple):
    """What a destination has: everything below `offset`, which is `events` events, and `refused` it will never take."""

    offset: int = 0
    events: int = 0
    refused: int = 0


class Acks:
    """The acknowledged offsets of one writer's log, in files where there is a directory, else in memory.

    One write of 64 bytes inside one page replaces the old number; a reader that finds anything else sees
    what it knew before, or 0, which costs a repeat and loses nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._known: dict[str, Acknowledged] = {}
        self._unsaved: dict[str, Acknowledged] = {}

    def get(self, destination: str) -> Acknowledged:
        """Return what `destination` has acknowledged, freshly read."""
        if unsaved := self._unsaved.get(destination):
            return unsaved
        if self.directory is not None:
            try:
                found = _LINE.fullmatch((self.directory / f"{destination}.ack").read_bytes())
            except OSError:
                found = None
            if found:
                known = Acknowledged(int(found[1]), int(found[2]), int(found[3]))
                self._known[destination] = known
                return known
        return self._known.get(destination, Acknowledged())

    def move(self, destination: str, offset: int, *, events: int, refused: int = 0) -> Acknowledged:
        """Move `destination` to `offset`; `events` more are delivered there, `refused` more will never be.

        Where the disk can't be written the number in memory serves, until the next move can be.
        """
        known = self.get(destination)
        moved = Acknowledged(offset, known.events + events, known.refused + refused)
        self._unsaved[destination] = moved
        if self._save(destination, moved):
            self._known[destination] = moved
            self._unsaved.pop(destination, None)
        return moved

    def _save(self, destination: str, moved: Acknowledged) -> bool:
        if self.directory is None:
            return False
        try:
            fd = os.open(self.directory / f"{destination}.ack", os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(fd, (b"%d %d %d" % moved).ljust(_WIDTH - 1) + b"\n", 0)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True
