"""Memory for the bodies that are under way, shared between accounts so that none can take it from the others.

A body needs room from its first byte until it is stored, and a little for being there at all. When there is none left,
room is taken from the account that has most: from its oldest body that is not yet being worked at. So whoever sends
slowly, or a lot at once, pushes out what is their own; whoever sends little finds room. No I/O; for one thread.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType

__all__ = ["Full", "Room", "Upload"]

EACH = 64 * 1024
"""Bytes that a body counts from its beginning: as much waits in its connection."""


class Full(Exception):
    """There is no room for this body: it is to be sent again later."""


class Upload:
    """One body. A context manager: at its end the room is free again.

    parts: what has come. working: true once it must not be pushed out any more.
    """

    def __init__(self, room: Room, account: int) -> None:
        self._room = room
        self.account = account
        self.size = 0
        self.parts: list[bytes] = []
        self.working = False
        self.pushed_out = False

    def __enter__(self) -> Upload:
        self._room.take(self, EACH)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._room.leave(self)

    def add(self, part: bytes) -> None:
        """Keep a part of the body. Raises Full."""
        self._room.take(self, len(part))
        self.parts.append(part)

    def work(self) -> list[bytes]:
        """Return the parts, which nobody can take away from now on. Raises Full."""
        if self.pushed_out:
            raise Full
        self.working = True
        return self.parts


class Room:
    """All of it.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._of: Counter[int] = Counter()
        self._uploads: dict[Upload, None] = {}  # in the order in which they began

    def upload(self, account: int) -> Upload:
        """Return a body of an account, to be entered. Entering raises Full."""
        return Upload(self, account)

    def take(self, upload: Upload, size: int) -> None:
        """Give an upload room for so many bytes more, if need be by pushing another out. Raises Full."""
        if upload.pushed_out:
            raise Full
        self._uploads[upload] = None
        self._count(upload, size)
        while self._held > self._most:
            pushed = self._largest()
            if pushed is None:
                self.leave(upload)
                raise Full
            self.leave(pushed)
            if pushed is upload:
                raise Full

    def leave(self, upload: Upload) -> None:
        """Take its room back; a second time does nothing."""
        if upload in self._uploads:
            del self._uploads[upload]
            self._count(upload, -upload.size)
            upload.pushed_out = True
            upload.parts = []

    def _count(self, upload: Upload, size: int) -> None:
        upload.size += size
        self._held += size
        self._of[upload.account] += size
        if not self._of[upload.account]:
            del self._of[upload.account]

    def _largest(self) -> Upload | None:
        """The oldest body of the account that has most, among those that can be pushed out."""
        free = [upload for upload in self._uploads if not upload.working]
        if not free:
            return None
        most = max(self._of[upload.account] for upload in free)
        return next(upload for upload in free if self._of[upload.account] == most)
