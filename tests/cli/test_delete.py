"""loghook delete: asks, refuses what goes on, and deletes at a server or in the home folder."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.server import Server
from loghook.spool import writers

from .conftest import COMMAND, Command

TRAIN = """
import logging, sys, loghook
loghook.install(sys.argv[1], run_id=sys.argv[2])
logging.warning("line", extra={"metrics": {"loss": 0.5}})
"""


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server whose home is the test's."""
    with Server(home, port=0) as server:
        yield server


def train(name: str, run: str, url: str = "") -> None:
    """Run a program that logs a line."""
    environment = {**os.environ, "LOGHOOK_URL": url}
    subprocess.run([sys.executable, "-c", TRAIN, name, run], env=environment, check=True, timeout=60)


def runs(loghook: Command) -> list[str]:
    """Return the ids of the runs that the server has."""
    return sorted(run["id"] for run in json.loads(loghook("runs", "--json").stdout))


@pytest.mark.slow
def test_a_run_is_deleted_by_id_by_its_beginning_and_by_name(loghook: Command, server: Server) -> None:
    """A run is named by its id, by how that begins, or by its name, where it is one run's only."""
    for name, run in (("one", "a" * 32), ("two", "b" * 32), ("three", "c" * 32), ("same", "d" * 9), ("same", "d" * 10)):
        train(name, run, server.url)
    assert loghook("delete", "a" * 32, "--yes").stdout == f"run {'a' * 32} (one) is deleted\n"
    assert loghook("delete", "b" * 8, "--yes").returncode == 0
    assert json.loads(loghook("delete", "three", "-y", "--json").stdout) == {"deleted": "c" * 32, "name": "three"}
    for text, words in (("same", "2 runs have the name"), ("nothing", "there is no run"), ("d" * 8, "several runs")):
        ended = loghook("delete", text, "--yes")
        assert (ended.returncode, ended.stdout) == (1, "")
        (line,) = ended.stderr.splitlines()
        assert words in line
    assert runs(loghook) == ["d" * 9, "d" * 10]


@pytest.mark.slow
def test_without_a_terminal_it_needs_to_be_told(loghook: Command, server: Server) -> None:
    """Where nobody can be asked, and --yes is not given, nothing is deleted, in one line that says so."""
    train("one", "a" * 32, server.url)
    ended = loghook("delete", "one")
    assert ended.returncode == 1
    assert "--yes" in ended.stderr
    assert runs(loghook) == ["a" * 32]


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "code", "left"), [(b"n\n", 1, 1), (b"\n", 1, 1), (b"y\n", 0, 0)])
def test_on_a_terminal_it_asks(loghook: Command, server: Server, typed: bytes, code: int, left: int) -> None:
    """It deletes only after a yes; after anything else nothing is deleted."""
    train("one", "a" * 32, server.url)
    terminal, theirs = pty.openpty()
    command = subprocess.Popen([COMMAND, "delete", "one"], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"?" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, typed)
    with command:
        assert command.wait(60) == code
    os.close(terminal)
    assert b"success" in shown
    assert len(runs(loghook)) == left


@pytest.mark.slow
def test_a_run_that_goes_on_needs_force(loghook: Command, server: Server) -> None:
    """A run that goes on is refused in one line, and deleted with --force."""
    code = "import logging, sys, loghook; loghook.install('live'); loghook.flush(30); print(flush=True); input()"
    environment = {**os.environ, "LOGHOOK_URL": server.url}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=pipe, stdout=pipe) as program:
        assert program.stdout is not None
        assert program.stdout.readline()
        ended = loghook("delete", "live", "--yes")
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert "--force" in line
        assert loghook("delete", "live", "--yes", "--force").returncode == 0
        program.communicate(b"\n", timeout=60)
    assert runs(loghook) == []


def test_without_a_server_it_works_in_the_home_folder(loghook: Command, home: Path) -> None:
    """Where no server runs, a run is deleted from the database and from the spools, and a server does not find it."""
    train("one", "a" * 32)
    train("two", "b" * 32)
    ended = loghook("delete", "one", "--yes")
    assert (ended.returncode, ended.stderr) == (0, "")
    with Server(home, port=0) as server:
        deadline = time.monotonic() + 60
        while runs(loghook) != ["b" * 32]:
            assert time.monotonic() < deadline
        assert server.database.exists()
    assert not list(writers(home))


@pytest.mark.slow
def test_with_another_database_the_spools_stay(loghook: Command, home: Path, tmp_path: Path) -> None:
    """A run exported or deleted in a copy of the database leaves the home folder's spools for that folder's server."""
    train("one", "a" * 32)
    assert loghook("export", "one").returncode == 0
    copy = tmp_path / "copy.db"
    assert loghook("backup", str(copy)).returncode == 0
    train("two", "b" * 32)
    train("one", "a" * 32)
    before = {path: path.read_bytes() for path in (home / "spool").rglob("*") if path.is_file()}
    for arguments in (("export", "one"), ("delete", "one", "--yes")):
        ended = loghook(*arguments, "--database", str(copy))
        assert ended.returncode == 0, ended.stderr
        (line,) = ended.stderr.splitlines()
        assert f"the spools in {home} are left as they are" in line
    assert "there is no run" in loghook("export", "one", "--database", str(copy)).stderr
    assert {path: path.read_bytes() for path in (home / "spool").rglob("*") if path.is_file()} == before
    assert len(list(writers(home))) == 2
    with Server(home, port=0):
        deadline = time.monotonic() + 60
        while runs(loghook) != ["a" * 32, "b" * 32] or list(writers(home)):
            assert time.monotonic() < deadline
        assert '"type":"end","records":2,' in loghook("export", "one").stdout


def test_a_database_that_is_not_there_is_told(loghook: Command, home: Path) -> None:
    """Where --database names nothing, one line says so, and no database is made."""
    ended = loghook("delete", "one", "--yes", "--database", str(home / "none.db"))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert str(home / "none.db") in line
    assert not (home / "server").exists()
