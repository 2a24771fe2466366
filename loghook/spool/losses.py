"""What is known of events that somebody else took away with their files, until it is known how many they were."""

from __future__ import annotations

__all__ = ["Losses"]


class Losses:
    """Where events went, and what that does to the counts."""

    def __init__(self) -> None:
        self.until = 0
        """The offset behind the last place from which events went."""
        self.counted = 0
        """About how many of the events that went had been counted."""
        self._fillers = 0
        self._uncounted = 0
        self._open = False

    def __bool__(self) -> bool:
        return self._open

    def note(self, until: int, *, fillers: int = 0, counted: int = 0, uncounted: int = 0) -> None:
        """Take note of a place that ends at `until`.

        It holds `fillers` lines of filler in place of about `counted` events; `uncounted` more were never counted.
        """
        self._open = True
        self.until = max(self.until, until)
        self.counted += counted
        self._fillers += fillers
        self._uncounted += uncounted

    def settle(self, missing: int) -> int:
        """Return how many events are lost, `missing` of the counted ones being without a trace, and begin anew."""
        lost = max(0, missing + self._fillers + self._uncounted)
        self.counted = self._fillers = self._uncounted = self.until = 0
        self._open = False
        return lost
