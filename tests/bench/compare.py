"""loghook and its peers, measured alike and in turn: `figures` returns what the table in README is made of."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from tests.bench.environments import Unavailable, environment, version
from tests.bench.peers import PEERS
from tests.bench.sink import Sink

__all__ = ["figures"]

CHECKOUT = Path(__file__).parents[2]
ROUNDS = 3
OUTAGE = 20.0
LOGGED = 10_000
PATIENCE = 120.0
KILLED = 10_137

Row = dict[str, Any]


def figures(names: Iterable[str], progress: TextIO, *, rounds: int = ROUNDS, outage: bool = True) -> dict[str, Row]:
    """Measure the named peers, in turn, `rounds` times. A peer that cannot be measured has a row that says why.

    {name: {"title", "version", "us", "ratio", "rate", "cpu_us", "memory", "outage", "killed", ...}}, medians, each with
    a list "..._all" of what the rounds came to.
    """
    rows: dict[str, Row] = {}
    pythons: dict[str, str] = {}
    for name in names:
        about = PEERS[name]
        rows[name] = {"title": about.title}
        try:
            pythons[name] = environment(name, about.requirements, progress, python=about.python)
            rows[name]["version"] = version(pythons[name], about.package) if about.package else ""
        except Unavailable as error:
            rows[name]["unavailable"] = str(error)
    for number in range(rounds):
        for name, python in pythons.items():
            progress.write(f"round {number + 1} of {rounds}: {name}\n")
            progress.flush()
            _round(name, python, rows[name])
    if outage:
        progress.write("a 20 s outage, all at once\n")
        progress.flush()
        with ThreadPoolExecutor(len(pythons) or 1) as pool:
            sending = [name for name in pythons if PEERS[name].delivers]
            for name, arrived in zip(sending, pool.map(lambda one: _outage(one, pythons[one]), sending), strict=True):
                rows[name]["outage"] = arrived
    for row in rows.values():
        _settle(row)
    return rows


def _round(name: str, python: str, row: Row) -> None:
    for measure in (_call, _rate, _killed):
        try:
            found = measure(name, python)
        except (subprocess.SubprocessError, ValueError, OSError) as error:
            row.setdefault("failed", []).append(f"{measure.__name__[1:]}: {error}")
            continue
        for key, value in found.items():
            row.setdefault(f"{key}_all", []).append(value)


def _settle(row: Row) -> None:
    for key in [key for key in row if key.endswith("_all")]:
        values = [value for value in row[key] if value is not None]
        row[key] = values
        row[key[:-4]] = statistics.median(values) if values else None


def _call(name: str, python: str) -> Row:
    with Sink() as sink, tempfile.TemporaryDirectory() as folder:
        told = _told(_start(name, python, "call", sink, folder))
    return {key: told[key] for key in ("us", "wall_us", "ratio", "null_us", "queue_us")}


def _rate(name: str, python: str) -> Row:
    about = PEERS[name]
    with Sink() as sink, tempfile.TemporaryDirectory() as folder:
        told = _told(_start(name, python, "rate", sink, folder))
        if about.delivers:
            # What is left may be sent by a process that the peer started.
            found = sink.count(about.pattern)
            arrived, seconds = found["numbers"], max(found["last"], told["start"] + 1e-9) - told["start"]
        else:
            found = {"bytes": 0}
            arrived, seconds = about.records, told["end"] - told["start"]
    return {
        "rate": arrived / seconds if arrived else 0.0,
        "cpu_us": told["cpu"] / arrived * 1e6 if arrived else None,
        "arrived_share": arrived / about.records,
        "memory": told["memory"],
        "wire": found["bytes"] / arrived if arrived else None,
    }


def _killed(name: str, python: str) -> Row:
    about = PEERS[name]
    with Sink() as sink, tempfile.TemporaryDirectory() as folder:
        worker = _start(name, python, "killed", sink, folder)
        worker.wait(PATIENCE)
        time.sleep(1.0)  # what is on its way, or in another process of the peer, may still arrive
        found: set[int] = set()
        for first, last in sink.count(about.pattern)["ids"]:
            found.update(range(first, last + 1))
        left = _start(name, python, "kept", sink, folder)
        found.update(_told(left)["numbers"])
    return {"killed": len([number for number in found if number < KILLED])}


def _outage(name: str, python: str) -> int | str:
    """How many of 10,000 records, logged while the server is away for 20 seconds, are there in the end."""
    with Sink() as sink, tempfile.TemporaryDirectory() as folder:
        variables = {"BENCH_OUTAGE_RECORDS": str(LOGGED), "BENCH_OUTAGE_SECONDS": str(OUTAGE)}
        worker = _start(name, python, "outage", sink, folder, stdin=subprocess.PIPE, **variables)
        assert worker.stdout is not None
        assert worker.stdin is not None
        for line in worker.stdout:
            if line == "BEGUN\n":
                break
        sink.down()
        time.sleep(OUTAGE)
        sink.up()
        try:
            worker.communicate("up\n", timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.communicate()
        return int(sink.count(PEERS[name].pattern)["numbers"])


def _start(
    name: str, python: str, measure: str, sink: Sink, folder: str, *, stdin: int = subprocess.DEVNULL, **variables: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-m", "tests.bench.worker", name, measure, str(sink.port), folder],
        cwd=CHECKOUT,
        env={**os.environ, **variables},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _told(worker: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, err = worker.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.communicate()
        raise
    for line in out.splitlines():
        if line.startswith("BENCH "):
            told: dict[str, Any] = json.loads(line[6:])
            return told
    raise ValueError((err.strip().splitlines() or ["said nothing"])[-1])


if __name__ == "__main__":
    json.dump(figures(sys.argv[1:] or PEERS, sys.stderr), sys.stdout, indent=1)
