"""What is fuzzed: functions that take bytes and raise where a promise is broken. They need no atheris themselves."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson

from loghook.server.answers import Problem
from loghook.server.care.export import FORMATS, export
from loghook.server.ingest import Gap, Ingest, Malformed, TooLarge
from loghook.server.intake import unpacked
from loghook.server.store import Store, logs, series, views
from loghook.spool import WriterSpool, repair
from loghook.spool.segment import HEADER, header

__all__ = ["SEEDS", "TARGETS", "ingest", "repaired"]

ACCOUNT = 1
SERVED = 2_000
"""Inputs after which the database is made anew."""
BETWEEN = b"\x00\x01"
"""Stands between two batches of an input for `ingest`, and between two segments of one for `repaired`."""
MOST_PARTS = 4
ROOT = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class _Database:
    """A database in memory's file system, made anew now and then."""

    def __init__(self) -> None:
        self._folder = ""
        self._left = 0
        self.serial = 0
        self.store: Store | None = None

    def get(self) -> Store:
        if self.store is None or not self._left:
            self.close()
            self._folder = tempfile.mkdtemp(prefix="loghook-fuzz-", dir=ROOT)
            self.store = Store(Path(self._folder, "a.db"))
            self._left = SERVED
        self._left -= 1
        self.serial += 1
        return self.store

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None
            shutil.rmtree(self._folder, ignore_errors=True)


database = _Database()


def ingest(data: bytes) -> None:
    """Batches come in, whatever is in them; then all of it is read, and what comes again changes nothing.

    The first byte of each says how it comes: packed, at which run, with or without an end of line.
    """
    store = database.get()
    taking = Ingest(store)
    for part in data.split(BETWEEN)[:MOST_PARTS]:
        how, body = part[:1] or b"\0", part[1:]
        if how[0] & 1:
            try:
                body = unpacked(body, "gzip")
            except Problem:
                continue
        if how[0] & 2:
            body += b"\n"
        run = f"run{database.serial}.{how[0] >> 5}"
        offset = taking.expected(ACCOUNT, run, "w") + (how[0] >> 2 & 1)
        try:
            stored = taking.events(ACCOUNT, run, "w", offset, body, first=offset, sent=None)
        except (Malformed, TooLarge, Gap):
            continue
        assert stored.offset == offset + len(body)
        before = _everything(store, run)
        assert taking.events(ACCOUNT, run, "w", offset, body).offset == stored.offset
        assert _everything(store, run) == before


def _everything(store: Store, run: str) -> bytes:
    """All that can be read of a run, by each way that reads it, as it is sent."""
    with store.reading() as connection:
        details = views.run_details(connection, ACCOUNT, run, 0.0)
        number = views.run_number(connection, ACCOUNT, run)
        if number is None:
            return b""
        page = logs.newest(connection, number, logs.Filter(), 100)
        found = logs.newest(connection, number, logs.Filter(level=30, logger="a", text="e"), 100)
        metrics = [
            [metric.name, metric.count, list(series.thinned(connection, metric, 10).steps)]
            for metric in series.listed(connection, number)[:20]
        ]
    answer = orjson.dumps([details, page.lines, page.next, found.lines, len(metrics)])
    with store.reading() as connection:
        connection.execute("ROLLBACK")
        for form in FORMATS:
            parts = export(connection, ACCOUNT, run, form, 0.0)
            assert parts is not None
            answer += b"".join(parts)
        connection.execute("BEGIN")
    return answer


def repaired(data: bytes) -> None:
    """A dead writer's segments hold anything: repair leaves whole lines, moves none, and has nothing to do again."""
    folder = Path(tempfile.mkdtemp(prefix="loghook-fuzz-", dir=ROOT))
    try:
        _repaired(folder, data.split(BETWEEN)[:MOST_PARTS])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _repaired(folder: Path, parts: list[bytes]) -> None:
    base = 0
    for number, part in enumerate(parts):
        hole = part[0] if part else 0
        (folder / f"{number:08}.seg").write_bytes(header(base) + part[1:])
        base += len(part[1:]) + (hole if hole > 127 else 0)
    spool = WriterSpool(folder, {})
    before = {path.name: path.read_bytes() for path in folder.glob("*.seg")}
    repair(folder)
    for path in folder.glob("*.seg"):
        after = path.read_bytes()
        assert after[:HEADER] == before[path.name][:HEADER]
        assert len(after) >= len(before[path.name])
        for line in before[path.name][HEADER:].split(b"\0")[0].splitlines(keepends=True):
            assert line in after or not line.endswith(b"\n"), "a whole line in front of what was torn is gone"
    assert repair(folder) == 0, "repair finds something again"
    end, offset = spool.end(), 0
    while lines := spool.read(offset, 100):
        assert lines.endswith(b"\n")
        assert b"\0" not in lines
        offset += len(lines)
    assert offset == end, "the lines do not follow one another to the end"


TARGETS: dict[str, Callable[[bytes], None]] = {"ingest": ingest, "repair": repaired}

_RECORD = b'{"time":1.5,"level":"INFO","logger":"a","message":"epoch 3","metrics":{"loss":0.5,"n":"NaN"},"step":3}\n'
SEEDS: dict[str, list[bytes]] = {
    "ingest": [
        b"\x02" + _RECORD.rstrip(b"\n"),
        b"\x00"
        + _RECORD * 2
        + BETWEEN
        + b"\x22"
        + b'{"time":2,"event":"run_ended","status":"failure","exception":"E"}',
        b'\x02{"time":1,"event":"run_started","run":{"name":"a","params":{"x":[1]},"tags":["t"],"argv":["a"],"pid":1}}',
        b'\x02{"time":1,"event":"params","params":{"a":{"b":1}}}' + BETWEEN + b"\x02[1]",
        b'\x02{"time":1,"event":"dropped","dropped":{"limit":3}}' + BETWEEN + b'\x02{"time":1e308,"message":"\\u00e4"}',
        b'\x02{"time":1,"event":"writer_started","writer":{"rank":1}}' + BETWEEN + b'\x02{"time":1,"level":10,"x":1}',
        b"\x01\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xe6\x02\x00\x08\xed\x0b\xc3\x03\x00\x00\x00",
    ],
    "repair": [
        b"\x00" + _RECORD * 2 + bytes(20),
        b"\x00" + _RECORD + BETWEEN + b"\x00" + _RECORD[:30],
        b"\x00" + _RECORD[:20] + bytes(9) + _RECORD[20:] + _RECORD + BETWEEN + b"\xff" + _RECORD,
    ],
}
"""What atheris begins with."""
