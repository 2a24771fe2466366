"""Our own server's fake."""

from __future__ import annotations

from typing import ClassVar

from loghook.testing import FakeLoghookServer

__all__ = ["Bench"]


class Bench:
    """The ingest protocol, strictly."""

    exactly_once: ClassVar[bool] = True
    needs_key: ClassVar[bool] = True
    nul: ClassVar[str] = "\0"

    def __init__(self) -> None:
        self.server = FakeLoghookServer()
        self.url = self.server.url
        self.key = self.server.key

    def messages(self) -> list[str]:
        """The messages of all records, in order."""
        return [event["message"] for event in self.server.platform.records()]

    def values(self, name: str) -> list[float]:
        """The values of a metric, in order."""
        return [
            float(event["metrics"][name])
            for event in self.server.platform.records()
            if name in event.get("metrics", {})
        ]

    def violations(self) -> list[str]:
        """What the fake noted."""
        return self.server.violations + self.server.errors

    def rotate(self, key: str) -> None:
        """Takes one other key."""
        self.server.keys[:] = [key]

    def too_large(self) -> None:
        """Bounds the body."""
        self.server.platform.max_bytes = 10_000

    def close(self) -> None:
        """Ends the server."""
        self.server.close()
