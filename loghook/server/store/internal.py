"""Which metrics and parameters of a run are for its tools and not for readers: kept, but not among the main ones."""

from __future__ import annotations

import sqlite3
from typing import Any

__all__ = ["KINDS", "add", "names"]

KINDS = ("metrics", "params")


def add(connection: sqlite3.Connection, run: int, told: dict[str, Any]) -> None:
    """Note names, as `{"metrics": [...], "params": [...]}` tells them; what is no list of strings is left out."""
    for kind in KINDS:
        listed = told.get(kind)
        if isinstance(listed, list):
            connection.executemany(
                "INSERT OR IGNORE INTO internal VALUES (?, ?, ?)",
                [(run, kind, name) for name in listed if isinstance(name, str)],
            )


def names(connection: sqlite3.Connection, run: int) -> dict[str, list[str]]:
    """Return the names of each kind, sorted."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for kind, name in connection.execute("SELECT kind, name FROM internal WHERE run = ? ORDER BY name", (run,)):
        found[kind].append(name)
    return found
