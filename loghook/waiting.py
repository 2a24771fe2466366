"""What waits for a destination when its run has ended: one line at the end tells how much, of all runs together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loghook.spool import WriterSpool
from loghook.voice import Voice

__all__ = ["Left", "Waiting", "waiting"]

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Left:
    """What one run leaves in its spool for one destination: `events`, from `offset` on.

    `why` says what is in the way, unless a line has said so before; `quiet` runs have nothing said.
    """

    destination: str
    url: str
    home: Path
    directory: Path | None
    offset: int
    events: int
    why: str
    quiet: bool

    def waiting(self) -> int:
        """How many events wait on disk: another run of this process may have delivered some since."""
        if self.directory is None or not self.directory.exists():
            return 0
        try:
            spool = WriterSpool(self.directory, {})
            offset = spool.acknowledged(self.destination)
            return self.events if offset == self.offset else sum(_lines(spool, offset))
        except (LookupError, OSError):
            return self.events


class Waiting:
    """All that the runs of this process have left and no line has told of."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, Path | None], Left] = {}

    def add(self, left: Left) -> None:
        """Note what a run leaves; of a spool that is noted twice the later counts."""
        self._left[left.destination, left.directory] = left

    def tell(self) -> None:
        """Say in one line what waits for each destination in a home folder."""
        found, self._left = self._left, {}
        together: dict[tuple[str, Path], list[Left]] = {}
        for left in found.values():
            if not left.quiet:
                together.setdefault((left.destination, left.home), []).append(left)
        for lefts in together.values():
            _tell(lefts)

    def forgotten(self) -> None:
        """In a forked child: it is its parent's to tell."""
        self._left.clear()


def _tell(lefts: list[Left]) -> None:
    counts = [(left, count) for left in lefts if (count := left.waiting())]
    total = sum(count for _, count in counts)
    if total:
        of = f" of {len(counts)} runs" if len(counts) > 1 else ""
        where = os.path.commonpath([str(left.directory) for left, _ in counts])
        why = next((f" ({left.why})" for left, _ in counts if left.why), "")
        Voice().say(f"{total} events{of} for {lefts[-1].url} wait in {where}; `loghook sync` sends them{why}")


def _lines(spool: WriterSpool, offset: int) -> Iterator[int]:
    """How many events lie at `offset` and after it, block by block."""
    offset = max(offset, spool.first)
    while data := spool.read(offset, _BLOCK):
        yield data.count(b"\n")
        offset += len(data)


waiting = Waiting()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=waiting.forgotten)
