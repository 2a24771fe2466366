"""Sees runs whose state has changed, and queues what is to be told of them.

A run's `told` is the state that was last told of: "running" from its beginning on, and again once it is resumed or
heard of after it was lost (`store.runs` sees to that). What is no longer running while its `told` says so has changed.
A run is not lost before this server has listened for as long as its patience: its own absence is no sign of anything.
What changed more than a day ago, an old spool say, is noted and told to nobody.
"""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable, Sequence

import orjson

from loghook.server.answers import number
from loghook.server.notify.destination import Destination
from loghook.server.notify.notice import make
from loghook.server.status import patience
from loghook.server.store import Store, logs, notices, series, views

__all__ = ["EVERY", "Watch"]

EVERY = 1.0
"""Seconds between two looks."""
RECENT = 24 * 3600.0
METRICS = 6
LINES = 20


class Watch:
    """Looks for changes; call `look` again and again, from one thread.

    Args:
        store: the runs, and the queue.
        told: who is told.
        url: makes the address of a run's page from its id.
        clock: epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        told: Sequence[Destination],
        url: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._told = [one.id for one in told]
        self._url = url
        self._clock = clock
        self._began = clock()
        store.writer.run(lambda connection: notices.forget_others(connection, self._told))

    def look(self) -> None:
        """Queue what has changed since the last look. Raises sqlite3.Error, Closed."""
        with self._store.reading() as connection:
            changed = [row["number"] for row in _open(connection) if self._state(row) != "running"]
        for run in changed:
            self._store.writer.run(functools.partial(self._note, run=run))

    def _state(self, row: sqlite3.Row) -> str:
        now = self._clock()
        state = str(views.run_fields(row, now)["status"])
        if state == "lost" and now - self._began <= patience(row["source"]):
            return "running"
        return state

    def _note(self, connection: sqlite3.Connection, *, run: int) -> None:
        """In one transaction: the state is noted as told, and what is to be told is queued."""
        (row,) = _open(connection, run) or (None,)
        state = "running" if row is None else self._state(row)
        if row is None or state == "running":
            return
        now = self._clock()
        connection.execute("UPDATE runs SET told = ? WHERE number = ?", (state, run))
        if self._told and now - row["last_seen"] <= RECENT:
            notices.add(connection, self._told, self._body(connection, row, now), now)

    def _body(self, connection: sqlite3.Connection, row: sqlite3.Row, now: float) -> str:
        run = {**views.run_fields(row, now), **views.ending(row)}
        metrics = {
            one.name: "NaN" if one.last is None else number(one.last)
            for one in series.main_metrics(connection, row["number"], METRICS)
        }
        lines = [] if run["status"] == "success" else logs.newest(connection, row["number"], logs.Filter(), LINES).lines
        return orjson.dumps(make(run, round(now * 1000), metrics, lines, self._url(row["id"]))).decode()


def _open(connection: sqlite3.Connection, run: int | None = None) -> list[sqlite3.Row]:
    """The runs that are told to be running: all, or one if it is."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    if run is None:
        return cursor.execute("SELECT * FROM runs WHERE told = 'running'").fetchall()
    return cursor.execute("SELECT * FROM runs WHERE told = 'running' AND number = ?", (run,)).fetchall()
