"""`Spool.put`, the door that every event goes through, and what happens to it at a fork."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loghook.spool.limits import Limits
from loghook.spool.writer import Log

__all__ = ["Spool"]

_live: weakref.WeakSet[Spool] = weakref.WeakSet()


class Spool:
    """The durable queue of one run in this process; a forked child gets a log of its own with its first event.

    `write(line)` is the shortest way in, a C function that raises ValueError when something has to be done first;
    `put(line)` does it. Both may be called from any thread, from signal handlers, and from themselves.
    """

    def __init__(
        self,
        home: Path,
        run: str,
        limits: Limits | None = None,
        *,
        meta: Callable[[], dict[str, Any]] = dict,
        opened: Callable[[Log], None] | None = None,
        begun: Callable[[Log], None] | None = None,
        mapped: bool | None = None,
    ) -> None:
        """Spool for `run` under `home`.

        `meta` is asked, in each process, for what goes into meta.json. `opened` is called with each new log, in
        the thread whose event needed it; what it puts into that log comes before everything else. Of logs that two
        threads open at once one is kept, and `begun` is called with that one.
        """
        self.home = home
        self.run = run
        self._limits = limits or Limits()
        self._meta = meta
        self._opened = opened
        self._begun = begun
        self._mapped = mapped
        self._current: dict[str, Log] = {}
        self.write: Callable[[bytes], int] = _closed
        _live.add(self)

    @property
    def log(self) -> Log:
        """This process's log, opened now if need be."""
        return self._current.get("log") or self._open()

    @property
    def is_open(self) -> bool:
        """Whether this process has a log."""
        return "log" in self._current

    def put(self, line: bytes) -> bool:
        """Append `line`, one event with its newline. True: it survives the process. False: dropped, and counted."""
        while True:
            log = self.log
            kept = log.offer(line)
            if kept or not log.closed:
                break
            if self._current.get("log") is log:  # closed by somebody else than us
                self._current = {}
        if not kept:
            log.drop()
        self.write = log.write
        return kept

    def _open(self) -> Log:
        log = Log(self.home, self.run, self._meta(), self._limits, mapped=self._mapped)
        if self._opened:
            self._opened(log)
        winner = self._current.setdefault("log", log)
        if winner is not log:
            log.close()
            log.discard()
        elif self._begun:
            self._begun(log)
        return winner

    def _forked(self) -> None:
        """In a forked child: forget the parent's log. No lock, no event; the first record opens a log of our own."""
        self.write = _closed
        current, self._current = self._current, {}
        for log in current.values():
            log.abandon()

    def remove_if_delivered(self, destinations: list[str]) -> None:
        """Close this process's log and delete it, if every one of `destinations` has all of it and refused nothing."""
        log = self.log
        if not log.is_delivered(destinations):
            return
        self.close()
        if log.is_delivered(destinations):  # nothing came in between
            log.discard()

    def close(self) -> None:
        """Close this process's log; an event put later opens a new one."""
        self.write = _closed
        current, self._current = self._current, {}
        for log in current.values():
            log.close()


def _closed(line: bytes) -> int:
    raise ValueError("no log is open in this process")


def _forked() -> None:
    for spool in list(_live):
        spool._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
