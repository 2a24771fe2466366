"""A clock that stands still until it is moved."""

from __future__ import annotations

__all__ = ["Clock"]


class Clock:
    """Called like `time.time` or `time.monotonic`; returns `now`, in seconds, which `advance` moves on."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves the clock on by so many seconds."""
        self.now += seconds
