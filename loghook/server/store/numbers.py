"""Numbers that this server gives out, each once for an account. For the writer's thread."""

from __future__ import annotations

import sqlite3

__all__ = ["next_number"]


def next_number(connection: sqlite3.Connection, account: int, kind: str, first: int) -> int:
    """Return the next number of a kind for an account, beginning with `first`."""
    name = f"last {kind} of account {account}"
    connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, first - 1))
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = ?", (name,))
    (number,) = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(number)
