"""Runs and their writers: how events change their rows. For the writer's thread."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from math import inf, nextafter
from typing import Any

import orjson

from loghook.server.status import LOST_AFTER, seen_at
from loghook.server.store import internal
from loghook.server.store.schema import NO_RANK

__all__ = ["TooMuch", "Writer", "apply", "find_writer", "make_writer", "moved", "rank", "seen"]

NAME_LENGTH = 1000
MOST_TAGS = 1000
LARGEST_COUNT = 2**53
LARGEST_COLUMN = 8 * 1024 * 1024
"""Bytes of a run's params, and of the reasons for which it dropped events: each answer about it holds them all."""


class TooMuch(ValueError):
    """An event would make a run larger than a run may be; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Writer:
    """One writer of one run, as a batch finds it. `expected` is the offset that its next batch should begin at."""

    run: int
    number: int
    expected: int


def find_writer(connection: sqlite3.Connection, account: int, run: str, writer: str) -> Writer | None:
    """Return a writer of an account's run, or None while nothing of it was stored."""
    row = connection.execute(
        "SELECT writers.run, writers.number, next_offset FROM writers JOIN runs ON runs.number = writers.run "
        "WHERE runs.account = ? AND runs.id = ? AND writers.id = ?",
        (account, run, writer),
    ).fetchone()
    return Writer(*row) if row else None


def make_writer(
    connection: sqlite3.Connection, account: int, run: str, writer: str, time: float, source: str = "loghook"
) -> Writer:
    """Make a writer's row, and its run's where this is the first that is heard of it, at `time` (epoch seconds).

    `source` names the protocol by which the run was first heard of.
    """
    connection.execute(
        "INSERT INTO runs (account, id, name, source, started_at, last_seen, params, dropped, "
        "logs, metrics, set_aside, missing_bytes) VALUES (?, ?, ?, ?, ?, ?, '{}', '{}', 0, 0, 0, 0) "
        "ON CONFLICT DO NOTHING",
        (account, run, run, source, time, time),
    )
    (number,) = connection.execute("SELECT number FROM runs WHERE account = ? AND id = ?", (account, run)).fetchone()
    made = connection.execute(
        "INSERT INTO writers (run, id, next_offset, missing_bytes, last_seen) VALUES (?, ?, 0, 0, ?)",
        (number, writer, time),
    )
    return Writer(number, int(made.lastrowid or 0), 0)


def rank(connection: sqlite3.Connection, writer: Writer) -> int:
    """Return a writer's rank, NO_RANK where it has told of none."""
    (told,) = connection.execute("SELECT rank FROM writers WHERE number = ?", (writer.number,)).fetchone()
    return NO_RANK if told is None or told < 0 else int(told)


def seen(
    connection: sqlite3.Connection, writer: Writer, earliest: float, latest: float, sent: float | None, now: float
) -> None:
    """Note that events of these times came; `sent` and `now` as in `status.seen_at`."""
    last = seen_at(latest, sent, now)
    # A run that was told to be lost, and lives, can be lost again.
    lives = now - last <= LOST_AFTER
    connection.execute(
        "UPDATE runs SET last_seen = max(last_seen, ?), started_at = min(started_at, ?), "
        "told = CASE WHEN told = 'lost' AND ? THEN 'running' ELSE told END WHERE number = ?",
        (last, earliest, lives, writer.run),
    )
    connection.execute("UPDATE writers SET last_seen = max(last_seen, ?) WHERE number = ?", (last, writer.number))


