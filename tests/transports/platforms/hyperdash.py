"""Hyperdash's fake."""

from __future__ import annotations

from typing import ClassVar

from loghook.testing import FakeHyperdashServer
from loghook.transports.hyperdash_words import run_uuid

__all__ = ["Bench"]


class Bench:
    """The SDK protocol, strictly. The run that the suite's batches belong to is begun."""

    exactly_once: ClassVar[bool] = False
    needs_key: ClassVar[bool] = True
    nul: ClassVar[str] = "\0"

    def __init__(self) -> None:
        self.server = FakeHyperdashServer()
        self.server.begin(run_uuid("0123456789abcdef0123456789abcdef"))
        self.url = f"hyperdash+{self.server.url}"
        self.key = self.server.key

    def messages(self) -> list[str]:
        """The lines of all logs, in order."""
        return self.server.lines()

    def values(self, name: str) -> list[float]:
        """The values of a metric, in order."""
        return self.server.values(name)

    def violations(self) -> list[str]:
        """What the fake noted."""
        return self.server.violations + self.server.errors

    def rotate(self, key: str) -> None:
        """Takes one other key."""
        self.server.keys[:] = [key]

    def too_large(self) -> None:
        """Bounds the body."""
        self.server.max_bytes = 10_000

    def close(self) -> None:
        """Ends the server."""
        self.server.close()
