"""What eight threads that log at once get through together, beside one alone: none may hold up the others."""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import threading
import time
from typing import TextIO

__all__ = ["run"]

THREADS = 8
CALLS = 40_000
ROUNDS = 7


def run(progress: TextIO) -> dict[str, float]:
    """Return records/s of one thread and of eight together, and the ratio, the median of alternating rounds."""
    progress.write("threads\n")
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOGHOOK_HOME"] = home
        import loghook

        log = logging.Logger("bench", logging.INFO)
        log.addHandler(loghook.LogHookHandler("bench"))
        _seconds(log, 1)
        rounds = [(_seconds(log, 1), _seconds(log, THREADS)) for _ in range(ROUNDS)]
    return {
        "one records/s": CALLS / statistics.median(one for one, _ in rounds),
        "eight records/s": CALLS / statistics.median(many for _, many in rounds),
        "ratio": statistics.median(one / many for one, many in rounds),
    }


def _seconds(log: logging.Logger, threads: int) -> float:
    def work() -> None:
        for i in range(CALLS // threads):
            log.info("epoch %d", i)

    several = [threading.Thread(target=work) for _ in range(threads)]
    start = time.perf_counter()
    for one in several:
        one.start()
    for one in several:
        one.join()
    return time.perf_counter() - start
