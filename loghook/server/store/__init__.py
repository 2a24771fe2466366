"""The database of one server: one thread writes, a few read, and neither waits for the other.

SQLite in WAL mode through the standard library. `schema` has the tables, `writer` the thread that writes, `points` the
format of metric points; `runs`, `logs`, `words` and `metrics` write, `views`, `logs`, `words` and `series` read.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from loghook.server.store.metrics import Metrics
from loghook.server.store.schema import connect_reader, connect_writer
from loghook.server.store.words import Words
from loghook.server.store.writer import Closed, Writer

__all__ = ["Closed", "Store"]

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4


class Store:
    """The database, open.

    Args:
        path: the file; its folder exists.

    Raises:
        ServerError: the file is no database of ours, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        connection = connect_writer(path)
        (self.id,) = connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()
        self.metrics = Metrics()
        self.words = Words()
        self.writer = Writer(connection, self._forget)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(READERS, "loghook-read")

    def _forget(self) -> None:
        self.metrics.forget()
        self.words.forget()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of the calling thread's own, in a transaction: what is read belongs to one moment."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect_reader(self.path)
            with self._lock:
                self._connections.append(connection)
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    async def read(self, read: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **more: P.kwargs) -> T:
        """Run `read(connection, ...)` on a reader's thread."""

        def job() -> T:
            with self.reading() as connection:
                return read(connection, *args, **more)

        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def close(self) -> None:
        """Finish what was handed over and close all connections."""
        self._pool.shutdown()
        with self._lock:
            for connection in self._connections:
                connection.close()
        self.writer.close()
