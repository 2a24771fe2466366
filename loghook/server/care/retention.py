"""Which runs go by themselves: those that nothing was heard of for too long, and the oldest once all take too much.

Off unless asked for. A run that goes on never goes, nor does one that is lost, for a day: its machine may only be
asleep or cut off. Nor does one without an end go before the server itself was up for a day: until then there was
nobody to hear of it, and its program may go on all the same. Age counts from when a run was last heard of. Size is
what the database takes on the disk, but for what is free in it. What went is told in one line of the server's log.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

from loghook.errors import ConfigurationError
from loghook.server.care.removal import CONDEMNED, Condemned, condemn, given_back
from loghook.server.store import Store
from loghook.settings import parse_size

__all__ = ["Keep", "Retention", "Uptime", "keep_in"]

logger = logging.getLogger("loghook.server")

EVERY = 60.0
"""Seconds between two looks at ages and sizes."""
DAY = 24 * 3600.0
PAUSE = 3600.0
"""Seconds that a server may have been stopped for, or its clock been put by, and still be taken to have been up."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long runs are kept, in days, and how much they may take together, in bytes; None for ever and any."""

    days: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.days is not None and not (isfinite(self.days) and self.days > 0):
            raise ConfigurationError(f"keep_days is a number of days, more than 0, not {self.days}")
        if self.size is not None and self.size <= 0:
            raise ConfigurationError(f"keep_size is a size, more than 0, not {self.size}")


def keep_in(path: Path) -> Keep:
    """Return what "keep_days" and "keep_size" in a file of settings say. Raises ConfigurationError."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        content = None  # whether the file is sound, the key source says
    found = content if isinstance(content, dict) else {}
    days, size = found.get("keep_days"), found.get("keep_size")
    try:
        return Keep(None if days is None else float(days), None if size is None else parse_size(size))
    except (TypeError, ValueError):
        raise ConfigurationError(f'{path}: "keep_days" is a number of days, "keep_size" a size like "20GB"') from None


class Uptime:
    """How long this process could hear of runs without a long pause, in seconds. Call it again and again.

    It begins anew after the process was stopped, or the machine suspended, and after its clock was put: how long a run
    was silent is not known then.

    Args:
        clock: epoch seconds.
        monotonic: seconds; may or may not go on while the machine is suspended.
    """

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._began = self._last = monotonic()
        self._last_clock = clock()

    def __call__(self) -> float:
        """Return the seconds until now."""
        now, clock = self._monotonic(), self._clock()
        passed, shown = now - self._last, clock - self._last_clock
        if passed > PAUSE or abs(shown - passed) > PAUSE:
            self._began = now
        self._last, self._last_clock = now, clock
        return now - self._began


class Retention:
    """Lets runs go; call `look` again and again, from one thread.

    Args:
        store: the runs.
        keep: what is kept.
        clock: epoch seconds.
        up: how long the server has been up, in seconds, see `Uptime`.
    """

    def __init__(
        self,
        store: Store,
        keep: Keep,
        clock: Callable[[], float] = time.time,
        up: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._keep = keep
        self._clock = clock
        self._up = up or Uptime(clock)
        self._next = 0.0
        self._complained = False

    def look(self) -> bool:
        """Let the oldest run go that has to; true when there may be more. Raises sqlite3.Error, Closed."""
        now = self._clock()
        up = self._up()
        if self._keep == Keep() or (abs(self._next - now) <= EVERY and now < self._next):
            return False
        found = self._store.writer.run(lambda connection: self._let_go(connection, now, up))
        if found is None:
            self._next = now + EVERY
            return False
        run, why = found
        silent = (now - run.last_seen) / DAY
        sentence = "run %s (%.100r, %d lines, last heard of %.1f days ago) was removed: %s"
        logger.warning(sentence, run.id, run.name, run.logs, silent, why)
        return True

    def _let_go(self, connection: sqlite3.Connection, now: float, up: float) -> tuple[Condemned, str] | None:
        days, size = self._keep.days, self._keep.size
        if days is not None:
            run = self._oldest(connection, now, up, now - days * DAY)
            if run is not None:
                return run, f"only the last {days:g} days are kept"
        if size is not None:
            taken = _taken(connection)
            if taken > size:
                run = self._oldest(connection, now, up, now)
                if run is not None:
                    return run, f"all runs together may take {size} bytes, and took {taken}"
                self._complain(taken, size)
        return None

    def _oldest(self, connection: sqlite3.Connection, now: float, up: float, before: float) -> Condemned | None:
        """Condemns the run that was not heard of for longest, and not since a time, if one may go."""
        lost = now - DAY if up >= DAY else -inf
        row = connection.execute(
            "SELECT account, id FROM runs WHERE account > ? AND last_seen < ? "
            "AND (last_seen < ? OR ended_at >= coalesce(began, 0)) ORDER BY last_seen LIMIT 1",
            (CONDEMNED, before, lost),
        ).fetchone()
        return condemn(connection, row[0], row[1], now, closed=False) if row else None

    def _complain(self, taken: int, size: int) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("the runs take %d bytes, and %d are to be kept; those that are left may go on", taken, size)


def _taken(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    free, page = given_back(connection)
    return int((pages - free) * page)
