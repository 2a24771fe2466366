"""loghook backup: a whole copy of one moment while the server writes, and a server that starts on it."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.server import Server

from .conftest import COMMAND, Command

LINES = 20


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server whose home is the test's."""
    with Server(home, port=0) as server:
        yield server


def post(server: Server, run: str, offset: int, count: int = LINES) -> int:
    """Send records whose metric is their number, and return the next offset."""
    lines = [
        json.dumps({"time": 1e9 + n, "level": "INFO", "logger": "t", "message": f"{run} {n}", "metrics": {"n": n}})
        for n in range(count)
    ]
    body = ("\n".join(lines) + "\n").encode()
    address = f"{server.url}/api/v1/runs/{run}/writers/w/events?offset={offset}"
    request = urllib.request.Request(address, body, {"Authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(json.load(answer)["offset"])


def content(file: Path) -> dict[str, int]:
    """Return how many lines each run in a database has, after SQLite has found nothing wrong with the file."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT id, logs, number FROM runs").fetchall()
        for _, logs, number in rows:
            counted = "SELECT count(*) FROM logs WHERE id BETWEEN ? AND ?"
            (found,) = connection.execute(counted, (number << 40, (number + 1 << 40) - 1)).fetchone()
            assert found == logs
        return {run: logs for run, logs, _ in rows}
    finally:
        connection.close()


def test_a_backup_while_the_server_writes_is_of_one_moment(loghook: Command, server: Server, tmp_path: Path) -> None:
    """A copy made while events come in is sound, holds whole batches only, and is for its owner's eyes alone."""
    stop = threading.Event()
    sent = threading.Event()

    def write() -> None:
        offset = 0
        while not stop.is_set():
            offset = post(server, "busy", offset)
            sent.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert sent.wait(60)
        file = tmp_path / "copy.db"
        ended = loghook("backup", str(file), "--json")
    finally:
        stop.set()
        writer.join()
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said == {"file": str(file), "bytes": file.stat().st_size, "runs": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    copied = content(file)["busy"]
    assert copied > 0
    assert copied % LINES == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("copy", ".copy"))] == ["copy.db"]


def test_serve_starts_on_a_backup_and_goes_on(loghook: Command, server: Server, tmp_path: Path) -> None:
    """A server that starts on a copy has its runs and its key, knows each writer's offset, and takes more."""
    offset = post(server, "kept", 0)
    file = tmp_path / "copy.db"
    assert loghook("backup", str(file)).returncode == 0
    post(server, "later", 0)
    key = server.key
    server.stop()
    elsewhere = tmp_path / "elsewhere"
    with Server(elsewhere, port=0, database=file) as restored:
        restored.key = key
        assert post(restored, "kept", 0) == offset
        post(restored, "kept", offset)
        # The command finds the database that the server uses.
        again = tmp_path / "again.db"
        assert loghook("backup", str(again), LOGHOOK_HOME=str(elsewhere)).returncode == 0
    assert content(again) == {"kept": 2 * LINES}
    assert not (elsewhere / "server" / "loghook.db").exists()


@pytest.mark.slow
def test_a_database_has_one_server(server: Server, tmp_path: Path) -> None:
    """`loghook serve --database` on a file that another home folder's server uses is refused in one line."""
    command = [
        str(COMMAND),
        "serve",
        "--port",
        "0",
        "--home",
        str(tmp_path / "other"),
        "--database",
        str(server.database),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert str(server.database) in line


KILLED = """
import os, signal, sys
from pathlib import Path
from loghook.server.ingest import Ingest
from loghook.server.store import Store
Ingest(Store(Path(sys.argv[1]))).events(1, "r", "w", 0, b'{"time":1,"message":"m"}\\n')
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_backup_without_a_server(loghook: Command, home: Path, tmp_path: Path) -> None:
    """With no server running, what a killed one left in its journal is in the copy."""
    source = home / "server" / "loghook.db"
    source.parent.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", KILLED, source], timeout=60, check=False)
    assert Path(f"{source}-wal").stat().st_size > 0
    file = tmp_path / "copy.db"
    ended = loghook("backup", str(file))
    assert ended.stdout == f"{file}: 1 runs, {file.stat().st_size} bytes, checked\n", ended.stderr
    assert content(file) == {"r": 1}


@pytest.mark.slow
def test_what_is_there_is_replaced_only_with_force(loghook: Command, server: Server, tmp_path: Path) -> None:
    """A file that is there, or the journal of one, stays as it is unless --force is given."""
    file = tmp_path / "copy.db"
    journal = tmp_path / "copy.db-wal"
    journal.write_bytes(b"of another database")
    ended = loghook("backup", str(file))
    assert (ended.returncode, ended.stderr) == (1, f"loghook: {journal} is there already; --force replaces it\n")
    file.write_text("precious")
    ended = loghook("backup", str(file))
    assert (ended.returncode, ended.stderr) == (1, f"loghook: {file} is there already; --force replaces it\n")
    assert (file.read_text(), journal.read_bytes()) == ("precious", b"of another database")
    assert loghook("backup", str(file), "--force").returncode == 0
    assert content(file) == {}
    assert not journal.exists()


@pytest.mark.slow
def test_the_database_itself_is_no_place_for_its_copy(loghook: Command, server: Server, tmp_path: Path) -> None:
    """Not even --force copies a database onto itself, by whatever path, or onto one that a server uses."""
    post(server, "r", 0)
    link = tmp_path / "link.db"
    link.symlink_to(server.database)
    for place in (server.database, link):
        ended = loghook("backup", str(place), "--force")
        assert ended.returncode == 1
        assert "is the database itself" in ended.stderr
    with Server(tmp_path / "other", port=0) as other:
        ended = loghook("backup", str(other.database), "--force")
        assert ended.returncode == 1
        assert "of a server that runs" in ended.stderr
    post(server, "r2", 0)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["nothing", "text", "torn"])
def test_no_backup_is_made_of_what_is_no_sound_database(
    loghook: Command, home: Path, tmp_path: Path, damage: str
) -> None:
    """A database that is missing, foreign or damaged is told in one line, and leaves no file."""
    source = home / "server" / "loghook.db"
    source.parent.mkdir(parents=True)
    if damage == "text":
        source.write_text("no database, but long enough to be taken for one" * 50)
    elif damage == "torn":
        with Server(home, port=0) as server:
            post(server, "r", 0, 2_000)
        data = bytearray(source.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
        source.write_bytes(data)
    ended = loghook("backup", str(tmp_path / "copy.db"))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert str(source) in line
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    """Where the copy does not fit, one line says so, and no part of it stays."""
    post(server, "r", 0, 2_000)
    folder = tmp_path / "small"
    folder.mkdir()
    limited = f"ulimit -f 64; exec {COMMAND} backup {folder / 'copy.db'}"
    ended = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is(server: Server, tmp_path: Path) -> None:
    """On a terminal a bar shows how much is copied."""
    post(server, "r", 0)
    terminal, theirs = pty.openpty()
    command = [str(COMMAND), "backup", str(tmp_path / "copy.db")]
    ended = subprocess.run(
        command, env={**os.environ, "TERM": "xterm"}, stderr=theirs, stdout=subprocess.PIPE, timeout=60, check=False
    )
    os.close(theirs)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert ended.returncode == 0
    assert "copying" in shown
    assert "100%" in shown
