"""The database of a home folder where no server runs: opened as a server opens it, but without a network."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loghook.errors import ServerError
from loghook.server.accounts import Accounts
from loghook.server.ingest import Ingest
from loghook.server.local import Local
from loghook.server.lock import HomeLock
from loghook.server.naming import SHORTEST_ID
from loghook.server.store import Store, views
from loghook.spool import writers

__all__ = ["Offline", "opened"]

MOST_RUNS = 1_000


@dataclass(frozen=True, slots=True)
class Offline:
    """An open database, and the number of this machine's own account.

    `home` is the home folder that it belongs to, None for one that belongs elsewhere: no spools are read into it.
    """

    store: Store
    home: Path | None
    account: int

    def run(self, text: str) -> dict[str, Any] | None:
        """Return the account's run of an id, or whose id alone begins with a text that is long enough; else None."""
        with self.store.reading() as connection:
            found = views.run_details(connection, self.account, text, time.time())
            if found is None and len(text) >= SHORTEST_ID:
                ids = views.run_ids(connection, self.account, text, 2)
                found = views.run_details(connection, self.account, ids[0], time.time()) if len(ids) == 1 else None
        return found

    def runs(self, text: str) -> list[dict[str, Any]]:
        """Return the newest of the account's runs whose name or id has a text in it."""
        with self.store.reading() as connection:
            rows, _ = views.run_page(connection, self.account, MOST_RUNS, None, text)
            return [views.run_fields(row, time.time()) for row in rows]


@contextlib.contextmanager
def opened(home: Path, database: Path | None = None) -> Iterator[Offline]:
    """Open the database of a home folder, and take what the spools there hold; or another one, and leave them alone.

    Raises ServerError: a server runs, there is nothing here, or the file cannot be used.
    """
    own = home / "server" / "loghook.db"
    path = database or own
    is_own = path.resolve() == own.resolve()
    if not path.exists() and (database is not None or next(writers(home), None) is None):
        raise ServerError(f"there is no database {path}, and no run in {home}")
    with contextlib.ExitStack() as stack:
        try:
            if is_own:
                (home / "server").mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = HomeLock(home / "server" / "lock")
                stack.callback(lock.release)
                lock.tell(f"process {os.getpid()}, a command")
            stack.callback(HomeLock(Path(f"{path}.lock"), guards=path).release)
            store = Store(path)
            stack.callback(store.close)
            account = Accounts(store).local
            if is_own:
                _take_spools(home, store, account)
            yield Offline(store, home if is_own else None, account)
        except sqlite3.Error as error:
            raise ServerError(f"{path} cannot be used: {error}") from error
        except OSError as error:
            raise ServerError(f"{error.filename or path} cannot be used: {error.strerror}") from error


def _take_spools(home: Path, store: Store, account: int) -> None:
    with contextlib.closing(Local(home, Ingest(store), account)) as local:
        while local.look():
            pass
