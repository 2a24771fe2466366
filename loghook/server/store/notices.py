"""What is still to be told: one row a notice and destination, from a change of a run's state until that is told.

Destinations are named by a digest, so that addresses that are secrets lie in no database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Waiting", "add", "done", "due", "forget_others", "put_off"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that waits. `body` is what is told, as JSON; `created` in epoch seconds; `tries` that failed so far."""

    number: int
    body: str
    created: float
    tries: int


def add(connection: sqlite3.Connection, destinations: Iterable[str], body: str, now: float) -> None:
    """Queue a notice for each destination, due at once."""
    connection.executemany(
        "INSERT INTO notices (destination, body, created, tries, due) VALUES (?, ?, ?, 0, ?)",
        [(destination, body, now, now) for destination in destinations],
    )


def due(connection: sqlite3.Connection, destination: str, now: float) -> Waiting | None:
    """Return the oldest notice for a destination; None when there is none, or when its time has not come."""
    row = connection.execute(
        "SELECT number, body, created, tries, due FROM notices WHERE destination = ? ORDER BY number LIMIT 1",
        (destination,),
    ).fetchone()
    return Waiting(*row[:4]) if row is not None and row[4] <= now else None


def put_off(connection: sqlite3.Connection, number: int, until: float) -> None:
    """Note that a try failed, and when the next one is due."""
    connection.execute("UPDATE notices SET tries = tries + 1, due = ? WHERE number = ?", (until, number))


def done(connection: sqlite3.Connection, number: int) -> None:
    """Forget a notice: it was told, or given up."""
    connection.execute("DELETE FROM notices WHERE number = ?", (number,))


def forget_others(connection: sqlite3.Connection, destinations: Sequence[str]) -> None:
    """Forget what waits for destinations that are no longer wanted."""
    marks = ",".join("?" * len(destinations))
    connection.execute(f"DELETE FROM notices WHERE destination NOT IN ({marks})", tuple(destinations))
