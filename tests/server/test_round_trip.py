"""What a program logs is what readers get: through the formatter, ingest, the database and every way of reading."""

from __future__ import annotations

import csv
import io
import logging
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loghook.formatter import LogHookFormatter
from loghook.server.care.export import export
from loghook.server.ingest import Ingest
from loghook.server.store import Store, logs, series, views

TEXT = st.text(max_size=30)
NAME = st.text(st.characters(categories=["L", "N"], include_characters="_. -"), min_size=1, max_size=10)
NUMBER = st.one_of(st.floats(), st.integers(-(2**40), 2**40), st.booleans())
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
RECORD = st.fixed_dictionaries(
    {
        "message": TEXT,
        "logger": NAME,
        "level": st.sampled_from([logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]),
        "metrics": st.dictionaries(NAME, NUMBER, max_size=3),
        "step": st.none() | st.integers(-(2**50), 2**50),
        "extra": st.dictionaries(NAME.map("x{}".format), JSON, max_size=2),
        "time": st.floats(0, 4e9),
    }
)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A database for all examples, each of which is a run of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Store(Path(folder) / "a.db")
        yield made
        made.close()


def line_of(told: dict[str, Any]) -> bytes:
    """Return the event that a record becomes."""
    extra = {**told["extra"], "metrics": told["metrics"], **({} if told["step"] is None else {"step": told["step"]})}
    logger = logging.Logger(told["logger"])
    record = logger.makeRecord(told["logger"], told["level"], "/a/b.py", 7, "%s", (told["message"],), None, extra=extra)
    record.created = told["time"]
    return LogHookFormatter().event(record)


def written(value: float) -> object:
    """Return a number as JSON has it: those that are not finite as strings."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@settings(max_examples=40)
@given(told=st.lists(RECORD, min_size=1, max_size=4))
def test_what_is_logged_is_read(store: Store, told: list[dict[str, Any]]) -> None:
    """Each record comes back once, in order, with text, level, logger, extras, and each of its numbers as a point."""
    with store.reading() as connection:
        (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    run = f"r{count}"
    body = b"".join(map(line_of, told))
    stored = Ingest(store).events(1, run, "w", 0, body)
    assert (stored.offset, stored.set_aside) == (len(body), ())
    with store.reading() as connection:
        number = views.run_number(connection, 1, run)
        assert number is not None
        lines = logs.newest(connection, number, logs.Filter(), 100).lines
        metrics = {
            metric.name: list(series.thinned(connection, metric, 0)) for metric in series.listed(connection, number)
        }
    assert [
        (line["message"], line["logger"], line["level"], line["time"], line["file"], line.get("step")) for line in lines
    ] == [
        (one["message"], one["logger"], logging.getLevelName(one["level"]), one["time"], "b.py:7", one["step"])
        for one in told
    ]
    for line, one in zip(lines, told, strict=True):
        assert line.get("extra", {}) == one["extra"]
        assert line.get("metrics", {}) == {name: written(value) for name, value in one["metrics"].items()}
    expected: dict[str, list[tuple[float, object]]] = {}
    for one in told:
        for name, value in one["metrics"].items():
            expected.setdefault(name, []).append((one["time"], written(float(value))))
    got = {name: [(time, written(value)) for _, time, value in points] for name, points in metrics.items()}
    assert {name: sorted(points, key=repr) for name, points in got.items()} == {
        name: sorted(points, key=repr) for name, points in expected.items()
    }
    check_export(store, run, lines, got)


def check_export(store: Store, run: str, lines: list[dict[str, Any]], got: dict[str, Any]) -> None:
    """The export has the same lines and points."""
    with store.reading() as connection:
        connection.execute("ROLLBACK")
        rows = [orjson.loads(row) for row in b"".join(export(connection, 1, run, "ndjson", 0.0) or ()).splitlines()]
        table = b"".join(export(connection, 1, run, "csv", 0.0) or ())
        connection.execute("BEGIN")
    kinds = [row[0] for row in csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))]
    assert kinds.count("record") == len(lines)
    records = [
        {name: value for name, value in row.items() if name != "type"} for row in rows if row["type"] == "record"
    ]
    assert records == lines
    points: dict[str, list[tuple[float, object]]] = {}
    for row in rows:
        if row["type"] == "point":
            points.setdefault(row["name"], []).append((row["time"], row["value"]))
    assert points == got
