"""Databases of older versions are brought up to date with everything that lies in them."""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from loghook.errors import ServerError
from loghook.server import Server
from loghook.server.store.schema import SCRIPTS, VERSION

# The tables as version 1 made them. Never to be changed: such files are out there.
VERSION_1 = """
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
CREATE INDEX logs_notable ON logs (id) WHERE level >= 30;
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
KEY = "lh_" + "k" * 43
SESSION = "s" * 43
LINE = {"time": 1000.0, "level": "INFO", "logger": "train", "message": "from version 1"}


def write_version_1(path: Path) -> None:
    """Write a database as a server of version 1 left it: an account, its key, a run that ended and one that did not."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.execute("INSERT INTO meta VALUES ('id', 'abcd1234')")
    connection.execute("INSERT INTO accounts VALUES (1, 'local', 1.0)")
    connection.execute("INSERT INTO keys VALUES (?, 1, 2.0)", (hashlib.sha256(KEY.encode()).hexdigest(),))
    for number, (name, ended, ending) in enumerate((("done", 1001.0, "failure"), ("broken off", None, None)), 1):
        connection.execute(
            "INSERT INTO runs VALUES (?, 1, ?, ?, 'loghook', 1000.0, 1000.0, ?, ?, NULL, NULL, 1001.0, "
            "'box', 7, NULL, '3.11', NULL, NULL, '{\"rate\":0.1}', '{}', 1, 0, 0, 0)",
            (number, f"r{number}", name, ended, ending),
        )
        connection.execute("INSERT INTO writers VALUES (?, ?, 'w', 100, 0, 7, 'box', NULL, 1001.0)", (number, number))
        connection.execute(
            "INSERT INTO logs VALUES (?, ?, 20, 'train', ?)", ((number << 40) + 1, number, orjson.dumps(LINE).decode())
        )
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()


