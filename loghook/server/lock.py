"""One server to a home folder: a lock that the kernel releases when its holder ends, however that happens."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from loghook.errors import ServerError

__all__ = ["HomeLock"]


class HomeLock:
    """Holds HOME/server/lock. Raises ServerError when another server holds it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 200).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            who = f" ({holder})" if holder else ""
            raise ServerError(
                f"another server{who} uses {path.parent.parent}; stop it, or give this one another home folder"
            ) from None
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
