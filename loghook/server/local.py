"""Reads the spools of this machine's writers, so that scripts are seen without a network, live or long afterwards.

The database knows how far each writer's log was stored, so that is where reading begins; the offset that is left in the
spool afterwards, under the name "local", only says what may be deleted. A dead writer's spool is claimed first, which
mends a line that its death tore, and goes when everything in it is where it belongs.

Four times a second each living writer is asked for more. Folders are listed only when one of them has changed, and a
writer that is done is never looked at again: thousands of those cost a few `stat` calls a second.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from loghook.listener import claim, settle
from loghook.server.ingest import Gap, Ingest, Stored
from loghook.server.store import Closed
from loghook.spool import LOCAL, WriterSpool, sweep, writers
from loghook.threads import barred

__all__ = ["EVERY", "Local"]

logger = logging.getLogger("loghook.server")

EVERY = 0.25
"""Seconds between two looks at the living writers."""
LIST_EVERY = 1.0
"""Seconds between two looks for new ones, and for dead ones."""
FULL_LIST_EVERY = 30.0
PATIENCE = 2.0
"""Seconds that a living writer has to write anew what somebody deleted, before reading goes on behind it."""
BATCH = 512 * 1024


@dataclass(slots=True)
class Reading:
    """A spool that is being read. `claimed` once its writer is dead and the spool is ours."""

    spool: WriterSpool
    offset: int
    claimed: bool = False
    look_again: float = 0.0
    gap_since: float = 0.0


class Local:
    """Takes what writers of this machine log; call `look` again and again, from one thread.

    Args:
        home: the home folder, whose spools are read.
        ingest: where events go.
        account: the number of the account that owns their runs.
    """

    def __init__(self, home: Path, ingest: Ingest, account: int) -> None:
        self._home = home
        self._ingest = ingest
        self._account = account
        self._reading: dict[Path, Reading] = {}
        self._done: set[Path] = set()
        self._seen: object = None
        self._settled = False
        self._next_full_listing = 0.0
        self._next_listing = 0.0

    def look(self) -> bool:
        """Take one batch of each writer that has something; true when there was any. Raises sqlite3.Error, Closed."""
        with barred():
            if time.monotonic() >= self._next_listing:
                self._next_listing = time.monotonic() + LIST_EVERY
                self._list()
            taken = [self._take_or_leave(reading) for reading in list(self._reading.values())]
            return any(taken)

    def close(self) -> None:
        """Let go of all spools."""
        for reading in self._reading.values():
            reading.spool.lock.release()
        self._reading.clear()

    def _list(self) -> None:
        seen = _folders(self._home / "spool")
        # Two changes within one tick of the file system's clock look like one: look again after a change, and now and
        # then anyway.
        settled = seen == self._seen
        if settled and self._settled and time.monotonic() < self._next_full_listing:
            return
        self._seen, self._settled = seen, settled
        self._next_full_listing = time.monotonic() + FULL_LIST_EVERY
        present = set()
        sweep(self._home)
        for spool in writers(self._home):
            present.add(spool.directory)
            if spool.directory in self._done or spool.directory in self._reading:
                continue
            if LOCAL in spool.destinations:
                stored = self._ingest.expected(self._account, spool.run, spool.writer)
                # What is stored and not yet acknowledged is read again, for its count.
                self._reading[spool.directory] = Reading(spool, min(stored, spool.acknowledged(LOCAL)))
            else:
                self._done.add(spool.directory)
        self._done &= present

    def _take_or_leave(self, reading: Reading) -> bool:
        """One spool that cannot be read, or that nothing can be made of, holds up none of the others."""
        spool = reading.spool
        try:
            return self._take(reading)
        except (sqlite3.Error, Closed):
            raise
        except Exception as error:
            sentence = "the spool %s cannot be taken: %r; it is left as it is until this server starts anew"
            logger.error(sentence, spool.directory, error)
            spool.lock.release()
            self._drop(reading)
            return False

    def _take(self, reading: Reading) -> bool:
        spool = reading.spool
        first = spool.first
        if self._may_come_back(reading, first):
            return False
        reading.offset = max(reading.offset, first)
        try:
            body = spool.read(reading.offset, BATCH)
        except LookupError:
            return True  # deleted this moment: `first` says so the next time
        if not body:
            return self._idle(reading)
        try:
            stored = self._ingest.events(self._account, spool.run, spool.writer, reading.offset, body, first=first)
        except Gap as gap:  # the same writer's events came over the network too
            reading.offset = gap.expected
            return True
        self._acknowledge(reading, body, stored)
        reading.offset = stored.offset
        return True

    def _may_come_back(self, reading: Reading, first: int) -> bool:
        """Whether what lies in front of `first` was deleted a moment ago: a living writer writes what it has anew."""
        if first <= reading.offset or reading.claimed:
            reading.gap_since = 0.0
            return False
        reading.gap_since = reading.gap_since or time.monotonic()
        return time.monotonic() - reading.gap_since < PATIENCE

    def _acknowledge(self, reading: Reading, body: bytes, stored: Stored) -> None:
        before = reading.spool.acknowledged(LOCAL)
        if stored.offset > before:
            events = _lines(body[max(0, before - reading.offset) :])
            refused = min(len(stored.set_aside), events)
            reading.spool.acknowledge(LOCAL, stored.offset, events=events - refused, refused=refused)

    def _idle(self, reading: Reading) -> bool:
        """There was nothing to read: is the writer dead, and this the end? True when there may be more to read."""
        if time.monotonic() < reading.look_again:
            return False
        reading.look_again = time.monotonic() + LIST_EVERY
        if reading.claimed:
            self._finish(reading)
            return False
        if not reading.spool.directory.exists():
            self._drop(reading)
            return False
        if reading.spool.alive() or not claim(reading.spool):
            return False
        # Between the last read and its death it may have written; and what was torn is mended now.
        reading.claimed = True
        reading.look_again = 0.0
        return True

    def _finish(self, reading: Reading) -> None:
        if reading.spool.acknowledged(LOCAL) < reading.offset:
            reading.spool.acknowledge(LOCAL, reading.offset)
        settle(reading.spool)
        self._drop(reading)

    def _drop(self, reading: Reading) -> None:
        del self._reading[reading.spool.directory]
        if reading.spool.directory.exists():
            self._done.add(reading.spool.directory)


def _lines(body: bytes) -> int:
    return sum(1 for line in body.split(b"\n") if line.strip())


def _folders(root: Path) -> object:
    """Something that changes when a writer comes or goes: the folders' times of change."""
    try:
        with os.scandir(root) as entries:
            return {entry.name: entry.stat().st_mtime_ns for entry in entries}
    except FileNotFoundError:
        return {}
