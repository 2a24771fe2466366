"""The database's one writer, and what it shares with readers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection, OperationalError

import pytest

from loghook.server.store import Closed, Store
from loghook.server.store.rows import insert
from loghook.server.store.schema import VERSION


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store with a table to play with."""
    opened = Store(tmp_path / "test.db")
    opened.writer.run(lambda connection: connection.execute("CREATE TABLE play (x, y)"))
    yield opened
    opened.close()


def numbers(store: Store) -> list[int]:
    """Return what lies in the table."""
    with store.reading() as connection:
        return [row[0] for row in connection.execute("SELECT x FROM play ORDER BY rowid")]


def put(number: int) -> object:
    """Make a job that writes a number."""

    def job(connection: Connection) -> int:
        connection.execute("INSERT INTO play (x) VALUES (?)", (number,))
        if number < 0:
            raise ValueError(number)
        return number

    return job


def test_together(store: Store) -> None:
    """Jobs that wait together are done in order; one that fails undoes itself and no other."""
    gate = threading.Event()
    store.writer.submit(lambda _: gate.wait(10))
    futures = [store.writer.submit(put(number)) for number in (1, 2, -3, 4)]  # type: ignore[arg-type]
    gate.set()
    assert [future.exception(10) is None for future in futures] == [True, True, False, True]
    assert numbers(store) == [1, 2, 4]


def test_readers_wait_for_nobody(store: Store) -> None:
    """A read goes on while a write is under way, and does not see it."""
    gate, begun = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute("INSERT INTO play (x) VALUES (1)")
        begun.set()
        gate.wait(10)

    future = store.writer.submit(slow)
    assert begun.wait(10)
    assert numbers(store) == []
    gate.set()
    future.result(10)
    assert numbers(store) == [1]


def test_readers_cannot_write(store: Store) -> None:
    """A reader's connection refuses to write."""
    with store.reading() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute("INSERT INTO play (x) VALUES (1)")


def test_one_moment(store: Store) -> None:
    """What is read in one go belongs to one moment."""
    with store.reading() as connection:
        (before,) = connection.execute("SELECT count(*) FROM play").fetchone()
        store.writer.run(put(1))  # type: ignore[arg-type]
        (after,) = connection.execute("SELECT count(*) FROM play").fetchone()
    assert before == after == 0


def test_full_disk(store: Store) -> None:
    """A disk that is full fails the job, and the next one works once there is room."""
    (pages,) = store.writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone())
    store.writer.submit(lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchall()).result(10)
    blob = bytes(1 << 20)
    with pytest.raises(OperationalError, match="full"):
        store.writer.run(lambda connection: connection.execute("INSERT INTO play (y) VALUES (?)", (blob,)))
    store.writer.run(lambda connection: connection.execute("PRAGMA max_page_count=1000000").fetchall())
    store.writer.run(lambda connection: connection.execute("INSERT INTO play (y) VALUES (?)", (blob,)))
    assert len(numbers(store)) == 1


def test_closed(tmp_path: Path) -> None:
    """A closed store did what was handed over, and takes no more."""
    store = Store(tmp_path / "test.db")
    future = store.writer.submit(lambda connection: connection.execute("PRAGMA user_version").fetchone())
    store.close()
    assert future.result(0) == (VERSION,)
    with pytest.raises(Closed):
        store.writer.run(lambda _: None)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 499, 500, 501, 1777])
def test_insert(store: Store, count: int) -> None:
    """Any number of rows is written, in order."""
    flat = [value for number in range(count) for value in (number, -number)]
    store.writer.run(lambda connection: insert(connection, "INSERT INTO play (x, y)", 2, flat))
    assert numbers(store) == list(range(count))
