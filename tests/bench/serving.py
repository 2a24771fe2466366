"""A real `loghook serve`, as a process, and what it takes of processor and memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

__all__ = ["Serve", "cpu_seconds", "memory"]

_LINK = re.compile(r"https?://\S+/sign-in\?token=\S+")


class Serve:
    """`loghook serve` on a free port of this machine, with a home folder that ends with the `with` block."""

    def __enter__(self) -> Serve:
        self._folder = tempfile.TemporaryDirectory()
        self.home = Path(self._folder.name)
        environ = {**os.environ, "LOGHOOK_HOME": self._folder.name, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loghook", "serve", "--port", "0"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if found := _LINK.search(line):
                self.link = found.group()
                break
        else:
            raise RuntimeError("the server printed no link but:\n" + "".join(said))
        self.url = self.link.partition("/sign-in")[0]
        self.port = int(self.url.rpartition(":")[2])
        self.key = str(json.loads((self.home / "loghook.json").read_text())["api_key"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def environ(self, home: str | Path) -> dict[str, str]:
        """Variables for a program that sends to this server and has a home folder of its own."""
        return {**os.environ, "LOGHOOK_HOME": str(home), "LOGHOOK_URL": self.url, "LOGHOOK_API_KEY": self.key}


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, name: str = "VmRSS") -> int:
    """Return bytes of a process's memory: VmRSS, VmHWM (the most so far), RssAnon (its own, no mapped files)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(name)
