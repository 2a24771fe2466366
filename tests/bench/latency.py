"""How long single calls take at worst: beside a busy Python thread, and while the listener ships at full speed.

Whoever gives the GIL away, as a write to a file does, waits up to five milliseconds to get it back. Calls through the
handlers alternate, one at a time, so that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TextIO

from tests.bench.sink import Sink

__all__ = ["EDGES", "run"]

PACED = 2000
FLAT_OUT = 200_000
EDGES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""The histogram's edges, in microseconds."""


def run(progress: TextIO, *, paced: int = PACED, flat_out: int = FLAT_OUT) -> dict[str, object]:
    """Return percentiles, "CASE HANDLER p50 us" to "p99.9 us", and "CASE HANDLER histogram": calls below each edge."""
    progress.write("latency: beside a busy thread\n")
    with tempfile.TemporaryDirectory() as home:
        figures = _beside_a_busy_thread(Path(home), paced)
    progress.write("latency: while the listener ships\n")
    # In a process of its own, since the listener of this one may have other work.
    for handler in ("loghook", "NullHandler"):
        with Sink() as sink, tempfile.TemporaryDirectory() as home:
            code = f"from tests.bench import latency; latency.ship({sink.port}, {home!r}, {flat_out}, {handler!r})"
            out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
            figures |= _figures(f"shipping {handler}", [float(one) for one in out.split()])
    return figures


def _beside_a_busy_thread(home: Path, calls: int) -> dict[str, object]:
    os.environ["LOGHOOK_HOME"] = str(home)
    import loghook

    handlers: dict[str, logging.Handler] = {
        "NullHandler": logging.NullHandler(),
        "QueueHandler": logging.handlers.QueueHandler(queue.SimpleQueue()),
        "FileHandler": logging.FileHandler(home / "file.log"),
        "loghook": loghook.LogHookHandler("latency"),
    }
    stop = threading.Event()
    threading.Thread(target=_spin, args=(stop,), daemon=True).start()
    times: dict[str, list[float]] = {name: [] for name in handlers}
    log = logging.Logger("latency", logging.INFO)
    for i in range(calls):
        for name, handler in handlers.items():
            if name == "FileHandler" and i % 10:
                continue
            log.handlers[:] = [handler]
            time.sleep(0.0001)  # as training does: the GIL was given away, and the next turn is a whole one
            start = time.perf_counter()
            log.info("epoch %d", i, extra={"metrics": {"loss": 0.3}, "step": i})
            times[name].append((time.perf_counter() - start) * 1e6)
    stop.set()
    handlers["FileHandler"].close()
    figures: dict[str, object] = {}
    for name, taken in times.items():
        figures |= _figures(f"busy {name}", taken)
    return figures


def _spin(stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1


def ship(port: int, home: str, calls: int, name: str) -> None:
    """Log flat out while the listener sends what was logged, and print each call's microseconds."""
    os.environ |= {"LOGHOOK_HOME": home, "LOGHOOK_API_KEY": "a-key-for-benchmarks"}
    import loghook

    handler = loghook.LogHookHandler("latency", url=f"http://127.0.0.1:{port}", flush_interval=0.02)
    ours, other = logging.Logger("latency", logging.INFO), logging.Logger("other", logging.INFO)
    ours.addHandler(handler)
    other.addHandler(logging.NullHandler())
    log = ours if name == "loghook" else other
    times = []
    for i in range(calls):
        start = time.perf_counter()
        log.info("epoch %d", i, extra={"metrics": {"loss": i / 3}, "step": i})
        times.append((time.perf_counter() - start) * 1e6)
        if name != "loghook":  # the same work for the listener, outside of the time taken
            ours.info("epoch %d", i, extra={"metrics": {"loss": i / 3}, "step": i})
    print(*(f"{one:.1f}" for one in times))
    loghook.flush(30)


def _figures(name: str, times: list[float]) -> dict[str, object]:
    times.sort()
    figures: dict[str, object] = {
        f"{name} p{share:g} us": times[min(len(times) - 1, int(len(times) * share / 100))] for share in (50, 99, 99.9)
    }
    figures[f"{name} histogram"] = [sum(1 for one in times if one < edge) for edge in EDGES] + [len(times)]
    return figures
