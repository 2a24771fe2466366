"""The scripts that the campaign runs, as child processes, and what reads back what became of their records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["API", "Script", "numbers"]

COUNTING = """
import logging, os, sys
import loghook

run = loghook.install(sys.argv[1])
log = logging.getLogger("count")
total, told = int(sys.argv[2]), int(sys.argv[3])
os.write(told, run.id.encode() + b"\\n")
for number in range(total):
    if number % 10:
        log.info("record %d", number)
    else:
        log.info("record %d", number, extra={"metrics": {"number": float(number)}, "step": number})
    os.write(told, b"%d\\n" % number)
    if len(sys.argv) > 4:
        __import__("time").sleep(float(sys.argv[4]))
"""


class Script:
    """A child process that numbers its records, and tells through a pipe of each one whose log call has returned."""

    def __init__(self, name: str, total: int, *, pause: float | None = None, **environ: str) -> None:
        read, write = os.pipe()
        self._pipe = os.fdopen(read, "rb")
        arguments = [sys.executable, "-c", COUNTING, name, str(total), str(write)]
        if pause is not None:
            arguments.append(str(pause))
        self.process = subprocess.Popen(
            arguments, env={**os.environ, **environ}, pass_fds=[write], stderr=subprocess.PIPE
        )
        os.close(write)
        self.run = self._pipe.readline().decode().strip()

    def finish(self) -> tuple[int, bytes]:
        """Wait for the end; return how many log calls had returned, and what was on stderr."""
        told = self._pipe.read()
        self._pipe.close()
        _, stderr = self.process.communicate()
        return told.count(b"\n"), stderr


class API:
    """Reads a server's API with its key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def get(self, path: str) -> Any:
        """Return what a GET below /api/v1 answers."""
        request = urllib.request.Request(f"{self.url}/api/v1{path}", headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def logs(self, run: str) -> list[dict[str, Any]]:
        """Return every log line of a run, in the order in which they were stored."""
        lines: list[dict[str, Any]] = []
        after = 0
        while page := self.get(f"/runs/{run}/logs?after={after}&limit=1000")["logs"]:
            lines += page
            after = page[-1]["id"]
        return lines


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of a counting script's records, as they come."""
    return [int(line["message"].split()[1]) for line in lines if line["logger"] == "count"]


def key_of(home: Path) -> str:
    """Return the key that a server left in its home folder."""
    return str(json.loads((home / "loghook.json").read_text())["api_key"])
