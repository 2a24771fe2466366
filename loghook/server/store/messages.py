"""Messages of senders that count no offsets, remembered by digest, so that one that comes again is known.

Such a sender repeats a message whose answer it never got. What was stored stays remembered for a week after its run was
last heard of.
"""

from __future__ import annotations

import sqlite3

__all__ = ["KEPT", "forget_old", "remember"]

KEPT = 7 * 24 * 3600.0
"""Seconds after a run's last sign of life in which its messages are known."""


def remember(connection: sqlite3.Connection, run: int, digest: bytes) -> bool:
    """Note a message of a run; false when it was noted before."""
    return connection.execute("INSERT OR IGNORE INTO messages VALUES (?, ?)", (run, digest)).rowcount == 1


def forget_old(connection: sqlite3.Connection, now: float) -> None:
    """Forget the messages of runs that nothing was heard of for long; `now` in epoch seconds."""
    connection.execute("DELETE FROM messages WHERE run IN (SELECT number FROM runs WHERE last_seen < ?)", (now - KEPT,))
