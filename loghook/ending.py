"""The end of the process has one deadline, however many runs, experiments and destinations end with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["Ending", "ending"]

_SHARE = 0.5
"""Seconds that are kept for each of those that are still to end."""


class Ending:
    """The moment at which the process began to end, and what is left of anybody's patience since then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None

    def left(self, patience: float, others: int = 0) -> float:
        """Return how many seconds one of those that end with the process may take; the first to ask begins the end.

        `patience` is what it may take at most if it is alone; `others` are still to come, and half a second is kept for
        each, but no more than half of all.
        """
        now = self._clock()
        if self._began is None:
            self._began = now
        kept = min(_SHARE * others, patience / 2)
        return max(0.0, self._began + patience - kept - now)

    def forked(self) -> None:
        """In a forked child: it has an end of its own."""
        self._began = None


ending = Ending()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ending.forked)
