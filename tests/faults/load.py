"""Load on the server: many writers, many open pages, and the server killed under them."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.campaign.scripts import key_of

from .campaign import Campaign, Figures, Row

__all__ = ["ROWS"]

CLIENTS = Path(__file__).with_name("load_clients.py")
WRITERS, RUNS, PAGES = 64, 8, 20
PROCESSES = 4
"""Processes that the writers are spread over: a client must not be what is slow."""
AN_HOUR = 3_600_000
"""Records of an hour at 1,000 a second."""
TEN_MINUTES = 600.0
SOON = 0.2
"""Seconds in which nineteen answers of twenty come to a page."""
IN_COMPANY = 5.0
"""The same in the short form, beside whatever else runs on the machine: then it only shows that no page is held up."""


class Serving:
    """`loghook serve`, that can be killed and started again on its port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        command = [sys.executable, "-m", "loghook", "serve", "--home", str(self.home), "--port", str(self.port)]
        self.home.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=self.home)
        assert self.process.stdout is not None
        link = next((line for line in self.process.stdout if "/sign-in?token=" in line), "")
        assert link, "loghook serve did not start"
        self.port = int(re.findall(r":(\d+)/", link)[0])

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self._gone()

    def stop(self) -> None:
        """End it properly."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            self.kill()

    def _gone(self) -> None:
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def client(server: Serving, *arguments: object) -> subprocess.Popen[str]:
    """Start one of the processes that put the server under load."""
    return subprocess.Popen(
        [sys.executable, str(CLIENTS), *map(str, arguments)],
        env={**os.environ, "LOGHOOK_API_KEY": key_of(server.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def writing(server: Serving, records: int, seconds: float) -> list[subprocess.Popen[str]]:
    """Start all writers."""
    each = WRITERS // PROCESSES
    return [
        client(server, "writers", server.url, RUNS, number * each, each, records, seconds)
        for number in range(PROCESSES)
    ]


def answer(process: subprocess.Popen[str], timeout: float) -> dict[str, Any]:
    """Let a client end, and return what it has to say."""
    try:
        out, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, f"a client ended with {process.returncode}"
    return dict(json.loads(out))


def crowd(campaign: Campaign) -> Figures:
    """Let all write and look at once."""
    seconds = TEN_MINUTES if campaign.long else 40.0
    records = int(AN_HOUR * seconds / TEN_MINUTES / WRITERS)
    server = Serving(campaign.folder / "server")
    clients: list[subprocess.Popen[str]] = []
    try:
        writers = writing(server, records, seconds)
        pages = client(server, "pages", server.url, RUNS, PAGES)
        clients += [*writers, pages]
        said = [answer(process, seconds + 600) for process in writers]
        looked = answer(pages, 60)
    finally:
        for process in clients:
            process.kill()
        server.stop()
    wrong = [sentence for one in said for sentence in one["wrong"]]
    later = sum((Counter(one["later"]) for one in said), Counter[str]())
    wrong += [f"{count} batches were put off by {reason}" for reason, count in later.items() if reason != "429"]
    # A page that looks at a run before its first record finds none.
    failed = {reason: count for reason, count in looked["failed"].items() if not reason.startswith("ValueError: 404")}
    wrong += [f"{count} requests of pages failed: {reason}" for reason, count in failed.items()]
    taken = sorted(time for _, time in looked["taken"])
    soon = taken[len(taken) * 95 // 100] if taken else float("inf")
    if soon > (SOON if campaign.long else IN_COMPANY):
        wrong.append(f"of {len(taken)} answers to pages the slowest twentieth took {soon:.2f} s or more")
    lost, twice = stored(server.home, records, wrong)
    rate = WRITERS * records / max(one["seconds"] for one in said)
    note = f"{rate:,.0f} records/s; {len(taken):,} answers to pages, 95 % within {soon * 1000:.0f} ms"
    note += f"; {later['429']} batches put off by 429" if later else ""
    return Figures(WRITERS * records, lost, twice, tuple(wrong), note)


def killed(campaign: Campaign) -> Figures:
    """Kill the server again and again while all write and look."""
    seconds = TEN_MINUTES if campaign.long else 20.0
    records = int(AN_HOUR * seconds / TEN_MINUTES / WRITERS)
    server = Serving(campaign.folder / "server")
    wrong: list[str] = []
    clients: list[subprocess.Popen[str]] = []
    kills = 0
    try:
        writers = writing(server, records, seconds)
        pages = client(server, "pages", server.url, RUNS, PAGES)
        clients += [*writers, pages]
        before = 0
        while any(process.poll() is None for process in writers):
            # It has to get somewhere between two deaths, or on a slow machine the writers would never come to an end.
            before = progress(server, writers, before)
            time.sleep(campaign.random.uniform(0.0, 3.0))
            server.kill()
            kills += 1
            found = check(server.home) if kills % 10 == 1 else []
            wrong += [f"after kill {kills} of seed {campaign.seed}: {one}" for one in found]
            server.start()
        said = [answer(process, 60) for process in writers]
        answer(pages, 60)
    finally:
        for process in clients:
            process.kill()
        server.stop()
    wrong += [sentence for one in said for sentence in one["wrong"]]
    lost, twice = stored(server.home, records, wrong)
    return Figures(kills, lost, twice, tuple(wrong), f"{WRITERS * records:,} records of {WRITERS} writers")


def progress(server: Serving, writers: list[subprocess.Popen[str]], before: int, timeout: float = 60.0) -> int:
    """Wait until a server has more than `before` bytes of its writers' logs, or they are over; return how many.

    Only while it lives: the last one to close a database tidies up in it, and that is the next server's to do.
    """
    deadline = time.monotonic() + timeout
    connection = sqlite3.connect(server.home / "server" / "loghook.db", timeout=60)
    try:
        while True:
            (found,) = connection.execute("SELECT coalesce(sum(next_offset), 0) FROM writers").fetchone()
            if found > before or time.monotonic() > deadline or all(one.poll() is not None for one in writers):
                return int(found)
            time.sleep(0.05)
    finally:
        connection.close()


def check(home: Path) -> list[str]:
    """Return what SQLite finds wrong with a server's database."""
    connection = sqlite3.connect(home / "server" / "loghook.db")
    found = [row for (row,) in connection.execute("PRAGMA integrity_check")]
    connection.close()
    return [] if found == ["ok"] else [f"integrity check: {one}" for one in found[:3]]


