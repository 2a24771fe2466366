"""Log lines: written in blocks, read in pages by their ids.

A page is looked for from its cursor on, in windows that grow, until it is full or half a second has passed: a search
must not hold a reader for long. The answer says how far it came, and the caller goes on from there. Where a text is
looked for, the index of `words` says what can be left out.
"""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import orjson

from loghook.server.parsed import Records
from loghook.server.present import present
from loghook.server.store import rows, words
from loghook.server.store.schema import LINE_BITS, NOTABLE

__all__ = ["Filter", "Page", "add", "newer", "newest", "older"]

WINDOW = 2_000
LARGEST_WINDOW = 200_000
PATIENCE = 0.5
PAGE_BYTES = 8 * 1024 * 1024

WILD = re.compile("[!%_]")
NOT_ASCII = re.compile("[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines: from a level number on, of a logger and those below it, with a text in message or exception."""

    level: int = 0
    logger: str = ""
    text: str = ""


@dataclass(slots=True)
class Page:
    """Lines in ascending order, and where to go on.

    next: the id to ask with `after` for what comes later. first: the id to ask with `before` for what was earlier;
    None when there is nothing.
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    next: int = 0
    first: int | None = None


def add(connection: sqlite3.Connection, run: int, writer: int, records: Records) -> int:
    """Store records of a run in their order. Returns how many the run had before."""
    (count,) = connection.execute("SELECT logs FROM runs WHERE number = ?", (run,)).fetchone()
    first = (run << LINE_BITS) + count + 1
    # 0.9 us a record, 0.75 of them SQLite's. Pages of 8 or 16 KB would save 0.1 of the flushed commit behind it, and
    # cost small batches two to four times the bytes.
    ids = range(first, first + len(records))
    found = zip(ids, repeat(writer), records.levels, records.loggers, records.lines)
    rows.insert(connection, "INSERT INTO logs", 5, list(chain.from_iterable(found)))
    connection.execute("UPDATE runs SET logs = ? WHERE number = ?", (count + len(records), run))
    return int(count)


def newest(connection: sqlite3.Connection, run: int, wanted: Filter, limit: int) -> Page:
    """Return the last `limit` lines."""
    return older(connection, run, wanted, limit, _count(connection, run) + 1)


def older(connection: sqlite3.Connection, run: int, wanted: Filter, limit: int, before: int) -> Page:
    """Return the last `limit` lines with an id below `before`."""
    top = min(before - 1, _count(connection, run))
    lines, reached = _search(connection, run, wanted, limit, range(top, 0, -1))
    lines.reverse()
    return Page(lines, max(top, 0), reached + 1 if reached > 0 else None)


def newer(connection: sqlite3.Connection, run: int, wanted: Filter, limit: int, after: int) -> Page:
    """Return the first `limit` lines with an id above `after`."""
    count = _count(connection, run)
    after = max(after, 0)
    if after >= count:
        return Page([], after, after + 1 if after else None)
    lines, reached = _search(connection, run, wanted, limit, range(after + 1, count + 1))
    return Page(lines, reached - 1, after + 1 if after else None)


def _count(connection: sqlite3.Connection, run: int) -> int:
    (count,) = connection.execute("SELECT logs FROM runs WHERE number = ?", (run,)).fetchone()
    return int(count)


def _search(
    connection: sqlite3.Connection, run: int, wanted: Filter, limit: int, ids: range
) -> tuple[list[dict[str, Any]], int]:
    """The lines found, in the order of `ids`, and the first id not looked at."""
    condition, values = _condition(wanted)
    writers = _writers(connection, run)
    base, step = run << LINE_BITS, ids.step
    lines: list[dict[str, Any]] = []
    size, budget = WINDOW, PAGE_BYTES
    deadline = time.monotonic() + PATIENCE
    for part in words.parts(connection, run, wanted.text, ids) if wanted.text else [ids]:
        while part:
            window = part[:size]
            low, high = sorted((window[0], window[-1]))
            found = connection.execute(
                f"SELECT id - {base}, writer, line FROM logs WHERE id BETWEEN ? AND ?{condition} "
                f"ORDER BY id {'ASC' if step > 0 else 'DESC'} LIMIT ?",
                (base + low, base + high, *values, limit - len(lines)),
            ).fetchall()
            reached = found[-1][0] if len(found) == limit - len(lines) else window[-1]
            for number, writer, line in found:
                row = present(line)
                # SQLite's LIKE finds candidates fast, among them keys and other fields; this says if they are right.
                if wanted.text and not _has(row, wanted.text.lower()):
                    continue
                lines.append({"id": number, **row, **writers.get(writer, {})})
                budget -= len(line)
                if budget <= 0:
                    reached = number
                    break
            part = range(reached + step, part.stop, step)
            size = min(2 * size, LARGEST_WINDOW)
            if len(lines) >= limit or budget <= 0 or time.monotonic() >= deadline:
                return lines, part.start
        if time.monotonic() >= deadline:
            return lines, part.start
    return lines, ids.stop


def _writers(connection: sqlite3.Connection, run: int) -> dict[int, dict[str, Any]]:
    found = connection.execute("SELECT number, id, rank FROM writers WHERE run = ?", (run,)).fetchall()
    return {
        number: {"writer": name} if rank is None else {"writer": name, "rank": rank} for number, name, rank in found
    }


def _has(row: dict[str, Any], text: str) -> bool:
    return text in row["message"].lower() or text in row.get("exception", "").lower()


def _condition(wanted: Filter) -> tuple[str, list[Any]]:
    condition = ""
    values: list[Any] = []
    if wanted.level >= NOTABLE:
        condition += f" AND level >= {NOTABLE}"  # in these words SQLite sees that its index serves
    if wanted.level > 0:
        condition += " AND level >= ?"
        values.append(wanted.level)
    if wanted.logger:
        below = wanted.logger + "."
        condition += " AND (logger = ? OR substr(logger, 1, ?) = ?)"
        values += [wanted.logger, len(below), below]
    if wanted.text:
        condition += " AND line LIKE ? ESCAPE '!'"
        values.append(_pattern(wanted.text))
    return condition, values


def _pattern(text: str) -> str:
    """A LIKE pattern for a line that may hold the text, which stands there as JSON writes it.

    LIKE knows no case outside ASCII, so only the ASCII parts are asked for.
    """
    written = orjson.dumps(text)[1:-1].decode()
    parts = [WILD.sub(r"!\g<0>", part) for part in NOT_ASCII.split(written)]
    return f"%{'%'.join(parts)}%"
