"""Runs, read: the objects that the read API answers with. For a reader's connection."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from loghook.server.status import is_ended, patience, status
from loghook.server.store import internal

__all__ = [
    "CURSOR",
    "Cursor",
    "ending",
    "groups",
    "projectless",
    "projects",
    "run_details",
    "run_fields",
    "run_ids",
    "run_number",
    "run_page",
]

DETAILS = ("description", "host", "pid", "rank", "python", "missing_bytes", "set_aside")
PLAIN = re.compile(r"[A-Za-z0-9._-]+")
PAGE_BYTES = 8 * 1024 * 1024
"""Bytes of a page of runs; a page has fewer runs than were asked for, where they are so large."""
ENDING = 1000
"""Characters of a traceback that the list of runs gets."""


CURSOR = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?_[0-9]{1,18}")
"""How a cursor is written."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list of runs, newest first: behind the run with this start and number."""

    started_at: float
    number: int

    def __str__(self) -> str:
        return f"{self.started_at!r}_{self.number}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Return the cursor that `str` wrote. Raises ValueError."""
        if not CURSOR.fullmatch(text):
            raise ValueError("not a cursor")
        started_at, _, number = text.partition("_")
        return cls(float(started_at), int(number))


def run_number(connection: sqlite3.Connection, account: int, run: str) -> int | None:
    """Return the number of an account's run; None when the account has no such run."""
    row = connection.execute("SELECT number FROM runs WHERE account = ? AND id = ?", (account, run)).fetchone()
    return int(row[0]) if row else None


def run_ids(connection: sqlite3.Connection, account: int, beginning: str, limit: int) -> list[str]:
    """Return the ids of an account's runs that begin with a text, at most `limit`."""
    if not PLAIN.fullmatch(beginning):
        return []
    behind = beginning[:-1] + chr(ord(beginning[-1]) + 1)
    found = connection.execute(
        "SELECT id FROM runs WHERE account = ? AND id >= ? AND id < ? LIMIT ?", (account, beginning, behind, limit)
    )
    return [row[0] for row in found.fetchall()]


def run_page(
    connection: sqlite3.Connection,
    account: int,
    limit: int,
    before: Cursor | None,
    text: str,
    project: str | None = "",
) -> tuple[list[sqlite3.Row], Cursor | None]:
    """Return an account's runs, newest first, whose name or id has a text in it, and the cursor of the next page.

    With a project only its runs; with None for a project those that are in none.
    """
    where, values = _with_text(account, text)
    if before is not None:
        where += " AND (started_at, number) < (?, ?)"
        values += [before.started_at, before.number]
    if project is None:
        where += " AND project IS NULL"
    elif project:
        where += " AND project = ?"
        values.append(project)
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    cursor.execute(
        f"SELECT * FROM runs WHERE {where} ORDER BY started_at DESC, number DESC LIMIT ?", (*values, limit + 1)
    )
    rows: list[sqlite3.Row] = []
    room = PAGE_BYTES
    for row in cursor:
        if len(rows) == limit or room <= 0:
            cursor.close()
            return rows, Cursor(rows[-1]["started_at"], rows[-1]["number"])
        rows.append(row)
        room -= sum(len(value) for value in row if isinstance(value, str))
    return rows, None


def groups(
    connection: sqlite3.Connection, account: int, limit: int, before: Cursor | None, text: str
) -> tuple[list[tuple[str | None, int]], Cursor | None]:
    """Return the projects of runs whose name or id has a text in it, each with the number of these runs.

    Runs in no project are a group, None, too. The group with the newest run comes first. The second value is the cursor
    of the next page: the place of the last group's newest run.
    """
    where, values = _with_text(account, text)
    having = ""
    if before is not None:
        having = "HAVING (max(started_at), number) < (?, ?)"
        values += [before.started_at, before.number]
    # SQLite takes the number from the row that has the largest start.
    found = connection.execute(
        f"SELECT project, count(*), max(started_at) AS newest, number FROM runs WHERE {where} "
        f"GROUP BY project {having} ORDER BY newest DESC, number DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    more = Cursor(*found[limit - 1][2:]) if len(found) > limit else None
    return [(project, count) for project, count, _, _ in found[:limit]], more


def _with_text(account: int, text: str) -> tuple[str, list[Any]]:
    """The condition, and its values, for an account's runs whose name or id has a text in it."""
    if not text:
        return "account = ?", [account]
    return "account = ? AND (instr(lower(name), lower(?)) OR instr(lower(id), lower(?)))", [account, text, text]


def projects(connection: sqlite3.Connection, account: int, limit: int) -> list[dict[str, Any]]:
    """Return the account's projects, the one with the newest run first, each with the number of its runs."""
    found = connection.execute(
        "SELECT project, count(*), max(started_at) AS newest FROM runs WHERE account = ? AND project IS NOT NULL "
        "GROUP BY project ORDER BY newest DESC, project LIMIT ?",
        (account, limit),
    )
    return [{"name": name, "runs": count, "started_at": newest} for name, count, newest in found.fetchall()]


def projectless(connection: sqlite3.Connection, account: int) -> int:
    """Return how many of the account's runs are in no project."""
    found = connection.execute("SELECT count(*) FROM runs WHERE account = ? AND project IS NULL", (account,))
    return int(found.fetchone()[0])


def run_fields(row: sqlite3.Row, now: float) -> dict[str, Any]:
    """Return what the list of runs says of a run; times in epoch seconds."""
    ended = row["ended_at"] if is_ended(row["began"], row["ended_at"]) else None
    state = status(
        row["began"], row["ended_at"], row["ending"], row["last_seen"], now, lost_after=patience(row["source"])
    )
    end = ended if ended is not None else now if state == "running" else row["last_seen"]
    return {
        "id": row["id"],
        "name": row["name"],
        "status": state,
        "started_at": row["started_at"],
        "ended_at": ended,
        "params": orjson.loads(row["params"]),
        "source": row["source"],
        "project": row["project"],
        "group": row["group"],
        "last_seen": row["last_seen"],
        "duration": max(0.0, end - row["started_at"]),
    }


def ending(row: sqlite3.Row) -> dict[str, Any]:
    """Return where a run ran and why it ended, as briefly as a list needs it: of a traceback the end."""
    over = is_ended(row["began"], row["ended_at"])
    exception = row["exception"] if over else None
    return {
        "host": row["host"],
        "exception": exception[-ENDING:] if exception else None,
        "reason": row["reason"] if over else None,
    }


def run_details(connection: sqlite3.Connection, account: int, run: str, now: float) -> dict[str, Any] | None:
    """Return all that is known of an account's run, but for logs and metrics; None when it has no such run."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    row = cursor.execute("SELECT * FROM runs WHERE account = ? AND id = ?", (account, run)).fetchone()
    if row is None:
        return None
    fields = run_fields(row, now)
    over = fields["ended_at"] is not None
    writers = cursor.execute(
        "SELECT id, pid, host, rank, last_seen, missing_bytes FROM writers WHERE run = ? ORDER BY rank, number",
        (row["number"],),
    ).fetchall()
    return {
        **fields,
        **{name: row[name] for name in DETAILS},
        **{name: orjson.loads(row[name]) if row[name] else None for name in ("argv", "git", "tags")},
        "exception": row["exception"] if over else None,
        "reason": row["reason"] if over else None,
        "dropped": orjson.loads(row["dropped"]),
        "internal": internal.names(connection, row["number"]),
        "writers": [dict(writer) for writer in writers],
        "counts": {"logs": row["logs"], "metrics": row["metrics"]},
    }