def stored(home: Path, records: int, wrong: list[str]) -> tuple[int, int]:
    """Count what the database lacks, and what it has twice; add to `wrong` what else is not right in it."""
    wrong += check(home)
    connection = sqlite3.connect(home / "server" / "loghook.db")
    seen = {f"w{number}": bytearray(records) for number in range(WRITERS)}
    twice = 0
    latest: dict[str, int] = {}
    of_message = re.compile(r'"message": ?"(\d+) (\d+) ')
    query = "SELECT writers.id, line FROM logs JOIN writers ON writers.number = logs.writer ORDER BY logs.id"
    for writer, line in connection.execute(query):
        found = of_message.search(line)
        if found is None or writer != f"w{found[1]}":
            wrong.append(f"under writer {writer} there is {line[:200]}")
            continue
        number = int(found[2])
        twice += seen[writer][number]
        seen[writer][number] = 1
        if number <= latest.get(writer, -1):
            wrong.append(f"writer {writer} has record {number} behind {latest[writer]}")
        latest[writer] = number
    lost = sum(numbers.count(0) for numbers in seen.values())
    points = len(range(0, records, 4))
    for run, name, rank, count in connection.execute("SELECT run, name, rank, count FROM metrics"):
        if count != points:
            wrong.append(f"metric {name} of run {run} and rank {rank} has {count} points of {points}")
    connection.close()
    return lost, twice


ROWS = [
    Row(
        "Load",
        f"{WRITERS} writers, {PAGES} open pages, an hour's records (1,000 a second) in ten minutes",
        "nothing refused, but put off by 429; nothing lost; 95 % of answers to pages within 200 ms (in the long form)",
        crowd,
    ),
    Row(
        "Load",
        "SIGKILL of the server at random under that load",
        "nothing lost, nothing twice; the database is sound",
        killed,
    ),
]
