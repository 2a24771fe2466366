"""Which files of a log ought to be there and how far each ought to reach; which of them somebody took or cut short."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from loghook.spool.segment import HEADER

__all__ = ["Census"]


class Census:
    """The files that have been seen in a log, by the offset where each begins."""

    def __init__(self) -> None:
        self._files: dict[int, Path] = {}

    def forget(self, below: int) -> None:
        """Forget the files that end at or below an offset: whoever deletes them may do so."""
        for base, following in itertools.pairwise(sorted(self._files)):
            if following <= below:
                del self._files[base]

    def short(self, present: Iterable[tuple[int, Path]], others: Iterable[int]) -> list[tuple[Path, int, int]]:
        """Return the files that do not reach as far as the next one begins: path, base, and where that is.

        `present` are the files that are there, of two with one base the empty one first; `others` are the bases of what
        lies in maps and in memory, which is looked after elsewhere.
        """
        self._files.update(present)
        held = set(others)
        places = itertools.pairwise(sorted({*self._files, *held}))
        files = [(self._files[base], base, until) for base, until in places if base not in held]
        return [(path, base, until) for path, base, until in files if _size(path) < until - base]


def _size(path: Path) -> int:
    """Return how many bytes of lines a file has room for; less than none if it is gone."""
    try:
        return path.stat().st_size - HEADER
    except FileNotFoundError:
        return -1
