"""What one log call costs the thread that makes it, over a NullHandler, beside the standard QueueHandler.

Blocks of calls alternate between the handlers in one process, so that a busy machine slows all of them alike; each
figure is the median, over the rounds, of a block's mean less that of the NullHandler's block in the same round.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

__all__ = ["run"]

ROUNDS = 25
CALLS = 4000

Log = Callable[[logging.Logger, int], None]


def _plain(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i)


def _metrics(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i, extra={"metrics": {"loss": 0.31, "acc": 0.9}, "step": i})


def _extras(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i, extra={"a": 1, "b": 2.5, "c": "text", "d": True, "e": [1, 2]})


KINDS: dict[str, Log] = {"plain record": _plain, "with metrics": _metrics, "five extras": _extras}


def run(progress: TextIO) -> list[dict[str, object]]:
    """Return a row for each kind of record: microseconds over NullHandler, and the ratio to the QueueHandler."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOGHOOK_HOME"] = home
        import loghook

        handlers = {
            "null": logging.NullHandler(),
            "queue": _queue_handler(),
            "loghook": loghook.LogHookHandler("bench"),
        }
        rows = []
        for kind, call in KINDS.items():
            progress.write(f"call: {kind}\n")
            rows.append({"record": kind, **_compare(call, handlers)})
        loghook.flush()
    return rows


def _queue_handler() -> logging.Handler:
    """The standard handler as its documentation has it, with a listener that takes records off and drops them."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=lambda: [None for _ in iter(waiting.get, None)], daemon=True).start()
    return logging.handlers.QueueHandler(waiting)


def _compare(call: Log, handlers: dict[str, logging.Handler]) -> dict[str, object]:
    log = logging.Logger("bench", logging.INFO)
    for handler in handlers.values():
        _block(log, handler, call, CALLS)
    rounds = [{name: _block(log, handler, call, CALLS) for name, handler in handlers.items()} for _ in range(ROUNDS)]
    cost = {name: statistics.median(r[name] - r["null"] for r in rounds) * 1e6 for name in handlers}
    return {
        "NullHandler us": f"{statistics.median(r['null'] for r in rounds) * 1e6:.2f}",
        "QueueHandler +us": f"{cost['queue']:.2f}",
        "loghook +us": f"{cost['loghook']:.2f}",
        "loghook / QueueHandler": f"{cost['loghook'] / cost['queue']:.2f}",
    }


def _block(log: logging.Logger, handler: logging.Handler, call: Log, count: int) -> float:
    log.handlers[:] = [handler]
    start = time.perf_counter()
    for i in range(count):
        call(log, i)
    return (time.perf_counter() - start) / count
