"""Writers of runs that are gone: what they send still finds the offset that they had reached.

A run that somebody deleted is to stay away, so its writers are closed: what they go on to send is taken, counted, and
thrown away. A run that went by itself, because of its age, is not closed: its writers, should one of them wake up, go
on where they were, in a new run of the same id; nothing old comes back and nothing new is lost. A writer that was
unknown when its run was deleted, a program that was started later say, makes the run anew.

For the writer's connection, but for `find`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace

from loghook.server.store.runs import Writer

__all__ = ["Gone", "close", "discard", "find", "note", "resume"]


@dataclass(frozen=True, slots=True)
class Gone:
    """A writer of a run that is gone. `expected` is the offset that its next batch should begin at."""

    account: int
    run: str
    writer: str
    expected: int
    closed: bool
    discarded: int


def find(connection: sqlite3.Connection, account: int, run: str, writer: str) -> Gone | None:
    """Return what is known of a writer whose run is gone; None for all others."""
    row = connection.execute(
        "SELECT next_offset, closed, discarded FROM gone WHERE account = ? AND run = ? AND writer = ?",
        (account, run, writer),
    ).fetchone()
    return Gone(account, run, writer, row[0], bool(row[1]), row[2]) if row else None


def note(connection: sqlite3.Connection, number: int, *, closed: bool, now: float) -> None:
    """Remember the writers of a run that goes, by its number; `now` in epoch seconds."""
    connection.execute(
        "INSERT OR REPLACE INTO gone SELECT runs.account, runs.id, writers.id, next_offset, ?, 0, ? "
        "FROM writers JOIN runs ON runs.number = writers.run WHERE runs.number = ?",
        (closed, now, number),
    )


def close(connection: sqlite3.Connection, account: int, run: str, writers: Iterable[str], now: float) -> None:
    """Close writers of a run that goes that nothing was stored of yet."""
    connection.executemany(
        "INSERT OR IGNORE INTO gone VALUES (?, ?, ?, 0, 1, 0, ?)", [(account, run, writer, now) for writer in writers]
    )


def discard(connection: sqlite3.Connection, gone: Gone, offset: int, lines: int) -> None:
    """Note that a closed writer's log was taken up to an offset, and that many lines of it thrown away."""
    connection.execute(
        "UPDATE gone SET next_offset = ?, discarded = discarded + ? WHERE account = ? AND run = ? AND writer = ?",
        (offset, lines, gone.account, gone.run, gone.writer),
    )


def resume(connection: sqlite3.Connection, gone: Gone, writer: Writer) -> Writer:
    """Let a writer, whose row was made just now, go on where it was."""
    connection.execute(
        "DELETE FROM gone WHERE account = ? AND run = ? AND writer = ?", (gone.account, gone.run, gone.writer)
    )
    connection.execute("UPDATE writers SET next_offset = ? WHERE number = ?", (gone.expected, writer.number))
    return replace(writer, expected=gone.expected)
