"""loghook export: a run with everything in it, from a server or from the home folder."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loghook.server import Server
from loghook.server.accounts import Accounts
from loghook.server.ingest import Ingest
from loghook.server.store import Store

from .conftest import COMMAND, Command

TRAIN = """
import logging, math, os, loghook
loghook.install("=HYPERLINK(1)", run_id="a" * 32, params={"rate": 0.1, "+x": "=1+1"})
for step in range(3):
    value = [-0.5, math.nan, -math.inf][step]
    logging.warning("step %d", step, extra={"metrics": {"loss": value}, "step": step})
logging.error("=cmd|' /C calc'!A0\\n\\u00e4, \\"quoted\\"", extra={"size": [1, 2]})
"""


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server whose home is the test's."""
    with Server(home, port=0) as server:
        yield server


def train(url: str = "") -> None:
    """Run a program that logs what is hard to write out."""
    environment = {**os.environ, "LOGHOOK_URL": url}
    subprocess.run([sys.executable, "-c", TRAIN], env=environment, check=True, timeout=60, stderr=subprocess.DEVNULL)


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of NDJSON."""
    return [json.loads(line) for line in text.splitlines()]


def of(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the rows of a type."""
    return [row for row in rows if row["type"] == kind]


def check(rows: list[dict[str, Any]]) -> None:
    """Check that everything that `train` logged is there."""
    run, *_, end = rows
    assert (run["type"], run["name"], run["status"]) == ("run", "=HYPERLINK(1)", "success")
    assert run["params"] == {"rate": 0.1, "+x": "=1+1"}
    assert [row["message"] for row in of(rows, "record")][:3] == ["step 0", "step 1", "step 2"]
    assert of(rows, "record")[-1]["extra"] == {"size": [1, 2]}
    assert [(row["name"], row["step"], row["value"]) for row in of(rows, "point")] == [
        ("loss", 0, -0.5),
        ("loss", 1, "NaN"),
        ("loss", 2, "-Infinity"),
    ]
    assert [(row["name"], row["count"], row["min"]) for row in of(rows, "metric")] == [("loss", 3, -0.5)]
    assert end == {"type": "end", "records": 4, "set_aside": 0, "metrics": 1, "points": 3}


def test_ndjson_has_everything_from_a_server_and_without_one(loghook: Command, home: Path) -> None:
    """The same comes from a server as from its database, and from spools that no server has read yet."""
    train()
    unread = loghook("export", "a" * 32)
    assert unread.returncode == 0, unread.stderr
    check(objects(unread.stdout))
    with Server(home, port=0):
        served = loghook("export", "=HYPERLINK(1)")
    assert served.stdout == unread.stdout
    assert loghook("export", "a" * 8).stdout == unread.stdout


def test_csv_is_safe_in_a_spreadsheet(loghook: Command, server: Server) -> None:
    """No text in the table begins as a formula does, numbers are as they are, and a mark says that it is UTF-8."""
    train(server.url)
    text = loghook("export", "a" * 32, "--format", "csv").stdout
    assert text.startswith("\ufefftype,time,step,name,value,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    for row in rows:
        for name, cell in row.items():
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
            assert not cell.startswith("-") or (name == "value" and float(cell) < 0)
    (name,) = (row["value"] for row in rows if row["type"] == "run" and row["name"] == "name")
    assert name == "'=HYPERLINK(1)"
    assert {row["name"]: row["value"] for row in of(rows, "param")} == {"rate": "0.1", "'+x": "'=1+1"}
    assert [row["value"] for row in of(rows, "point")] == ["-0.5", "NaN", "-Infinity"]
    assert [row["value"] for row in of(rows, "metric")] == ["-Infinity"]
    last = of(rows, "record")[-1]
    assert last["message"] == "'=cmd|' /C calc'!A0\n\u00e4, \"quoted\""
    assert json.loads(last["more"])["extra"] == {"size": [1, 2]}
    assert last["time"].endswith("Z")
    assert rows[-1] == {**dict.fromkeys(rows[-1], ""), "type": "end", "name": "points", "value": "3"}


@pytest.mark.slow
def test_a_file_gets_its_name_once_it_is_whole(loghook: Command, server: Server, tmp_path: Path) -> None:
    """--output writes a file, replaces none without --force, and leaves none after a failure."""
    train(server.url)
    file = tmp_path / "run.ndjson"
    assert loghook("export", "a" * 32, "-o", str(file)).stdout == ""
    check(objects(file.read_text()))
    ended = loghook("export", "a" * 32, "-o", str(file))
    assert (ended.returncode, ended.stderr) == (1, f"loghook: {file} is there already; --force replaces it\n")
    assert loghook("export", "a" * 32, "-o", str(file), "--force").returncode == 0
    assert loghook("export", "nothing", "-o", str(tmp_path / "none")).returncode == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["run.ndjson"]


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_it_in_silence(server: Server) -> None:
    """When what reads the output has enough, the command ends as others in a pipe do."""
    train(server.url)
    command = f"{COMMAND} export {'a' * 32} | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    assert ended.stdout.strip() in ("0", "141")


LINE = b'{"time":1,"level":"INFO","logger":"train","message":"%s","metrics":{"m":1.5}}\n' % (b"x" * 1_000)
BATCH = LINE * 1_000


def fill(database: Path, run: str, batches: int) -> None:
    """Store batches of a run of this machine's account."""
    store = Store(database)
    account = Accounts(store).local
    for batch in range(batches):
        Ingest(store).events(account, run, "w", batch * len(BATCH), BATCH)
    store.close()


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr)
"""
"""Tells the most memory that a command had. From a process that is small: a child begins with its parent's peak."""


def peak_of_export(run: str, form: str, output: Path) -> int:
    """Export a run to a file, and return the most memory that the command had, in bytes."""
    command = [sys.executable, "-c", MEASURE, str(COMMAND), "export", run, "--format", form]
    with output.open("wb") as file:
        ended = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True, timeout=300)
    return int(ended.stderr)


@pytest.mark.slow
def test_memory_stays_flat(home: Path, tmp_path: Path) -> None:
    """Ten times the lines and points are written out in as little memory, give or take half of what they come to."""
    database = home / "server" / "loghook.db"
    database.parent.mkdir(parents=True)
    for run, batches in (("few", 3), ("many", 30)):
        fill(database, run, batches)
    for form in ("ndjson", "csv"):
        few, many = (peak_of_export(run, form, tmp_path / f"{run}.{form}") for run in ("few", "many"))
        written = (tmp_path / f"many.{form}").stat().st_size
        assert written > 30 * len(BATCH)
        assert many - few < written // 2, (form, few, many, written)
