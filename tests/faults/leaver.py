"""The program whose end is looked at: python leaver.py ENDING COUNT PIPE; it tells through the pipe how far it came.

Lines in the pipe: the run's id, then a number for each record whose call has returned, and "end" with the monotonic
time at which the program was through with its own work.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time

LATE = 20


class Leaver:
    """Numbers its records."""

    def __init__(self, pipe: int) -> None:
        self.log = logging.getLogger("count")
        self.number = 0
        self.pipe = pipe

    def one(self) -> None:
        """Log one record, and tell that its call has returned."""
        self.log.info("record %d", self.number)
        os.write(self.pipe, b"%d\n" % self.number)
        self.number += 1

    def some(self) -> None:
        """Log a few records."""
        for _ in range(LATE):
            self.one()

    def for_ever(self) -> None:
        """Log for as long as the interpreter lets a daemon thread run."""
        while True:
            self.one()
            time.sleep(0.001)


def begin(leaver: Leaver, ending: str) -> None:
    """Install loghook, with what has to stand before it and behind it."""
    if ending == "callbacks":
        atexit.register(leaver.some)  # which is called after loghook's own
    import loghook

    run = loghook.install("exits")
    os.write(leaver.pipe, run.id.encode() + b"\n")
    if ending == "callbacks":
        atexit.register(leaver.some)
    for number in range(3 if ending == "many" else 0):
        loghook.Experiment(f"beside {number}", capture_io=False).metric("loss", 1.0, log=False)


def leave(ending: str) -> None:
    """End the program."""
    if ending == "exception":
        raise ValueError("no")
    if ending == "exit":
        sys.exit(3)
    if ending == "sigterm":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)


if __name__ == "__main__":
    how = sys.argv[1]
    one = Leaver(int(sys.argv[3]))
    begin(one, how)
    while one.number < int(sys.argv[2]):
        one.one()
    if how == "threads":
        threading.Thread(target=one.for_ever, daemon=True).start()
        time.sleep(0.1)
    os.write(one.pipe, b"end %f\n" % time.monotonic())
    leave(how)
