"""Slows down whoever tries again and again; no I/O, and its memory never grows.

Each name (an account's, an address's) has a slot among a fixed number, found by a hash that outsiders cannot foresee.
A try counts as a failure until it is known to have succeeded, so many at the same moment gain nothing. After some free
failures the next try has to wait, twice as long after each further one, up to a minute; failures are forgotten by half
every quarter of an hour. Two names in one slot slow each other down: that takes thousands of failing names at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["LONGEST", "Brake"]

SLOTS = 8192
FIRST, LONGEST = 4.0, 60.0
"""Seconds between two tries, after the last free failure and at most."""
HALF_LIFE = 900.0


class Brake:
    """Counts the failures of names.

    Args:
        free: failures that cost nothing.
        clock: seconds, monotonic.
    """

    def __init__(self, free: int, clock: Callable[[], float]) -> None:
        self._free = free
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = [0.0] * SLOTS
        self._last = [0.0] * SLOTS

    def wait(self, name: str) -> float:
        """Return how many seconds a name has to wait; 0 when it may try now."""
        slot = self._slot(name)
        with self._lock:
            over = round(self._aged(slot)) - self._free
            pause = min(LONGEST, FIRST * 2.0 ** min(over, 10)) if over >= 0 else 0.0
            return max(0.0, self._last[slot] + pause - self._clock())

    def failed(self, name: str) -> None:
        """Count a try as a failure; call it before the try."""
        slot = self._slot(name)
        with self._lock:
            self._failures[slot] = self._aged(slot) + 1.0
            self._last[slot] = self._clock()

    def succeeded(self, name: str, *, all_of_it: bool) -> None:
        """Take a failure back, because the try succeeded; `all_of_it` forgets the earlier ones too."""
        slot = self._slot(name)
        with self._lock:
            self._failures[slot] = 0.0 if all_of_it else max(0.0, self._failures[slot] - 1.0)

    def _slot(self, name: str) -> int:
        return hash(name) % SLOTS  # of strings: seeded at random in each process

    def _aged(self, slot: int) -> float:
        elapsed = max(0.0, self._clock() - self._last[slot])
        return self._failures[slot] * 0.5 ** (elapsed / HALF_LIFE) if self._failures[slot] else 0.0
