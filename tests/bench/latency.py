"""How long single log calls take beside a busy Python thread: whoever gives the GIL away waits to get it back."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import tempfile
import threading
import time
from pathlib import Path
from typing import TextIO

__all__ = ["run"]

CALLS = 2000


def run(progress: TextIO) -> list[dict[str, object]]:
    """Return a row for each handler: percentiles of one call in microseconds."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOGHOOK_HOME"] = home
        import loghook

        handlers: dict[str, logging.Handler] = {
            "NullHandler": logging.NullHandler(),
            "QueueHandler": logging.handlers.QueueHandler(queue.SimpleQueue()),
            "FileHandler": logging.FileHandler(Path(home) / "file.log"),
            "loghook": loghook.LogHookHandler("latency"),
        }
        stop = threading.Event()
        threading.Thread(target=_spin, args=(stop,), daemon=True).start()
        rows = []
        for name, handler in handlers.items():
            progress.write(f"latency: {name}\n")
            rows.append({"handler": name, **_percentiles(handler, 200 if name == "FileHandler" else CALLS)})
        stop.set()
        handlers["FileHandler"].close()
    return rows


def _spin(stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1


def _percentiles(handler: logging.Handler, calls: int) -> dict[str, object]:
    log = logging.Logger("latency", logging.INFO)
    log.addHandler(handler)
    times = []
    for i in range(calls):
        start = time.perf_counter()
        log.info("epoch %d", i, extra={"metrics": {"loss": 0.3}, "step": i})
        times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    return {f"p{p:g} us": f"{times[min(calls - 1, int(calls * p / 100))]:.1f}" for p in (50, 90, 99)}
