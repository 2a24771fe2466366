"""A run taken away: out of sight at once, its rows in slices, then the space given back to the file system in slices.

`condemn` is one small transaction: the run gets an account that nobody has, and its writers are remembered (see
`store.gone`). From then on no reader finds it and nothing is added to it. `Remover` deletes what it consists of, a few
hundredths of a second at a time, so that batches that come in wait for no more than one slice; where a server ends in
between, the next one goes on. A run's number is never given again, since readers may remember it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loghook.listener import claim
from loghook.server.store import Store, gone, views
from loghook.server.store.points import METRIC_BITS
from loghook.server.store.schema import LINE_BITS
from loghook.spool import LOCAL, run_writers
from loghook.threads import barred

__all__ = ["Condemned", "Remover", "Running", "condemn", "forget_spools", "given_back", "writers_here"]

CONDEMNED, EMPTY = 0, -1
"""Accounts that nobody has: of runs whose rows are being deleted, and of one kept so that its number is not reused."""
SLICE = 0.02
"""Seconds that batches may have to wait for one slice."""
WORTH_GIVING_BACK = 64 * 1024 * 1024
"""Free bytes in the file from which on a server that starts gives them back, whoever left them."""


class Running(ValueError):
    """The run goes on."""


@dataclass(frozen=True, slots=True)
class Condemned:
    """A run that was taken away: its id, name, lines, and when it was last heard of, epoch seconds."""

    id: str
    name: str
    logs: int
    last_seen: float


def condemn(
    connection: sqlite3.Connection, account: int, run: str, now: float, *, closed: bool, force: bool = False
) -> Condemned | None:
    """Take an account's run away; None where there is no such run. For the writer's thread.

    `closed` says what becomes of what its writers go on to send, see `store.gone`. Raises Running, unless `force`.
    """
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    row = cursor.execute("SELECT * FROM runs WHERE account = ? AND id = ?", (account, run)).fetchone()
    if row is None:
        return None
    if not force and views.run_fields(row, now)["status"] == "running":
        raise Running(f"run {run} goes on")
    gone.note(connection, row["number"], closed=closed, now=now)
    connection.execute(
        "UPDATE runs SET account = ?, id = number, told = 'deleted' WHERE number = ?", (CONDEMNED, row["number"])
    )
    return Condemned(row["id"], row["name"], row["logs"], row["last_seen"])


class Remover:
    """Deletes what condemned runs consist of; call `look` again and again, from one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.reading() as connection:
            (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
            free, page = given_back(connection)
        self._can_shrink = mode == 2
        self._has_freed = free * page >= WORTH_GIVING_BACK

    def look(self) -> bool:
        """Do one slice; true when there is more to do. Raises sqlite3.Error, Closed."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT number FROM runs WHERE account = ? LIMIT 1", (CONDEMNED,)).fetchone()
        if row is not None:
            self._store.writer.run(lambda connection: _delete_slice(connection, row[0], time.monotonic() + SLICE))
            self._has_freed = True
            return True
        if not self._has_freed:
            return False
        if self._can_shrink and self._store.writer.run(lambda connection: _shrink(connection, SLICE)):
            return True
        self._has_freed = False
        _checkpoint(self._store.path)
        return False


def given_back(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many pages of the file are free, and the bytes in a page."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    return free, page


def _delete_slice(connection: sqlite3.Connection, run: int, deadline: float) -> None:
    for step in STEPS:
        while step(connection, run):
            if time.monotonic() >= deadline:
                return
    connection.execute("DELETE FROM runs WHERE account = ? AND number < ?", (EMPTY, run))
    (top,) = connection.execute("SELECT max(number) FROM runs").fetchone()
    if top == run:
        connection.execute("UPDATE runs SET account = ? WHERE number = ?", (EMPTY, run))
    else:
        connection.execute("DELETE FROM runs WHERE number = ?", (run,))


def _rows(table: str, key: str, bits: int, most: int) -> Callable[[sqlite3.Connection, int], bool]:
    """A step that deletes some rows of a table whose integer key begins with a number; true when there were any."""

    def step(connection: sqlite3.Connection, number: int) -> bool:
        low, high = number << bits, (number + 1 << bits) - 1
        some = f"SELECT {key} FROM {table} WHERE {key} BETWEEN ? AND ? LIMIT {most}"
        return connection.execute(f"DELETE FROM {table} WHERE {key} IN ({some})", (low, high)).rowcount > 0

    return step


def _rows_of_run(table: str, key: str, most: int) -> Callable[[sqlite3.Connection, int], bool]:
    """A step that deletes some rows of a table that has its run in a column; true when there were any."""

    def step(connection: sqlite3.Connection, run: int) -> bool:
        some = f"SELECT {key} FROM {table} WHERE run = ? LIMIT {most}"
        given = (run, run)
        statement = f"DELETE FROM {table} WHERE run = ? AND {key} IN ({some})"
        return connection.execute(statement, given).rowcount > 0

    return step


METRIC_STEPS = tuple(
    _rows(table, key, METRIC_BITS, most)
    for table, key, most in (("points", "chunk", 20), ("summaries", "part", 20), ("open_points", "chunk", 50))
)


def _a_metric(connection: sqlite3.Connection, run: int) -> bool:
    """A step that deletes some points of one metric, or its row once it has none."""
    row = connection.execute("SELECT number FROM metrics WHERE run = ? LIMIT 1", (run,)).fetchone()
    if row is None:
        return False
    if not any(step(connection, row[0]) for step in METRIC_STEPS):
        connection.execute("DELETE FROM metrics WHERE number = ?", row)
    return True


STEPS: tuple[Callable[[sqlite3.Connection, int], bool], ...] = (
    _rows("logs", "id", LINE_BITS, 200),
    _rows("words", "block", LINE_BITS, 4),
    _a_metric,
    _rows_of_run("set_aside", "number", 50),
    _rows_of_run("messages", "digest", 200),
    _rows_of_run("internal", "name", 200),
    _rows_of_run("writers", "number", 200),
)


def _shrink(connection: sqlite3.Connection, seconds: float) -> bool:
    """Gives free pages at the end back, or puts others' content there first; true when there are more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not given_back(connection)[0]:
            return False
        # Python does only the first step of a statement without rows, and that frees one page.
        for _ in range(20):
            connection.execute("PRAGMA incremental_vacuum(1)")
    return True


def _checkpoint(path: Path) -> None:
    """Lets the file become as short as it can be now, without waiting for anybody."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def writers_here(home: Path, run: str) -> list[str]:
    """Return the writers of a run that have a spool on this machine."""
    return [spool.writer for spool in run_writers(home, run)]


def forget_spools(home: Path, run: str) -> int:
    """Delete the spools of a deleted run's dead writers, but for those that wait for other platforms; how many.

    Those, and the living writers', do not come back: the server has closed them.
    """
    removed = 0
    with barred():
        for spool in run_writers(home, run):
            if not claim(spool):
                continue
            try:
                end = spool.end()
                if all(spool.acknowledged(one) >= end for one in spool.destinations if one != LOCAL):
                    spool.remove()
                    removed += 1
                elif LOCAL in spool.destinations and spool.acknowledged(LOCAL) < end:
                    spool.acknowledge(LOCAL, end)
            finally:
                spool.lock.release()
    return removed
