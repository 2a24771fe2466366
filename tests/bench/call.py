"""What one log call costs the thread that makes it, over a NullHandler, beside the standard QueueHandler.

Short blocks of calls alternate between the handlers in one process. What is taken is the processor time of the thread
that calls, since the clock on the wall tells on a busy machine who else was running. Each figure is the median, over
the rounds, of a block's mean less that of the NullHandler's block in the same round. The QueueHandler has the queue
that costs least, and no thread behind it.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, TextIO

__all__ = ["run"]

ROUNDS = 200
CALLS = 250

Log = Callable[[logging.Logger, int], None]


def _plain(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i)


def _metrics(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i, extra={"metrics": {"loss": 0.31, "acc": 0.9}, "step": i})


def _extras(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i, extra={"a": 1, "b": 2.5, "c": "text", "d": True, "e": [1, 2]})


def _exception(log: logging.Logger, i: int) -> None:
    log.info("epoch %d", i, exc_info=_failure)


KINDS: dict[str, Log] = {"plain": _plain, "metrics": _metrics, "extras": _extras}


def run(progress: TextIO) -> dict[str, float]:
    """Return for each kind of record "KIND us" over NullHandler, "KIND QueueHandler us", and "KIND ratio" of the two.

    "exception ratio" is to the formatting of its traceback.
    """
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOGHOOK_HOME"] = home
        import loghook
        from loghook import session

        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        null, ours = logging.NullHandler(), loghook.LogHookHandler("bench")
        theirs = logging.handlers.QueueHandler(waiting)
        for kind, call in KINDS.items():
            progress.write(f"call: {kind}\n")
            figures |= {f"{kind} {name}": value for name, value in _compare(call, null, theirs, ours, waiting).items()}
        progress.write("call: exception\n")
        figures |= _compare_exception(null, ours)
        run = session.current()
        assert run
        session.close(run)  # or the folder would be made anew as it goes
    return figures


def _compare(
    call: Log, null: logging.Handler, theirs: logging.Handler, ours: logging.Handler, waiting: queue.SimpleQueue[Any]
) -> dict[str, float]:
    log = logging.Logger("bench", logging.INFO)
    rounds = []
    for _ in range(ROUNDS):
        base = _block(log, null, call)
        queued = _block(log, theirs, call) - base
        while not waiting.empty():
            waiting.get()
        rounds.append((base, queued, _block(log, ours, call) - base))
    base, queued, own = (statistics.median(values) * 1e6 for values in zip(*rounds[ROUNDS // 10 :], strict=True))
    return {"us": own, "QueueHandler us": queued, "NullHandler us": base, "ratio": own / queued}


def _compare_exception(null: logging.Handler, ours: logging.Handler) -> dict[str, float]:
    log = logging.Logger("bench", logging.INFO)
    formatter = logging.Formatter()
    rounds = []
    for _ in range(ROUNDS):
        base = _block(log, null, _exception, 20)
        own = _block(log, ours, _exception, 20) - base
        start = time.thread_time()
        for _ in range(20):
            formatter.formatException(_failure)
        rounds.append((own, (time.thread_time() - start) / 20))
    own, format_alone = (statistics.median(values) * 1e6 for values in zip(*rounds, strict=True))
    figures = {"exception us": own, "exception formatting us": format_alone}
    return {**figures, "exception ratio": own / format_alone}


def _block(log: logging.Logger, handler: logging.Handler, call: Log, count: int = CALLS) -> float:
    log.handlers[:] = [handler]
    start = time.thread_time()
    for i in range(count):
        call(log, i)
    return (time.thread_time() - start) / count


def _failed() -> tuple[type[BaseException], BaseException, Any]:
    """An exception that came up through a few functions."""
    try:
        _raise(5)
    except ZeroDivisionError as error:
        return type(error), error, error.__traceback__
    raise AssertionError


def _raise(depth: int) -> float:
    return _raise(depth - 1) if depth else 1 / depth


_failure = _failed()
