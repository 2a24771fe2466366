"""The routes of care: a run given out whole, and a run deleted.

GET    /api/v1/runs/{run}/export?format=ndjson|csv    the run, line by line; see `export`
DELETE /api/v1/runs/{run}?force=                      200 {"deleted": id, "name"}; 409 while it goes on, unless
                                                      `force` is true
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from loghook.server.answers import Problem, encoded
from loghook.server.care.export import FORMATS, export
from loghook.server.care.removal import Condemned, Running, condemn, forget_spools, writers_here
from loghook.server.naming import no_run, run_id
from loghook.server.store import Store, gone
from loghook.server.store.schema import connect_reader

__all__ = ["Care", "delete"]

TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
AT_ONCE = 4
"""Exports of one account that are read at the same time; each is as much work as many pages."""


class _Source:
    """The parts of an export, with the connection that they come from. It may be closed while a part is made."""

    def __init__(self, connection: sqlite3.Connection, parts: Iterator[bytes]) -> None:
        self._connection = connection
        self._parts = parts
        self._lock = threading.Lock()
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            if self._closed:
                raise StopIteration
            return next(self._parts)

    def close(self) -> None:
        """Let go of the connection, once no part is being made. No more parts come."""
        with self._lock:
            self._closed = True
            self._connection.close()


def _source(path: Path, account: int, run: str, form: str, now: float) -> _Source | None:
    connection = connect_reader(path)
    try:
        parts = export(connection, account, run, form, now)
    except BaseException:
        connection.close()
        raise
    if parts is None:
        connection.close()
        return None
    return _Source(connection, parts)


class _Export(StreamingResponse):
    """Gives out a source, and closes it however that ends: a client may go at any time, before the first part too.

    `ended` is called then, on the event loop.
    """

    def __init__(self, source: _Source, ended: Callable[[], object], **more: Any) -> None:
        super().__init__(source, **more)
        self._source = source
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
            # Nothing is waited for: this may be cancelled already, and a part be on its way on a thread.
            asyncio.get_running_loop().run_in_executor(None, self._source.close)


class Care:
    """The handlers.

    Args:
        store: what is given out and deleted.
        home: the home folder, whose spools go with a run of `local`.
        local: the number of the account of this machine's user.
        clock: epoch seconds.
    """

    def __init__(self, store: Store, home: Path, local: int, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._home = home
        self._local = local
        self._clock = clock
        self._exports: Counter[int] = Counter()  # of each account; for the event loop alone

    async def export(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}/export."""
        form = request.query_params.get("format", "ndjson")
        if form not in FORMATS:
            raise Problem(400, f"format must be one of {', '.join(sorted(FORMATS))}")
        # Counted here and no later: between this look and the first byte many others could ask.
        if self._exports[account] >= AT_ONCE:
            raise Problem(429, "as many runs as may be are exported already", {"Retry-After": "5"})
        self._exports[account] += 1
        try:
            run = await self._store.read(lambda connection: run_id(connection, account, request))
            source = await asyncio.to_thread(_source, self._store.path, account, run, form, self._clock())
            if source is None:
                raise no_run()
        except BaseException:
            self._ended(account)
            raise
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{run}.{form}"'}
        return _Export(source, functools.partial(self._ended, account), media_type=TYPES[form], headers=headers)

    def _ended(self, account: int) -> None:
        self._exports[account] -= 1
        if not self._exports[account]:
            del self._exports[account]

    async def delete(self, request: Request, account: int) -> Response:
        """DELETE /api/v1/runs/{run}."""
        force = request.query_params.get("force", "false")
        if force not in ("true", "false"):
            raise Problem(400, "force must be true or false")
        run = await self._store.read(lambda connection: run_id(connection, account, request))
        home = self._home if account == self._local else None
        try:
            found = await asyncio.to_thread(
                delete, self._store, home, account, run, self._clock(), force=force == "true"
            )
        except Running:
            raise Problem(409, "this run goes on; end it first, or delete it with force=true") from None
        if found is None:
            raise no_run()
        return encoded(request, {"deleted": found.id, "name": found.name})


def delete(
    store: Store, home: Path | None, account: int, run: str, now: float, *, force: bool = False
) -> Condemned | None:
    """Take an account's run away, and its spools below `home`; None where there is no such run. Raises Running."""
    here = writers_here(home, run) if home else []

    def job(connection: sqlite3.Connection) -> Condemned | None:
        found = condemn(connection, account, run, now, closed=True, force=force)
        if found is not None:
            gone.close(connection, account, run, here, now)
        return found

    found = store.writer.run(job)
    if found is not None and home is not None:
        forget_spools(home, run)
    return found
