"""Standard input as a run: `loghook pipe`."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType

from loghook.capture.command import finish, streams_of
from loghook.capture.output import write_all
from loghook.run import Run

__all__ = ["run_pipe"]

_PIECE = 64 * 1024
_TICK = 0.25
_GRACE = 1.0
"""Seconds that those before us in the pipe have, after Ctrl-C, for their last words."""


class _Ending:
    """Notices SIGINT, SIGTERM and SIGHUP; the first of them ends the run as stopped."""

    def __init__(self) -> None:
        self.number = 0
        self.deadline = float("inf")

    def __enter__(self) -> _Ending:
        self._before = {
            number: signal.signal(number, self._arrive)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        patience = _GRACE if number == signal.SIGINT and not self.number else 0.0
        self.number = self.number or number
        self.deadline = time.monotonic() + patience


def run_pipe(run: Run) -> int:
    """Copy standard input to standard output and record it, until it ends; end `run` and return the exit code.

    After Ctrl-C, which those before us in the pipe get as well, what they still say within a second is taken too.
    """
    with _Ending() as ending, streams_of(run) as streams:
        reader_left = False
        while time.monotonic() < ending.deadline:
            ready, _, _ = select.select([0], [], [], _TICK)
            if ready:
                data = os.read(0, _PIECE)
                if not data:
                    break
                try:
                    write_all(1, data)
                except OSError:
                    reader_left = True
                    break
                finally:
                    streams.feed(1, data)
            streams.tick()
    number = ending.number or (signal.SIGPIPE if reader_left else 0)
    run.end("stopped" if number else "success", reason=signal.Signals(number).name if number else "")
    finish(run)
    return 128 + number if number else 0
