"""Which destinations are in trouble: one line in a process says so of each, however many runs send there."""

from __future__ import annotations

__all__ = ["Outages", "outages"]


class Outages:
    """The destinations of whose trouble a line has told. No lock, since a fork may come at any moment."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, bool], object] = {}

    def begin(self, destination: str, *, quiet: bool = False) -> bool:
        """Note that a destination takes nothing; whether that is news. What is said quietly nobody has heard."""
        mark = object()
        return self._told.setdefault((destination, quiet), mark) is mark

    def known(self, destination: str, *, quiet: bool = False) -> bool:
        """Whether a line has told of a destination's trouble, which lasts."""
        return (destination, quiet) in self._told

    def end(self, destination: str) -> bool:
        """Note that a destination takes events; whether that is news."""
        ended = [self._told.pop((destination, quiet), None) for quiet in (False, True)]
        return any(ended)


outages = Outages()
