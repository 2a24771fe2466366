"""The database's tables, how it is opened, and how an older one is brought up to date.

    accounts, keys, sessions     who may read and write; keys and session tokens are kept as SHA-256 only, passwords as
                                 `passwords` makes them; sessions.key is the number of the key that one began with
    runs, writers                one row each; writers.next_offset is the number that makes delivery exactly-once;
                                 runs.told is the state that was last told of, see `notify`; runs.project and "group"
                                 say where a run belongs, runs.tags is a JSON array; runs.owner is the writer that
                                 told of the latest start
    messages                     what came from senders that count no offsets, see `messages`
    internal                     names of metrics and parameters that are not for readers
    notices                      what is still to be told to whom, see `notify`
    logs                         one row a record; id = run number << 40 | number of the line in its run, so a run's
                                 lines lie together in order and need no second index
    words                        an index of the log's words, see `words`
    metrics                      one row a metric name and rank in a run; rank -1 is that of writers without one
    open_points, points          blobs of points, see `points`; summaries: five points for each full blob
    gone                         writers of runs that were deleted, see `gone`
    set_aside                    lines that could not be stored, with their reasons

`PRAGMA user_version` holds the version. A database of a newer version is refused: this code cannot know what it
would break in it.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sqlite3
from pathlib import Path

from loghook.errors import ServerError

logger = logging.getLogger("loghook.server")

__all__ = ["LINE_BITS", "NOTABLE", "NO_RANK", "VERSION", "connect_reader", "connect_writer"]

LINE_BITS = 40
NO_RANK = -1
"""Stands in the table of metrics for the rank of writers that have none."""
NOTABLE = 30
"""Level numbers from here on have an index of their own: errors are found fast among millions of lines."""

FIRST = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE accounts (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created REAL NOT NULL);
CREATE TABLE keys (
    hash TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts, id TEXT NOT NULL,
    name TEXT NOT NULL, source TEXT NOT NULL,
    started_at REAL NOT NULL, began REAL, ended_at REAL, ending TEXT, exception TEXT, reason TEXT,
    last_seen REAL NOT NULL,
    host TEXT, pid INTEGER, rank INTEGER, python TEXT, argv TEXT, git TEXT, params TEXT NOT NULL, dropped TEXT NOT NULL,
    logs INTEGER NOT NULL, metrics INTEGER NOT NULL, set_aside INTEGER NOT NULL, missing_bytes INTEGER NOT NULL,
    UNIQUE (account, id)
);
CREATE INDEX runs_by_start ON runs (account, started_at, number);
CREATE TABLE writers (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, id TEXT NOT NULL,
    next_offset INTEGER NOT NULL, missing_bytes INTEGER NOT NULL,
    pid INTEGER, host TEXT, rank INTEGER, last_seen REAL NOT NULL,
    UNIQUE (run, id)
);
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, writer INTEGER NOT NULL, level INTEGER NOT NULL, logger TEXT NOT NULL, line TEXT NOT NULL
);
CREATE INDEX logs_notable ON logs (id) WHERE level >= {NOTABLE};
CREATE TABLE metrics (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, name TEXT NOT NULL, count INTEGER NOT NULL,
    top_step REAL NOT NULL, last_step REAL NOT NULL, last_time REAL NOT NULL, last_value REAL,
    low REAL, high REAL, full_chunks INTEGER NOT NULL,
    UNIQUE (run, name)
);
CREATE TABLE open_points (chunk INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE points (chunk INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE summaries (part INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE set_aside (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL, writer INTEGER NOT NULL, batch_offset INTEGER NOT NULL,
    line_index INTEGER NOT NULL, reason TEXT NOT NULL, line BLOB NOT NULL, length INTEGER NOT NULL
);
"""

SECOND = """
ALTER TABLE accounts ADD COLUMN password TEXT;
CREATE TABLE new_keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE, account INTEGER NOT NULL REFERENCES accounts,
    name TEXT NOT NULL, tail TEXT NOT NULL, made INTEGER NOT NULL, created REAL NOT NULL
);
INSERT INTO new_keys (hash, account, name, tail, made, created)
    SELECT hash, account, '', '', 0, created FROM keys ORDER BY created, hash;
DROP TABLE keys;
ALTER TABLE new_keys RENAME TO keys;
CREATE INDEX keys_by_account ON keys (account, number);
CREATE TABLE messages (run INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (run, digest)) WITHOUT ROWID;
CREATE TABLE internal (
    run INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (run, kind, name)
) WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN told TEXT NOT NULL DEFAULT 'running';
UPDATE runs SET told = ending WHERE ending IS NOT NULL AND ended_at >= coalesce(began, 0);
CREATE INDEX runs_untold ON runs (last_seen) WHERE told = 'running';
CREATE TABLE notices (
    number INTEGER PRIMARY KEY, destination TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL,
    tries INTEGER NOT NULL, due REAL NOT NULL
);
"""

