"""What a real `loghook serve` stores: from one writer and from 64, and at the end of a run of ten million.

A rate is records over the processor seconds that the server took for them: on a busy machine, or beside the senders on
two cores, the clock on the wall tells of the others. "by the clock" is that too.
"""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from tests.bench.serving import Serve, cpu_seconds, memory

__all__ = ["large", "run"]

RECORDS = 600_000
WRITERS = 64
BATCH = 5000
MILLION = 1_000_000
READS = 25
THINNED = "/api/v1/runs/bench/metrics/loss?max_points=1000"


def run(progress: TextIO, *, records: int = RECORDS) -> dict[str, Any]:
    """Return records a second of processor time, and by the clock, of one writer and of 64 that send at once."""
    figures: dict[str, Any] = {}
    records -= records % WRITERS  # each writer's share is a whole one
    for writers in (1, WRITERS):
        progress.write(f"server: {writers} writer(s)\n")
        with Serve() as server:
            _send(server, "warm", 1, 20_000)
            cpu, start = cpu_seconds(server.pid), time.perf_counter()
            _send(server, "bench", writers, records)
            seconds, used = time.perf_counter() - start, cpu_seconds(server.pid) - cpu
            _check(server, "bench", records)
        figures |= {
            f"{writers} records/s of a core": records / used,
            f"{writers} records/s by the clock": records / seconds,
        }
    return figures


def large(progress: TextIO, *, millions: int = 10) -> dict[str, Any]:
    """Return how the server does with a run of so many million points and log lines."""
    costs = []
    with Serve() as server:
        raw = 0
        for million in range(millions):
            progress.write(f"server: million {million + 1} of {millions}\n")
            progress.flush()
            cpu = cpu_seconds(server.pid)
            raw = _send(server, "bench", 1, MILLION, done=million * MILLION, offset=raw)
            costs.append((cpu_seconds(server.pid) - cpu) / MILLION * 1e6)
        size = sum(path.stat().st_size for path in (server.home / "server").glob("loghook.db*"))
        figures: dict[str, Any] = {
            "us a record, each million": costs,
            "last million over first": costs[-1] / costs[0],
            "database over lines": size / raw,
            "line bytes": raw / (millions * MILLION),
            **_reads("first page", server, lambda: _first_page(server)),
            **_reads("thinned metric", server, lambda: _get(server, THINNED)),
            "memory MB": memory(server.pid, "VmHWM") / 1e6,
        }
    return figures


def _first_page(server: Serve) -> None:
    """What a browser asks for, before it shows a run's page."""
    _get(server, "/api/v1/runs/bench")
    _get(server, "/api/v1/runs/bench/logs?limit=200")
    _get(server, "/api/v1/runs/bench/metrics")
    _get(server, "/api/v1/runs/bench/series?name=loss&max_points=1000")


def _reads(name: str, server: Serve, work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds: the median by the clock, and the server's processor time."""
    times = []
    cpu = cpu_seconds(server.pid)
    for _ in range(READS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    used = (cpu_seconds(server.pid) - cpu) / READS
    return {
        f"{name} ms": sorted(times)[READS // 2] * 1e3,
        f"{name} CPU ms": used * 1e3,
        f"{name} best ms": min(times) * 1e3,
    }


def _get(server: Serve, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers={"Authorization": f"Bearer {server.key}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return json.loads(body)


def _check(server: Serve, run: str, records: int) -> None:
    stored = _get(server, f"/api/v1/runs/{run}")["counts"]["logs"]
    if stored != records:
        raise RuntimeError(f"{stored} of {records} records were stored")


def _send(server: Serve, run: str, writers: int, records: int, *, done: int = 0, offset: int = 0) -> int:
    """Send so many records in turn by each writer, all writers at once; returns the offset that the last came to."""
    ends: list[int] = []
    share = records // writers
    threads = [
        threading.Thread(target=lambda number=number: ends.append(_write(server, run, number, share, done, offset)))
        for number in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(ends) < writers:
        raise RuntimeError("a writer's batch was not taken")
    return ends[-1]


def _write(server: Serve, run: str, writer: int, records: int, done: int, offset: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    headers = {
        "Authorization": f"Bearer {server.key}",
        "Content-Type": "application/x-ndjson",
        "Content-Encoding": "gzip",
    }
    for start in range(done, done + records, BATCH):
        body = _lines(start, min(BATCH, done + records - start))
        path = f"/api/v1/runs/{run}/writers/w{writer}/events?offset={offset}"
        while True:
            connection.request("POST", path, gzip.compress(body, 1), headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200:
                break
            if answer.status not in (429, 503):
                raise RuntimeError(f"{answer.status} {said[:200]!r}")
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        offset += len(body)
    connection.close()
    return offset


def _lines(start: int, count: int) -> bytes:
    """Records of about 200 bytes with a metric each, as the handler makes them, with numbers that do not repeat."""
    line = (
        '{"time":%.6f,"level":"INFO","logger":"train","message":"step %d of the training is done, the batch took %d ms"'
        ',"metrics":{"loss":%.16f},"step":%d,"file":"train.py:88"}\n'
    )
    return "".join(
        line % (1763740000 + i * 1e-3, i, 20 + i * 7919 % 31, (i * 2654435761 % 2**32 + 1) / 2**32, i)
        for i in range(start, start + count)
    ).encode()
