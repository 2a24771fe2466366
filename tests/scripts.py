"""Running a script in a process of its own, and reading what it left in the spool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loghook.spool import WriterSpool, writers

from .stopwatch import Stopwatch

__all__ = ["Ended", "Script", "by_writer", "events", "finish", "last_end", "messages"]

INSTALL = """\
import logging, os, signal, sys, threading, time
if "plain" not in sys.argv:
    import loghook
    loghook.install("run")
log = logging.getLogger("train")
"""


@dataclass(frozen=True)
class Ended:
    """How a script ended: its exit status, what it said, and its seconds, without those of a busy machine."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def ours(self) -> list[str]:
        """The lines on stderr that are loghook's own."""
        return [line for line in self.err.splitlines() if line.startswith("loghook: ")]

    @property
    def others(self) -> str:
        """What else is on stderr."""
        return "".join(line for line in self.err.splitlines(True) if not line.startswith("loghook: "))


class Script:
    """A script in a file; `install` puts the usual first lines in front, which leave loghook out when run "plain"."""

    def __init__(self, folder: Path, code: str, *, install: bool = True) -> None:
        self.path = folder / "script.py"
        self.path.write_text((INSTALL if install else "") + code, encoding="utf-8")

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start it, with pipes for its output and variables for its environment."""
        return subprocess.Popen(
            [sys.executable, str(self.path), *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> Ended:
        """Run it to its end, within a minute."""
        return finish(self.start(*arguments, **variables))

    def run_both(self, argument: str) -> tuple[Ended, Ended]:
        """Run it without and with an argument, at the same time."""
        without, given = self.start(), self.start(argument)
        return finish(without), finish(given)


def finish(process: subprocess.Popen[str], timeout: float = 60.0) -> Ended:
    """Wait for the end of a process, which is killed if it does not come within `timeout` seconds."""
    started, watch = time.monotonic(), Stopwatch(process.pid)
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return Ended(process.returncode, out, err, watch.since(started))


def lines(spool: WriterSpool) -> Iterator[dict[str, Any]]:
    """Yield a writer's events."""
    offset = spool.first
    while body := spool.read(offset, 1 << 20):
        offset += len(body)
        yield from (json.loads(line) for line in body.splitlines() if line.strip())


def by_writer(home: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """All events that lie in a home folder's spools, by run and writer."""
    return {(spool.run, spool.writer): list(lines(spool)) for spool in writers(home)}


def events(home: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """All events that lie in a home folder's spools, or those of one kind; "record" is a kind too."""
    found = [event for events in by_writer(home).values() for event in events]
    return [event for event in found if kind is None or event.get("event", "record") == kind]


def messages(home: Path, logger: str | None = "train") -> list[str]:
    """The messages of all records of one logger (None: of all) that lie in a home folder's spools."""
    return [event["message"] for event in events(home, "record") if logger in (None, event["logger"])]


def last_end(home: Path) -> dict[str, Any] | None:
    """The only run_ended in a home folder's spools, None if there is none."""
    ends = events(home, "run_ended")
    assert len(ends) <= 1, ends
    return ends[0] if ends else None
