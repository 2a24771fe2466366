"""A writer's folder: made whole, held by its lock while the process lives, and made again if somebody deletes it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from loghook.spool import layout

__all__ = ["Folder"]


class Folder:
    """The folder of this process's log. `path` is None where none could be made, and `error` says why."""

    def __init__(self, home: Path, run: str, writer: str, meta: dict[str, Any]) -> None:
        """Make the folder under a name that readers skip, and rename it once its lock is held. Raises nothing."""
        self.path: Path | None = None
        self.error: OSError | None = None
        self._meta = meta
        self._lock: layout.Lock | None = None
        final = layout.writer_directory(home, run, writer)
        draft = final.with_name(f".{writer}")
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (layout.spool_root(home), draft.parent, draft):
                folder.mkdir(mode=0o700, exist_ok=True)
            layout.write_meta(draft, meta)
            self._lock = layout.Lock(draft / "lock")
            self._lock.take()
            draft.rename(final)
        except OSError as error:
            self.error = error
            self.release()
            layout.delete(draft)
        else:
            self.path = final

    def is_missing(self) -> bool:
        """Whether there was a folder that somebody deleted."""
        return self.path is not None and not (self.path / "lock").exists()

    def restore(self) -> None:
        """Make the folder again. Raises OSError."""
        assert self.path is not None
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.write_meta(self.path, self._meta)
        lock = layout.Lock(self.path / "lock")
        lock.take()
        self.release()
        self._lock = lock

    def release(self) -> None:
        """Let go of the lock: somebody else may deliver what is here."""
        if self._lock:
            self._lock.release()

    def discard(self) -> None:
        """Delete the folder: nothing in it is needed any more."""
        if self.path:
            layout.delete(self.path)
            with contextlib.suppress(OSError):  # the run has other writers
                self.path.parent.rmdir()