def apply(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    """Change a run's and a writer's row as an event of the run's life says; the event was checked by `parse`."""
    apply_one = APPLY.get(event["event"])
    if apply_one is not None:
        apply_one(connection, writer, event)


def _run_started(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    # What a writer says after an end of its own is later than that end, whatever its clock says.
    owner, began, ended = _life(connection, writer)
    time = event["time"]
    if owner == writer.number and ended is not None and ended >= time:
        time = nextafter(ended, inf)
    if began is None or time >= began:
        connection.execute(
            "UPDATE runs SET began = ?, owner = ?, told = CASE WHEN ended_at < ? THEN 'running' ELSE told END "
            "WHERE number = ?",
            (time, writer.number, time, writer.run),
        )
    _described(connection, writer, event)
    if isinstance(event["run"].get("params"), dict):
        _merge(connection, writer, "params", event["run"]["params"])


def _described(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    """Keeps what is told of a run; what is not told stays. Tags are added, unless `replace` is true."""
    run = event["run"]
    known = {
        "name": _text(run.get("name")),
        "host": _text(run.get("host")),
        "python": _text(run.get("python")),
        "pid": _integer(run.get("pid")),
        "rank": _integer(run.get("rank")),
        "argv": _json(run.get("argv")),
        "git": _json(run.get("git")),
        "project": _text(run.get("project")),
        "group": _text(run.get("group")),
        "description": _text(run.get("description")),
    }
    for column in ("name", "project", "group"):
        known[column] = str(known[column] or "")[:NAME_LENGTH] or None
    known = {column: value for column, value in known.items() if value is not None}
    if isinstance(run.get("tags"), list):
        known["tags"] = _tags(connection, writer, run["tags"], event.get("replace") is True)
    if known:
        columns = ", ".join(f'"{column}" = ?' for column in known)
        connection.execute(f"UPDATE runs SET {columns} WHERE number = ?", (*known.values(), writer.run))


def _tags(connection: sqlite3.Connection, writer: Writer, told: list[Any], replace: bool) -> str:
    (known,) = connection.execute("SELECT tags FROM runs WHERE number = ?", (writer.run,)).fetchone()
    tags = [*([] if replace else orjson.loads(known)), *(tag[:NAME_LENGTH] for tag in told if isinstance(tag, str))]
    return orjson.dumps(list(dict.fromkeys(tags))[:MOST_TAGS]).decode()


def _writer_started(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    told = event["writer"]
    connection.execute(
        "UPDATE writers SET pid = ?, host = ?, rank = ? WHERE number = ?",
        (_integer(told.get("pid")), _text(told.get("host")), _integer(told.get("rank")), writer.number),
    )


def _params(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    if event.get("replace") is True:
        connection.execute("UPDATE runs SET params = '{}' WHERE number = ?", (writer.run,))
    _merge(connection, writer, "params", event["params"])


def _dropped(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    counts = {reason: count for reason, count in event["dropped"].items() if _integer(count)}
    (known,) = connection.execute("SELECT dropped FROM runs WHERE number = ?", (writer.run,)).fetchone()
    total = orjson.loads(known)
    for reason, count in counts.items():
        total[reason] = min(total.get(reason, 0) + count, LARGEST_COUNT)
    _merge(connection, writer, "dropped", total)


def _run_ended(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    # The end that the latest start's writer tells of is later than that start, whatever its clock says; what another
    # writer tells of may be an older life's end that comes late, and only the times can tell.
    owner, began, ended = _life(connection, writer)
    time = event["time"]
    if owner != writer.number and ended is not None and ended > time:
        return
    if owner == writer.number and began is not None:
        began = min(began, time)
    connection.execute(
        "UPDATE runs SET began = ?, ended_at = ?, ending = ?, exception = ?, reason = ?, "
        "told = CASE told WHEN 'lost' THEN 'running' ELSE told END WHERE number = ?",
        (
            *(began, time, event["status"], _text(event.get("exception")), _text(event.get("reason"))),
            writer.run,
        ),
    )


def _life(connection: sqlite3.Connection, writer: Writer) -> tuple[int | None, float | None, float | None]:
    """The writer that told of a run's latest start, and the times of that start and of the latest end."""
    found: tuple[int | None, float | None, float | None] = connection.execute(
        "SELECT owner, began, ended_at FROM runs WHERE number = ?", (writer.run,)
    ).fetchone()
    return found


def _internal(connection: sqlite3.Connection, writer: Writer, event: dict[str, Any]) -> None:
    internal.add(connection, writer.run, event["internal"])


APPLY = {
    "run_started": _run_started,
    "writer_started": _writer_started,
    "params": _params,
    "dropped": _dropped,
    "run_ended": _run_ended,
    "internal": _internal,
    "described": _described,
}


def _merge(connection: sqlite3.Connection, writer: Writer, column: str, values: dict[str, Any]) -> None:
    (known,) = connection.execute(f"SELECT {column} FROM runs WHERE number = ?", (writer.run,)).fetchone()
    merged = orjson.dumps({**orjson.loads(known), **values}).decode()
    if len(merged) > LARGEST_COLUMN:
        raise TooMuch(f"the {column} of a run have at most {LARGEST_COLUMN} bytes")
    connection.execute(f"UPDATE runs SET {column} = ? WHERE number = ?", (merged, writer.run))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    # SQLite's integers have 64 bits.
    fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value if fits else None  # type: ignore[return-value]


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def moved(connection: sqlite3.Connection, writer: Writer, offset: int, missing: int, set_aside: int) -> None:
    """Move the writer's offset, and count bytes that never came and lines that were set aside."""
    connection.execute(
        "UPDATE writers SET next_offset = ?, missing_bytes = missing_bytes + ? WHERE number = ?",
        (offset, missing, writer.number),
    )
    if missing or set_aside:
        connection.execute(
            "UPDATE runs SET missing_bytes = missing_bytes + ?, set_aside = set_aside + ? WHERE number = ?",
            (missing, set_aside, writer.run),
        )
