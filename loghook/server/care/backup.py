"""A copy of the database, of one moment, taken while a server goes on writing; checked before it gets its name.

SQLite's online backup reads the pages of a snapshot: the reading connection stays in one transaction, so that what is
written meanwhile neither shows nor makes the copy begin again. Until it is whole and sound the copy lies beside its
place under another name; then it is linked there, which fails where something is already.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loghook.errors import ServerError
from loghook.server.lock import holder_of

__all__ = ["Backup", "backup", "database_of"]

PAGES = 1024
"""Pages between two words about how far it is: 4 MiB."""
PROGRESS_EVERY = 1_000_000
"""SQLite's own steps between two looks at whether the check was told to stop."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was made: its file, its size in bytes, and how many runs are in it."""

    file: Path
    size: int
    runs: int


def database_of(home: Path) -> Path:
    """Return the database of a home folder: what the server that runs there uses, else the usual file."""
    parts = (holder_of(home / "server" / "lock") or "").split(", ")
    named = ", ".join(parts[1:-1])
    return Path(named) if named else home / "server" / "loghook.db"


def backup(
    source: Path, target: Path, *, force: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Backup:
    """Copy the database `source` to the file `target`, mode 0600, and check the copy.

    With `force` what is there is replaced, by the whole copy at once. `progress(done, total)` is told pages. Raises
    ServerError; nothing is left behind then, nor on Ctrl-C.
    """
    _check_places(source, target, force=force)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise ServerError(f"{target.parent} cannot be written to: {error.strerror}") from None
    os.close(descriptor)
    draft = Path(name)
    try:
        runs = _copy(source, draft, progress)
        _flush(draft)
        _name(draft, target, force=force)
        _flush(target.parent)
    except sqlite3.Error as error:
        raise ServerError(f"{source} cannot be copied to {target}: {error}") from error
    except OSError as error:
        raise ServerError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        for one in (draft, *_companions(draft)):
            one.unlink(missing_ok=True)
    return Backup(target, target.stat().st_size, runs)


def _check_places(source: Path, target: Path, *, force: bool) -> None:
    if not source.is_file():
        raise ServerError(f"there is no database {source}; a server that ran here would have made it")
    if any(target.resolve() == one.resolve() for one in (source, *_companions(source))):
        raise ServerError(f"{target} is the database itself; name another file")
    if target.is_dir():
        raise ServerError(f"{target} is a folder; name a file in it")
    # A journal that lies beside the copy would be taken for its own.
    for one in (target, *_companions(target)):
        if os.path.lexists(one) and not force:
            raise ServerError(f"{one} is there already; --force replaces it")
    if holder_of(Path(f"{target}.lock")) is not None:
        raise ServerError(f"{target} is the database of a server that runs; name another file")


def _companions(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a database."""
    return [Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal")]


def _copy(source: Path, draft: Path, progress: Callable[[int, int], None]) -> int:
    """Copies and checks; returns how many runs the copy holds."""
    with contextlib.closing(_open(source)) as reading, contextlib.closing(sqlite3.connect(draft)) as copy:
        reading.execute("BEGIN")
        if not reading.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            raise ServerError(f"{source} is no database of loghook")
        reading.backup(copy, pages=PAGES, progress=lambda status, left, total: progress(total - left, total))
        # One file that needs no companions; a server that starts on it turns its own journal on again.
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        # Python gets a word in now and then, so that Ctrl-C ends a long check.
        copy.set_progress_handler(lambda: 0, PROGRESS_EVERY)
        found = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(5)").fetchall()]
        if found != ["ok"]:
            raise ServerError(f"{source} is damaged, and the copy was given up: {'; '.join(found)}")
        (runs,) = copy.execute("SELECT count(*) FROM runs WHERE account > 0").fetchone()
    return int(runs)


def _open(path: Path) -> sqlite3.Connection:
    """Opens a database that exists, and makes none; what a dead server left unwritten is taken up on the way."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)


def _name(draft: Path, target: Path, *, force: bool) -> None:
    if force:
        for one in _companions(target):
            one.unlink(missing_ok=True)
        draft.replace(target)
        return
    try:
        os.link(draft, target)
    except FileExistsError:
        raise ServerError(f"{target} is there already; --force replaces it") from None
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise ServerError(f"{target} is there already; --force replaces it") from None
        draft.rename(target)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
