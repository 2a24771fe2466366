"""Counting what had to be dropped, exactly, from any thread."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Drops"]


class Drops:
    """Dropped events by reason, and which of them the platform has not been told of yet.

    Adding is a ``list.extend``, which neither threads nor signal handlers can interleave; the keeper folds the list
    into a number, so that it stays short.
    """

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._folded: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._under_way: list[tuple[int, dict[str, int]]] = []
        self._since = self._until = 0.0

    def add(self, reason: str, count: int = 1) -> None:
        """Count events dropped now, for `reason`."""
        self._times.setdefault(reason, []).extend([time.time()] * count)

    def counts(self) -> dict[str, int]:
        """Return how many events were dropped so far, by reason."""
        reasons = sorted({*self._folded, *self._times})
        return {reason: self._folded.get(reason, 0) + len(self._times.get(reason, ())) for reason in reasons}

    def fold(self) -> None:
        """Fold the times into counts (one thread only)."""
        for reason, times in list(self._times.items()):
            if size := len(times):
                self._since = min(self._since or times[0], times[0])
                self._until = max(self._until, times[size - 1])
                # between these two lines a count may be seen twice, never not at all
                self._folded[reason] = self._folded.get(reason, 0) + size
                del times[:size]

    def untold(self) -> dict[str, object] | None:
        """Return what a "dropped" event should say now, None when everything was said."""
        self.fold()
        news = {reason: count - self._told.get(reason, 0) for reason, count in self._folded.items()}
        news = {reason: count for reason, count in news.items() if count}
        if not news:
            return None
        return {"dropped": news, "since": self._since, "until": self._until}

    def told(self, news: dict[str, object], end: int) -> None:
        """Say that the event made of `news` has been accepted, and lies in front of the offset `end`."""
        dropped = news["dropped"]
        assert isinstance(dropped, dict)
        for reason, count in dropped.items():
            self._told[reason] = self._told.get(reason, 0) + count
        self._under_way.append((end, dropped))
        self._since = self._until = 0.0

    def arrived(self, offset: int) -> None:
        """Take note that all below `offset` is where it belongs."""
        self._under_way = [one for one in self._under_way if one[0] > offset]

    def gone(self, is_gone: Callable[[int], bool]) -> None:
        """Have what was told by events that are gone, by the offsets where they ended, told again."""
        for one in self._under_way:
            if is_gone(one[0]):
                for reason, count in one[1].items():
                    self._told[reason] -= count
        self._under_way = [one for one in self._under_way if not is_gone(one[0])]
