"""A real server for the campaign, as a process that can be killed and started again, and what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tests.campaign.scripts import API, key_of, numbers

from .proxy import free_port

__all__ = ["Platform"]


class Platform:
    """`loghook serve` on a port that it keeps, with a home folder of its own."""

    def __init__(self, home: Path, *names: str) -> None:
        """Start it; `names` are those under which it is to be reached beside its address."""
        self.home = home
        self.port = free_port()
        self._names = [part for name in names for part in ("--name", name)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.key = key_of(home)
        self.api = API(f"http://127.0.0.1:{self.port}", self.key)

    def __enter__(self) -> Platform:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process's, 0 while it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "loghook", "serve", "--home", str(self.home), "--port", str(self.port)]
        environ = {**os.environ, "LOGHOOK_HOME": str(self.home)}
        self._process = subprocess.Popen([*command, *self._names], stdout=subprocess.PIPE, env=environ)
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError("the server did not start")

    def kill(self) -> None:
        """End it by SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    # ---------------------------------------------------------------- what it holds

    def held(self, run: str) -> int:
        """Return how many log lines of a run there are; 0 for a run that it has not heard of."""
        try:
            return int(self.api.get(f"/runs/{run}")["counts"]["logs"])
        except OSError:
            return 0

    def wait_for(self, run: str, count: int, timeout: float) -> float:
        """Wait until there are `count` log lines of a run, `timeout` seconds at most; return how many it took."""
        began = time.monotonic()
        while self.held(run) < count and time.monotonic() - began < timeout:
            time.sleep(0.05)
        return time.monotonic() - began

    def compare(self, runs: Iterable[str], total: int) -> tuple[int, int]:
        """Return how many of the records 0 to `total` of these runs, taken together, are lost, and stored twice."""
        stored = Counter(number for run in runs for number in numbers(self.api.logs(run)))
        lost = sum(number not in stored for number in range(total))
        return lost, sum(stored.values()) - len(stored)
