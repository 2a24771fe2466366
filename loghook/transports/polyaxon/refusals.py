"""Which events the platform will not take, and why: each is told once, however many of its parts were refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..base import Batch, Delivered

__all__ = ["Refusals"]


class Refusals:
    """The refused events of one writer, by where in its log they start."""

    def __init__(self) -> None:
        self._reasons: dict[int, str] = {}
        self._told: set[int] = set()

    def add(self, starts: Iterable[int], reason: str) -> None:
        """Note that the events at `starts` were refused, or a part of each."""
        for start in starts:
            if start not in self._told:
                self._reasons.setdefault(start, reason)

    def delivered(self, batch: Batch, offset: int, taken: int | None = None) -> Delivered:
        """The outcome for a batch, with what was refused of it and of those before it.

        Of a batch that was cut short, what is refused beyond its end waits for its rest.
        """
        late = tuple((start, self._reasons.pop(start)) for start in sorted(self._reasons) if start < batch.offset)
        lines = [
            (line, start) for line, start, _ in (batch.events() if self._reasons else ()) if start in self._reasons
        ]
        aside = tuple((line, self._reasons.pop(start)) for line, start in lines)
        self._told.update(start for start, _ in late)
        self._told.update(start for _, start in lines)
        self._told = {start for start in self._told if start >= offset}
        return Delivered(offset, aside, taken, late)
