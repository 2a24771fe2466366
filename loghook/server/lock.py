"""One server to a home folder: a lock that the kernel releases when its holder ends, however that happens."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from loghook.errors import ServerError

__all__ = ["HomeLock", "holder_of"]

TRIES = 10
BETWEEN = 0.02
"""Seconds between two tries to take a lock that is held."""


class HomeLock:
    """Holds HOME/server/lock, or the lock of a database elsewhere. Raises ServerError when another server holds it."""

    def __init__(self, path: Path, *, guards: Path | None = None) -> None:
        """`guards` is what the lock is for; None: the home folder that it lies in."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServerError(f"{path} cannot be used: {error.strerror}") from None
        if not _taken(self._descriptor):
            holder = os.read(self._descriptor, 200).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            who = f" ({holder})" if holder else ""
            raise ServerError(
                f"another server{who} uses {guards or path.parent.parent}; stop it, or give this one another"
            )
        self.tell("")

    def tell(self, text: str) -> None:
        """Leave a line for whoever finds the lock taken: who holds it."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Let go of the home folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _taken(descriptor: int) -> bool:
    """Take the lock, if need be at a second try: whoever looks whether it is held holds it for that moment."""
    for _ in range(TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(BETWEEN)
        else:
            return True
    return False


def holder_of(path: Path) -> str | None:
    """Return what the living holder of a lock file told, "" before it told anything; None where nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.read(descriptor, 8192).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)
    return None
