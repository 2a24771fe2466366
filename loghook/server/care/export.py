"""A run with everything in it, as lines: NDJSON for programs, CSV for a spreadsheet. Memory stays flat.

    run         what the run's page knows of it: status, params, drops, writers, times
    record      each log line, in its order
    set_aside   each line that could not be stored, with its reason
    metric      each metric's totals, of each rank, and behind it
    point       each of its points, in order of steps
    end         how many of each came: an export without this line was cut off

In NDJSON each is an object whose "type" says which. NaN and the infinities are strings. In CSV what a row is about is
in its first column, and facts of a run, params and drops have a row each. A text that a spreadsheet could take for a
formula has an apostrophe in front; a metric's value is no text, not even -Infinity. The file begins with a byte order
mark, which tells spreadsheets that it is UTF-8.

Lines are read in pages and points chunk by chunk, each for itself: they never change, so a slow reader holds up nobody.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

import orjson

from loghook.errors import ServerError
from loghook.server.answers import number, points
from loghook.server.present import present
from loghook.server.store import series, views
from loghook.server.store.schema import LINE_BITS, NO_RANK

__all__ = ["FORMATS", "export"]

Row = dict[str, Any]

PAGE_LINES = 1_000
PAGE_BYTES = 1 << 20

COLUMNS = ("type", "time", "step", "name", "value", "level", "logger", "message", "exception", "writer", "rank")
REST = ("metrics", "more")
"""Columns with what is left, as JSON."""
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
NUMBERED = ("metric", "point")
"""Rows whose value is a number, whatever it looks like."""
INNER = ("writers", "counts", "params", "dropped")
"""Facts of a run that are lists or objects, and not shown as one cell."""


class Removed(ServerError):
    """The run was deleted while it was given out, or not all of it is there."""


def export(connection: sqlite3.Connection, account: int, run: str, form: str, now: float) -> Iterator[bytes] | None:
    """Return the parts of an account's run in a form of FORMATS, one after the other; None where there is no such run.

    The connection is for this alone until the last part was taken. Raises Removed while parts are taken.
    """
    connection.execute("BEGIN")
    try:
        details = views.run_details(connection, account, run, now)
        key = views.run_number(connection, account, run)
    finally:
        connection.execute("ROLLBACK")
    if details is None or key is None:
        return None
    return FORMATS[form](_whole(connection, account, key, details))


def _whole(connection: sqlite3.Connection, account: int, key: int, details: Row) -> Iterator[list[Row]]:
    """The rows of a run, a page at a time. Raises Removed instead of giving a last one where something is missing."""
    came = {"records": 0, "set_aside": 0, "metrics": 0, "points": 0}
    yield from _pages(connection, key, details, came)
    # What a run consists of goes only once the run itself is out of sight: if it is there now, all of that was.
    if views.run_number(connection, account, details["id"]) != key:
        raise Removed("the run was deleted while it was exported")
    yield [{"type": "end", **came}]


def _pages(connection: sqlite3.Connection, run: int, details: Row, came: dict[str, int]) -> Iterator[list[Row]]:
    """All rows but the last one; counts them."""
    yield [{"type": "run", **details}]
    writers = dict(connection.execute("SELECT number, id FROM writers WHERE run = ?", (run,)).fetchall())
    ranks = {writer["id"]: writer["rank"] for writer in details["writers"]}
    for lines in _lines(connection, run, details["counts"]["logs"]):
        came["records"] += len(lines)
        yield [_record(found, text, writers.get(writer, ""), ranks) for found, writer, text in lines]
    _check("records", came["records"], details["counts"]["logs"])
    for page in _set_aside(connection, run, writers):
        came["set_aside"] += len(page)
        yield page
    for metric in series.listed(connection, run):
        for totals in metric.rows:
            came["metrics"] += 1
            for page in _points(connection, run, totals):
                came["points"] += sum(row["type"] == "point" for row in page)
                yield page


def _check(what: str, came: int, count: int) -> None:
    if came != count:
        raise Removed(f"{came} of {count} {what} are there: the run was deleted while it was exported, or is damaged")


def _lines(connection: sqlite3.Connection, run: int, count: int) -> Iterator[list[tuple[int, int, str]]]:
    base = run << LINE_BITS
    after = 0
    while after < count:
        cursor = connection.execute(
            f"SELECT id - {base}, writer, line FROM logs WHERE id BETWEEN ? AND ? ORDER BY id",
            (base + after + 1, base + count),
        )
        page: list[tuple[int, int, str]] = []
        size = 0
        for row in cursor:
            page.append(row)
            size += len(row[2])
            if len(page) == PAGE_LINES or size >= PAGE_BYTES:
                break
        cursor.close()  # and with it what this reader holds on to in the journal
        if not page:
            return
        after = page[-1][0]
        yield page


def _record(found: int, line: str, writer: str, ranks: dict[str, int | None]) -> Row:
    row = {"type": "record", "id": found, **present(line), "writer": writer}
    rank = ranks.get(writer)
    return row if rank is None else {**row, "rank": rank}


def _set_aside(connection: sqlite3.Connection, run: int, writers: dict[int, str]) -> Iterator[list[Row]]:
    after = 0
    while True:
        found = connection.execute(
            "SELECT number, writer, batch_offset, line_index, reason, line, length FROM set_aside "
            "WHERE run = ? AND number > ? ORDER BY number LIMIT 16",
            (run, after),
        ).fetchall()
        if not found:
            return
        after = found[-1][0]
        yield [
            {
                "type": "set_aside",
                "writer": writers.get(writer, ""),
                "offset": offset,
                "line": index,
                "reason": reason,
                "text": bytes(line).decode(errors="backslashreplace"),
                "length": length,
            }
            for _, writer, offset, index, reason, line, length in found
        ]


def _points(connection: sqlite3.Connection, run: int, totals: series.Totals) -> Iterator[list[Row]]:
    """The totals of a metric of one rank, then its points."""
    # Which blobs there are belongs to one moment; full ones never change.
    connection.execute("BEGIN")
    try:
        metric = series.find(connection, run, totals.name, totals.rank)
        parts = iter(()) if metric is None else series.every_point(connection, metric)
        part = next(parts, None)
    finally:
        connection.execute("ROLLBACK")
    if metric is None:
        return
    about: Row = {"name": totals.name}
    if totals.rank != NO_RANK:
        about["rank"] = totals.rank
    last = "NaN" if metric.last is None else number(metric.last)
    numbers = {"last": last, "min": number(metric.low), "max": number(metric.high)}
    yield [{"type": "metric", **about, "count": metric.count, **numbers}]
    came = 0
    while part is not None:
        came += len(part)
        yield [
            {"type": "point", **about, "step": step, "time": time, "value": value} for step, time, value in points(part)
        ]
        part = next(parts, None)
    _check(f"points of {totals.name!r}", came, metric.count)


def _ndjson(pages: Iterable[list[Row]]) -> Iterator[bytes]:
    for page in pages:
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in page)


def _csv(pages: Iterable[list[Row]]) -> Iterator[bytes]:
    text = io.StringIO()
    table = csv.writer(text)
    text.write("\N{BYTE ORDER MARK}")
    table.writerow((*COLUMNS, *REST))
    for page in pages:
        for row in page:
            table.writerows(map(_cells, _flat(row)))
        yield text.getvalue().encode(errors="backslashreplace")
        text.seek(0)
        text.truncate()


def _flat(row: Row) -> Iterator[Row]:
    """What a row of NDJSON becomes in the table: facts of a run a row each, all others one row."""
    if row["type"] not in ("run", "end", "set_aside", "metric"):
        yield row
        return
    if row["type"] == "metric":
        yield {**row, "value": row["last"]}
    elif row["type"] == "set_aside":
        yield {**row, "message": row["text"], "text": None}
    else:
        for name, value in row.items():
            if name not in ("type", *INNER):
                yield {"type": row["type"], "name": name, "value": value}
        for kind, key in (("param", "params"), ("dropped", "dropped")):
            for name, value in row.get(key, {}).items():
                yield {"type": kind, "name": name, "value": value}
        for writer in row.get("writers", ()):
            yield {"type": "writer", "name": writer["id"], **{k: v for k, v in writer.items() if k != "id"}}


def _cells(row: Row) -> list[object]:
    if "time" in row:
        row = {**row, "time": _moment(row["time"])}
    rest = {name: value for name, value in row.items() if name not in COLUMNS and name != "metrics"}
    kept = {name: value for name, value in rest.items() if value is not None}
    cells = {name: _cell(row.get(name)) for name in COLUMNS}
    if row["type"] in NUMBERED:
        cells["value"] = row["value"]
    return [*cells.values(), _cell(row.get("metrics")), _cell(kept or None)]


def _cell(value: object) -> object:
    """A value as a spreadsheet shows it: numbers as they are, no text that it could calculate."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # what no spreadsheet takes, nor Python 3.10
    return f"'{text}" if FORMULA.match(text) else text


def _moment(time: float) -> object:
    try:
        return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return time  # no year of the calendar


FORMATS: dict[str, Callable[[Iterable[list[Row]]], Iterator[bytes]]] = {"csv": _csv, "ndjson": _ndjson}
"""By name, what makes bytes of a run's rows."""
