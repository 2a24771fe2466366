"""The routes of care: a run given out whole, and a run deleted.

GET    /api/v1/runs/{run}/export?format=ndjson|csv    the run, line by line; see `export`
DELETE /api/v1/runs/{run}?force=                      200 {"deleted": id, "name"}; 409 while it goes on, unless
                                                      `force` is true
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from loghook.server.answers import Problem, encoded
from loghook.server.care.export import FORMATS, export
from loghook.server.care.removal import Condemned, Running, condemn, forget_spools, writers_here
from loghook.server.naming import no_run, run_id
from loghook.server.store import Store, gone
from loghook.server.store.schema import connect_reader

__all__ = ["Care", "delete"]

TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
AT_ONCE = 4
"""Exports that are read at the same time; each is as much work as many pages."""


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
        self._exports = 0

    async def export(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}/export."""
        form = request.query_params.get("format", "ndjson")
        if form not in FORMATS:
            raise Problem(400, f"format must be one of {', '.join(sorted(FORMATS))}")
        if self._exports >= AT_ONCE:
            raise Problem(429, "as many runs as may be are exported already", {"Retry-After": "5"})
        run = await self._store.read(lambda connection: run_id(connection, account, request))
        connection = connect_reader(self._store.path)
        try:
            parts = await asyncio.to_thread(export, connection, account, run, form, self._clock())
        except BaseException:
            connection.close()
            raise
        if parts is None:
            connection.close()
            raise no_run()
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{run}.{form}"'}
        return StreamingResponse(self._counted(connection, parts), media_type=TYPES[form], headers=headers)

    def _counted(self, connection: sqlite3.Connection, parts: Iterator[bytes]) -> Iterator[bytes]:
        self._exports += 1
        try:
            yield from parts
        finally:
            self._exports -= 1
            connection.close()

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
