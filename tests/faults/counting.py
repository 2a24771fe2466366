"""Programs that number their records, servers that they come back from, and the comparison of the two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from loghook.spool import writers
from tests.campaign.scripts import API, key_of
from tests.conftest import wait

__all__ = ["WAIT", "Counting", "Sum", "logs", "serving", "taken", "until"]

PROGRAM = """
import logging, os, signal, sys, threading, time
import loghook

told = int(sys.argv[1])
threads, total, size, pause = *map(int, sys.argv[2:5]), float(sys.argv[5])
run = loghook.install("counting")
os.write(told, run.id.encode() + b"\\n")
log = logging.getLogger("count")

def work(thread):
    for number in range(total):
        try:
            text = "x" * (number * 61 % size)
            if number % 10:
                log.info("%d %d %s", thread, number, text)
            else:
                more = {"metrics": {"number": float(number)}, "step": number}
                log.info("%d %d %s", thread, number, text, extra=more)
            os.write(told, b"%d %d\\n" % (thread, number))
        except MemoryError:  # the program's own: it can't even say what it wants
            continue
        if pause:
            time.sleep(pause)

workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for worker in workers:
    worker.start()
"""

WAIT = """
for worker in workers:
    worker.join()
"""


class Counting:
    """A program of some threads that number their records, and write down each whose logging call has returned.

    `before` and `after` are code that runs before loghook is imported, and when the threads have begun.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 8,
        total: int = 10**7,
        size: int = 200,
        pause: float = 0.0,
        before: str = "",
        after: str = WAIT,
        environ: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._told = folder / "told"
        self._threads = threads
        code = before + PROGRAM + after
        self._err = folder / "stderr"
        self._keepers: list[subprocess.Popen[bytes]] = []
        with self._kept(self._told) as told, self._kept(self._err) as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(told.fileno()), str(threads), str(total), str(size), str(pause)],
                env={**os.environ, **(environ or {})},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                pass_fds=[told.fileno()],
            )

    def _kept(self, path: Path) -> BinaryIO:
        """Return a pipe; a process of its own, which no limit of the program binds, brings what comes to a file."""
        read, write = os.pipe()
        with path.open("wb") as file:
            self._keepers.append(subprocess.Popen(["cat"], stdin=read, stdout=file))
        os.close(read)
        return os.fdopen(write, "wb")

    @property
    def has_begun(self) -> bool:
        """Whether the first logging call has returned, or the program is over."""
        return self.process.poll() is not None or len(self._lines()) > 1

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.finish()

    def finish(self, timeout: float = 120.0) -> int:
        """Wait for its end; return the exit status. TimeoutExpired, and it is killed, if it does not come."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for keeper in self._keepers:
                keeper.wait(60)

    @property
    def said(self) -> str:
        """What it printed."""
        return self._err.read_text(errors="replace")

    def _lines(self) -> list[bytes]:
        try:
            return self._told.read_bytes().splitlines()
        except FileNotFoundError:
            return []

    @property
    def run(self) -> str:
        """The id of its run; "" if it never got that far."""
        lines = self._lines()
        return lines[0].decode() if lines else ""

    @property
    def returned(self) -> list[set[int]]:
        """For each thread, the numbers of the records whose logging calls had returned."""
        numbers: list[set[int]] = [set() for _ in range(self._threads)]
        for line in self._lines()[1:]:
            thread, number = map(int, line.split())
            numbers[thread].add(number)
        return numbers


@dataclass
class Sum:
    """What many programs' records came to."""

    records: int = 0
    lost: int = 0
    twice: int = 0
    wrong: list[str] = field(default_factory=list)

    def compare(self, what: str, returned: list[set[int]], lines: Iterable[dict[str, Any]], given_up: int = 0) -> None:
        """Hold what arrived of one program against what had returned; `given_up` records may be missing, being counted.

        A record that arrived though its call was not seen to return is right, if it is the thread's next.
        """
        found: list[list[int]] = [[] for _ in returned]
        for line in lines:
            if line["logger"] == "count":
                thread, number = map(int, line["message"].split()[:2])
                found[thread].append(number)
        missing = 0
        for thread, (told, numbers) in enumerate(zip(returned, found, strict=True)):
            self.records += len(numbers)
            missing += len(told - set(numbers))
            self.twice += len(numbers) - len(set(numbers))
            if numbers != sorted(numbers):
                self.wrong.append(f"{what}: thread {thread}'s records are out of order")
            if numbers and max(numbers) > max(told, default=-1) + 1:
                self.wrong.append(f"{what}: thread {thread} has record {max(numbers)}, whose call was not made")
        self.lost += max(0, missing - given_up)


@contextmanager
def serving(home: Path) -> Iterator[API]:
    """`loghook serve` on a home folder, a process of its own, until the block ends; it has to end with status 0."""
    home.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "LOGHOOK_HOME": str(home)}
    command = [sys.executable, "-m", "loghook", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, cwd=home) as server:
        try:
            assert server.stdout is not None
            link = next((line.split()[-1] for line in server.stdout if "/sign-in?token=" in line), "")
            assert link, "loghook serve did not start"
            yield API(link.partition("/sign-in")[0], key_of(home))
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0, f"loghook serve ended with {server.returncode}"
        finally:
            server.kill()


def taken(home: Path, timeout: float = 300.0) -> list[str]:
    """Wait until a server has taken every spool under `home`; return those that it has not, as sentences."""
    wait(lambda: not list(writers(home)), timeout)
    return [f"{spool.directory} was not taken within {timeout:.0f} s" for spool in writers(home)]


def logs(api: API, run: str) -> list[dict[str, Any]]:
    """Return all lines of a run; none if the server has not heard of it, or it never got an id."""
    try:
        return api.logs(run) if run else []
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise


def until(process: subprocess.Popen[Any], condition: Any, timeout: float = 60.0) -> bool:
    """Wait until `condition` holds or a process is over."""
    deadline = time.monotonic() + timeout
    while process.poll() is None and not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
