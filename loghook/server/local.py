"""Reads the spools of this machine's writers, so that scripts are seen without a network, live or long afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loghook.server.ingest import Ingest

__all__ = ["Local"]


class Local:
    """To come."""

    def __init__(
        self, home: Path, ingest: Ingest, account: int, deliver: Callable[[Path], object] | None = None
    ) -> None:
        self._home = home

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""
