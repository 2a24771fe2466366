"""A spool that keeps nothing, for a run that is not to be recorded."""

from __future__ import annotations

from pathlib import Path

from loghook.errors import SpoolError
from loghook.spool.spool import Spool
from loghook.spool.writer import Log

__all__ = ["Nowhere"]


class Nowhere(Spool):
    """Takes every event, and forgets it: no folder, no thread, no log."""

    def __init__(self, home: Path, run: str) -> None:
        """As the other spools, but nothing is made."""
        super().__init__(home, run)
        self.write = len

    @property
    def log(self) -> Log:
        """Nobody's. Raises SpoolError."""
        raise SpoolError("nothing is recorded here, since POLYAXON_NO_OP is set")

    def put(self, line: bytes) -> bool:
        """Forget an event."""
        return True

    def close(self) -> None:
        """Nothing to close."""
