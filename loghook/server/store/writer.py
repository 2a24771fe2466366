"""The one thread that writes.

Others hand it jobs and get futures. Jobs that wait together are committed together, so that one flush of the disk
serves them all; each has a savepoint of its own, so that one that fails undoes nothing of the others.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["Closed", "Writer"]

T = TypeVar("T")
Job = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]

TOGETHER = 64


class Closed(RuntimeError):
    """The store is closed: the job was not done."""


class Writer:
    """Runs jobs on a connection of its own, one after the other, each all or nothing.

    Args:
        connection: in autocommit mode; closed by `close`.
        forget: called after anything was undone, to empty what jobs remember of the database.
    """

    def __init__(self, connection: sqlite3.Connection, forget: Callable[[], None]) -> None:
        self._connection = connection
        self._forget = forget
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="loghook-store", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue a job; the future is done once what it wrote is committed. Raises Closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise Closed("the store is closed")
            self._queue.put((job, future))
        return future

    def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Do a job and return its result. Raises what it raises, sqlite3.Error, or Closed."""
        return self.submit(job).result()

    def close(self) -> None:
        """Finish the jobs that were queued, then close the connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._work():
            pass

    def _work(self) -> bool:
        """Does what waits; false at the end. A call each, so that no job, and no batch of one, outlives its turn."""
        jobs, last = self._gather()
        if jobs:
            self._transact(jobs)
        return not last

    def _gather(self) -> tuple[list[Job], bool]:
        jobs: list[Job] = []
        try:
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) == TOGETHER:
                    return jobs, False
                job = self._queue.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _transact(self, jobs: list[Job]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job, future in jobs:
                self._one(job, future, done)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo("ROLLBACK")
            for _, future in jobs:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in done:
            future.set_result(result)

    def _one(self, job: Callable[..., Any], future: Future[Any], done: list[tuple[Future[Any], Any]]) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            result = job(self._connection)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise  # SQLite undid the whole transaction: a full disk does that
            self._undo("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            future.set_exception(error)
        else:
            self._connection.execute("RELEASE job")
            done.append((future, result))

    def _undo(self, statement: str) -> None:
        self._forget()
        if self._connection.in_transaction:
            self._connection.execute(statement)