def test_version_1(home: Path, as_client: Callable[..., Any]) -> None:
    """A database of version 1 keeps its key, its runs, their lines and offsets, and takes more."""
    path = home / "server" / "loghook.db"
    write_version_1(path)
    (home / "loghook.json").write_bytes(orjson.dumps({"api_key": KEY}))
    with Server(home, port=0) as server:
        assert server.key == KEY
        client = as_client(server)
        runs = {run["id"]: (run["name"], run["status"], run["params"]) for run in client.read("/runs")["runs"]}
        assert runs == {"r1": ("done", "failure", {"rate": 0.1}), "r2": ("broken off", "lost", {"rate": 0.1})}
        (line,) = client.read("/runs/r2/logs")["logs"]
        assert line["message"] == "from version 1"
        assert client.post(b"", 0, run="r2", writer="w").json() == {"offset": 100}
        client.send([{**LINE, "metrics": {"m": 1.0}}], 100, run="r2", writer="w")
        assert client.read("/runs/r2")["counts"] == {"logs": 2, "metrics": 1}
        (key,) = client.read("/keys")["keys"]
        assert (key["name"], key["tail"], key["created"]) == ("", "", 2.0)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_an_upgrade_that_breaks_off_changes_nothing(home: Path) -> None:
    """A database whose upgrade fails stays as it was, at its version."""
    path = home / "server" / "loghook.db"
    write_version_1(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notices (in_the_way)")
    connection.commit()
    before = list(connection.iterdump())
    with pytest.raises(ServerError, match="notices"):
        Server(home, port=0).start()
    assert list(connection.iterdump()) == before
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


SCRIPTS_OF_VERSIONS = {
    1: "2e4e31ba8c1fcfe6",
    2: "e8a9dc7fd107ef26",
    3: "34568e57d05372a2",
    4: "6926278cba230d83",
    5: "ccac0bca94cf8d62",
    6: "5ed6a3ba6f9d515f",
    7: "741069fa49e738a5",
    8: "a5873a45123c5922",
}
"""Digests of the scripts that take a database from one version to the next: files that they made are out there."""
POINTS = array("d", [1.0, 2.0, 3.0, 1001.0, 1002.0, 1003.0, 0.5, 0.25, float("nan")])
"""Three points of a metric, as blobs have them since version 1: steps, times, values."""


def write_version(path: Path, version: int) -> None:
    """Write a database as a server of a version left it, with a row in each table that holds what was logged."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    for script in SCRIPTS[:version]:
        connection.executescript(script)
    connection.execute("INSERT INTO meta VALUES ('id', 'abcd1234')")
    connection.execute("INSERT INTO accounts (number, name, created) VALUES (1, 'local', 1.0)")
    key = {"hash": hashlib.sha256(KEY.encode()).hexdigest(), "account": 1, "created": 2.0}
    insert(connection, "keys", **key, **({"name": "k", "tail": "kkkk", "made": 0} if version > 1 else {}))
    session = {"hash": hashlib.sha256(SESSION.encode()).hexdigest(), "account": 1, "expires": 1e11}
    insert(connection, "sessions", **session, **({"key": 1} if version > 7 else {}))
    later = {"project": "p", "tags": '["t"]'} if version > 2 else {}
    told = {"host": "box", "pid": 7, "params": '{"rate":0.1}', "dropped": '{"limit":2}'}
    counts = {"logs": 2, "metrics": 1, "set_aside": 1, "missing_bytes": 0}
    times = {"started_at": 1000.0, "began": 1000.0, "ended_at": 1001.0, "ending": "failure", "last_seen": 1001.0}
    insert(
        connection, "runs", number=1, account=1, id="r1", name="n", source="loghook", **times, **told, **counts, **later
    )
    insert(connection, "writers", number=1, run=1, id="w", next_offset=100, missing_bytes=0, rank=0, last_seen=1001.0)
    for number in (1, 2):
        line = orjson.dumps({**LINE, "message": f"line {number}"}).decode()
        insert(connection, "logs", id=(1 << 40) + number, writer=1, level=20, logger="train", line=line)
    last = {"top_step": 3.0, "last_step": 3.0, "last_time": 1003.0, "last_value": None, "low": 0.25, "high": 0.5}
    rank = {"rank": -1} if version > 4 else {}
    insert(connection, "metrics", number=1, run=1, name="loss", count=3, full_chunks=0, **last, **rank)
    insert(connection, "open_points", chunk=1 << 32, data=POINTS.tobytes())
    bad = {"writer": 1, "batch_offset": 90, "line_index": 0, "reason": "not JSON", "line": b"x", "length": 1}
    insert(connection, "set_aside", number=1, run=1, **bad)
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert a row."""
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def test_released_scripts_never_change() -> None:
    """The scripts that made the files of earlier versions are what they were; a new version adds one."""
    digests = {
        version: hashlib.sha256(script.encode()).hexdigest()[:16] for version, script in enumerate(SCRIPTS, start=1)
    }
    assert digests == SCRIPTS_OF_VERSIONS


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_each_version(home: Path, as_client: Callable[..., Any], version: int) -> None:
    """A database of each version keeps all that lies in it, takes more, and gives back the space of what is deleted."""
    path = home / "server" / "loghook.db"
    write_version(path, version)
    (home / "loghook.json").write_bytes(orjson.dumps({"api_key": KEY}))
    with Server(home, port=0) as server:
        assert server.key == KEY
        client = as_client(server)
        run = client.read("/runs/r1")
        assert (run["name"], run["status"], run["params"], run["dropped"]) == (
            *("n", "failure", {"rate": 0.1}, {"limit": 2}),
        )
        assert run["project"] == ("p" if version > 2 else None)
        assert [line["message"] for line in client.read("/runs/r1/logs")["logs"]] == ["line 1", "line 2"]
        assert [line["message"] for line in client.read("/runs/r1/logs", q="LINE 2")["logs"]] == ["line 2"]
        points = client.read("/runs/r1/metrics/loss")["points"]
        assert points == [[1, 1001.0, 0.5], [2, 1002.0, 0.25], [3, 1003.0, "NaN"]]
        client.send([{**LINE, "metrics": {"loss": 1.0}, "step": 4}], 100, run="r1", writer="w")
        assert client.read("/runs/r1")["counts"]["logs"] == 3
        kinds = [orjson.loads(line)["type"] for line in client.get("/runs/r1/export").content.splitlines()]
        assert (kinds.count("record"), kinds.count("point"), kinds.count("set_aside")) == (3, 4, 1)
        address = f"{server.url}/api/v1/runs/r1"
        deleted = client.session.delete(address, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
        assert deleted.status_code == 200, deleted.text
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_sessions_of_each_version(home: Path, as_client: Callable[..., Any], version: int) -> None:
    """A session goes on through an upgrade, and ends with its key; where that was not kept, with any of its account."""
    write_version(home / "server" / "loghook.db", version)
    (home / "loghook.json").write_bytes(orjson.dumps({"api_key": KEY}))
    with Server(home, port=0) as server:
        browser = as_client(server, SESSION)
        (key,) = browser.read("/keys")["keys"]
        address, headers = f"{server.url}/api/v1/keys", {"Authorization": f"Bearer {KEY}"}
        other = browser.session.post(address, headers=headers, timeout=60).json()
        for number, knows in ((other["id"], version > 7), (key["id"], False)):
            assert browser.session.delete(f"{address}/{number}", headers=headers, timeout=60).status_code == 204
            assert (browser.get("/runs").status_code == 200) == knows
