"""What a campaign is made of: rows, what they came to, and what each is given to work with."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Campaign", "Figures", "Row"]


@dataclass(frozen=True)
class Figures:
    """What one row came to."""

    tried: int
    """How often the fault was provoked; 0 where this machine can't provoke it, and `note` says why."""
    lost: int = 0
    """Records whose logging call returned and that did not arrive."""
    twice: int = 0
    """Records that are stored twice."""
    wrong: tuple[str, ...] = ()
    """One sentence for each thing that was not as promised, with what reproduces it."""
    note: str = ""
    """Figures worth a column: "exit within 3.1 s"."""

    @property
    def green(self) -> bool:
        """Whether everything was as promised; a fault that was never provoked, with no word why, shows nothing."""
        return not (self.lost or self.twice or self.wrong) and bool(self.tried or self.note)


@dataclass(frozen=True)
class Row:
    """One fault: what is tried and what has to happen, in words for README, and what tries it."""

    group: str
    """"Death", "Outage", "Exit", "Processes", "Disk", "Keys", "Soak", "Load"."""
    fault: str
    promise: str
    run: Callable[[Campaign], Figures]
    long_only: bool = False
    """Left out of the short form."""


class Campaign:
    """What a row is given: how thorough to be, its own chance, and a folder.

    The row's environment configures nothing, and LOGHOOK_HOME is `folder`/home, which does not exist yet.
    """

    def __init__(self, row: Row, folder: Path, seed: int, *, long: bool) -> None:
        self.long = long
        self.seed = seed
        self.random = random.Random(f"{seed} {row.fault}")
        """The same for the same seed, whichever rows run before."""
        self.folder = folder
        """Fresh and empty, and this row's alone."""
        self.home = folder / "home"
        self._row = row

    def times(self, short: int, long: int) -> int:
        """Return how often to try: `short` or `long`, as the form is."""
        return long if self.long else short

    def say(self, text: str) -> None:
        """Show a line of progress on stderr."""
        print(f"    {self._row.group}: {text}", file=sys.stderr, flush=True)
