"""The clients that put a server under load, as processes of their own.

    python load_clients.py writers URL RUNS FIRST COUNT RECORDS SECONDS
    python load_clients.py pages URL RUNS COUNT

`writers` sends as COUNT writers, numbered from FIRST, each RECORDS records over SECONDS, a batch a second, by the
transport that programs send by; it ends when all are delivered. `pages` asks what COUNT open pages ask, three of four
showing a run and the others the list, until its input ends. Both print one line of JSON at the end. The key is in
LOGHOOK_API_KEY.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import sys
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode, urlsplit

from loghook import transports
from loghook.credentials import KeySource
from loghook.transports.base import Batch, Delivered, TryLater

MOST = 2000
"""Records in a batch of a writer that is late."""
POINTS = 500
LINES = 300
PATIENCE = 300.0
"""Seconds that a writer goes on trying to deliver one batch."""
SILENCE = 60.0
"""Seconds that a client waits for an answer: on a machine that is busy with other things it may come late."""


def run_of(writer: int, runs: int) -> str:
    """Return the run that a writer belongs to."""
    return f"load-{writer % runs}"


class Writer(threading.Thread):
    """A writer, whose rank in its run is its number there."""

    def __init__(self, url: str, runs: int, number: int, records: int, seconds: float) -> None:
        super().__init__()
        self.url, self.number, self.records, self.seconds = url, number, records, seconds
        self.run_id, self.rank = run_of(number, runs), number // runs
        self.delivered = 0
        self.later: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        """Send everything, in time where the server keeps up."""
        transport = transports.open(self.url, KeySource(), timeout=SILENCE)
        began, offset = time.monotonic(), 0
        body = event(event="writer_started", writer={"pid": self.number, "host": "load", "rank": self.rank})
        while self.delivered < self.records and not self.wrong:
            due = min(
                self.records,
                self.delivered + MOST,
                math.ceil((time.monotonic() - began + 1) / self.seconds * self.records),
            )
            body += b"".join(self.record(number) for number in range(self.delivered, due))
            offset = self.deliver(transport, Batch(self.run_id, f"w{self.number}", offset, body))
            self.delivered, body = due, b""
            time.sleep(max(0.0, began + self.delivered / self.records * self.seconds - time.monotonic()))
        transport.close()

    def record(self, number: int) -> bytes:
        """Return one record; every fourth has metrics."""
        more: dict[str, Any] = {}
        if number % 4 == 0:
            more = {"metrics": {"loss": math.exp(-number / 1e4) + self.rank, "rate": number / 7}, "step": number}
        text = f"batch done in {number % 97} ms, {number * 31 % 1009} samples of shard {number % 13}"
        return event(level="INFO", logger="load", message=f"{self.number} {number} {text}", **more)

    def deliver(self, transport: transports.Transport, batch: Batch) -> int:
        """Send a batch until it is delivered; return the offset behind it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            outcome = transport.send(batch)
            if isinstance(outcome, Delivered) and outcome.offset >= batch.next and not outcome.set_aside:
                return batch.next
            if not isinstance(outcome, TryLater):
                self.wrong.append(f"writer {self.number} at offset {batch.offset}: {outcome}")
                return batch.next
            self.later["429" if " 429" in outcome.reason else outcome.reason] += 1
            time.sleep(min(outcome.after or 0.2, 2.0))
        self.wrong.append(f"writer {self.number} at offset {batch.offset}: not delivered in {PATIENCE:.0f} s")
        return batch.next


def event(**fields: Any) -> bytes:
    """Return an event of now, a line."""
    return json.dumps({"time": time.time(), **fields}).encode() + b"\n"


def write(url: str, runs: int, first: int, count: int, records: int, seconds: float) -> dict[str, Any]:
    """Run the writers to their end; say how long it took, and what was not a plain yes."""
    began = time.monotonic()
    writers = [Writer(url, runs, number, records, seconds) for number in range(first, first + count)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    later = sum((writer.later for writer in writers), Counter[str]())
    wrong = [sentence for writer in writers for sentence in writer.wrong]
    return {"seconds": time.monotonic() - began, "later": later, "wrong": wrong}


class Page(threading.Thread):
    """What one open page asks: that of a run, or the list of runs."""

    def __init__(self, url: str, run: str) -> None:
        super().__init__(daemon=True)
        self.run_id = run
        self.address = urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=SILENCE)
        self.taken: list[tuple[str, float]] = []
        self.failed: Counter[str] = Counter()

    def run(self) -> None:
        """Ask once a second, and less often where the answers come slowly, as a page does."""
        tick = self.ticks() if self.run_id else self.list_ticks()
        while True:
            began = time.monotonic()
            try:
                next(tick)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed[f"{type(error).__name__}: {error}"] += 1
                self.connection.close()
                tick = self.ticks() if self.run_id else self.list_ticks()
            time.sleep(max(1.0, 4 * (time.monotonic() - began)))

    def list_ticks(self) -> Any:
        """What the list asks, time after time."""
        while True:
            self.get("overview", limit=50)
            yield

    def ticks(self) -> Any:
        """What a run's page asks, time after time."""
        path = f"runs/{self.run_id}"
        counts: dict[str, int] = {}
        lines = self.get(f"{path}/logs", limit=LINES)
        while True:
            found = self.get(path)["counts"]
            lines = self.get(f"{path}/logs", limit=LINES, after=lines["next"])
            if found != counts:
                names = [metric["name"] for metric in self.get(f"{path}/metrics")["metrics"]]
                self.get(f"{path}/series", name=names, max_points=POINTS, rank=0)
            counts = found
            yield

    def get(self, path: str, **query: Any) -> Any:
        """Return what a GET below /api/v1 answers, and note how long it took."""
        began = time.monotonic()
        for _ in range(2):
            reused = self.connection.sock is not None
            try:
                answer = self.ask(path, query)
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                # The server had ended a connection that was idle for some seconds: a browser takes another.
                self.connection.close()
                if not reused:
                    raise
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} for {path.rpartition('/')[2]}")
        self.taken.append((path.rpartition("/")[2] if "/" in path else path, time.monotonic() - began))
        return json.loads(body if answer.getheader("Content-Encoding") != "gzip" else _unpacked(body))

    def ask(self, path: str, query: dict[str, Any]) -> http.client.HTTPResponse:
        """Send a GET and return how its answer begins."""
        headers = {"Authorization": f"Bearer {os.environ['LOGHOOK_API_KEY']}", "Accept-Encoding": "gzip"}
        self.connection.request("GET", f"/api/v1/{path}?{urlencode(query, doseq=True)}", headers=headers)
        return self.connection.getresponse()


def _unpacked(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body)


def look(url: str, runs: int, count: int) -> dict[str, Any]:
    """Run the pages until the input ends; say how long each answer took, and what went wrong."""
    pages = [Page(url, "" if number % 4 == 3 else run_of(number, runs)) for number in range(count)]
    for page in pages:
        page.start()
        time.sleep(1 / count)
    sys.stdin.read()
    failed = sum((page.failed for page in pages), Counter[str]())
    return {"taken": [one for page in pages for one in list(page.taken)], "failed": failed}


if __name__ == "__main__":
    what, url, *numbers = sys.argv[1:]
    if what == "writers":
        *whole, seconds = numbers
        runs, first, count, records = map(int, whole)
        print(json.dumps(write(url, runs, first, count, records, float(seconds))))
    else:
        runs, count = map(int, numbers)
        print(json.dumps(look(url, runs, count)))