THIRD = """
ALTER TABLE runs ADD COLUMN project TEXT;
ALTER TABLE runs ADD COLUMN "group" TEXT;
ALTER TABLE runs ADD COLUMN description TEXT;
ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
CREATE INDEX runs_by_project ON runs (account, project, started_at, number) WHERE project IS NOT NULL;
"""

FOURTH = "ALTER TABLE runs ADD COLUMN owner INTEGER;\n"

FIFTH = """
CREATE TABLE words (block INTEGER PRIMARY KEY, plain BLOB NOT NULL, mixed BLOB NOT NULL);
CREATE TABLE new_metrics (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, name TEXT NOT NULL, rank INTEGER NOT NULL,
    count INTEGER NOT NULL, top_step REAL NOT NULL, last_step REAL NOT NULL, last_time REAL NOT NULL, last_value REAL,
    low REAL, high REAL, full_chunks INTEGER NOT NULL,
    UNIQUE (run, name, rank)
);
INSERT INTO new_metrics
    SELECT number, run, name, -1, count, top_step, last_step, last_time, last_value, low, high, full_chunks
    FROM metrics;
DROP TABLE metrics;
ALTER TABLE new_metrics RENAME TO metrics;
"""

SIXTH = """
CREATE TABLE gone (
    account INTEGER NOT NULL, run TEXT NOT NULL, writer TEXT NOT NULL, next_offset INTEGER NOT NULL,
    closed INTEGER NOT NULL, discarded INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (account, run, writer)
) WITHOUT ROWID;
CREATE INDEX set_aside_by_run ON set_aside (run);
"""

# FIFTH took all metrics for those of writers without a rank. Where all writers of a run tell of the same one it is
# theirs, and the run goes on with them; what has come of other ranks since stays beside them.
SEVENTH = """
UPDATE metrics SET rank = (SELECT max(rank) FROM writers WHERE writers.run = metrics.run)
    WHERE rank = -1
    AND run IN (SELECT run FROM writers GROUP BY run HAVING count(rank) = count(*) AND min(rank) = max(rank))
    AND NOT EXISTS (
        SELECT 1 FROM metrics AS other WHERE other.run = metrics.run AND other.name = metrics.name AND other.rank != -1
    );
"""

# Which key a session began with was not kept before: 0, which is no key's number, stands for any of the account's.
EIGHTH = """
ALTER TABLE sessions ADD COLUMN key INTEGER DEFAULT 0;
CREATE INDEX sessions_by_key ON sessions (key) WHERE key IS NOT NULL;
"""

# The n-th script (from 0) takes a database from version n to n + 1. Released ones never change.
SCRIPTS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH)
VERSION = len(SCRIPTS)

# 16 MB of pages between checkpoints: fewer pages are written twice, and the log stays small.
CHECKPOINT_PAGES = 4000
INCREMENTAL = 2
"""SQLite's number for the way of giving space back that is meant here."""
REWRITING = 3
"""Times its size that rewriting a database takes."""


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the database for the one thread that writes; make it, or bring it up to date, where needed.

    Raises ServerError when it is no database of ours or of a newer version.
    """
    _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        version = _version(connection, path)
        # What the answer to a client promises is on the disk, so each commit is flushed; one commit serves many.
        # Pages that become free can be given back in slices; this has to be said before there is a page.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchall()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF", "cache_size=-32768"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}").fetchall()
        connection.execute(f"PRAGMA journal_size_limit={CHECKPOINT_PAGES * 4096}").fetchall()
        for number in range(version, VERSION):
            _upgrade(connection, number)
        _make_shrinkable(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading; a read never waits for a write, nor a write for a read."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=128)
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA cache_size=-8192")
    return connection


def _make_private(path: Path) -> None:
    """Makes the file with mode 0600 before SQLite does; its companions take their mode from it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _version(connection: sqlite3.Connection, path: Path) -> int:
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        meta = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
    except sqlite3.DatabaseError as error:
        raise ServerError(f"{path} is no database that loghook can read ({error}); move it away") from None
    if version > VERSION:
        raise ServerError(
            f"{path} was written by a newer loghook (its version is {version}, this one knows up to {VERSION}); "
            f"upgrade loghook, or use another home folder"
        )
    if tables and not meta:
        raise ServerError(f"{path} is a database of some other program; move it away")
    return int(version)


def _upgrade(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in SCRIPTS[number].split(";\n"):
            if statement.strip():
                connection.execute(statement)
        if number == 0:
            connection.execute("INSERT INTO meta VALUES ('id', ?)", (secrets.token_hex(4),))
        connection.execute(f"PRAGMA user_version={number + 1}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _make_shrinkable(connection: sqlite3.Connection, path: Path) -> None:
    """Rewrites a database of an older version once, where there is room, so that it can give space back in slices."""
    if connection.execute("PRAGMA auto_vacuum").fetchone() == (INCREMENTAL,):
        return
    size = path.stat().st_size
    try:
        if shutil.disk_usage(path.parent).free < REWRITING * size:
            raise sqlite3.OperationalError("the disk has too little room")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchall()
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        logger.warning(
            "%s cannot be rewritten (%s); what runs leave free in it is used again, not given back", path, error
        )
