"""The local log file of a run: HOME/logs/JOB/JOB_TIME.log, what was printed as it could be read."""

from __future__ import annotations

import contextlib
import os
import re
import time
import unicodedata
from pathlib import Path

__all__ = ["LIMIT", "LogFile", "slug"]

LIMIT = 1 << 30
"""Most bytes of one log file; what is printed beyond that is in the records alone."""


def slug(name: str) -> str:
    """Return a name as a file name: lower-case ASCII letters, digits, - and _, 100 at most; "run" if none is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:100] or "run"


class LogFile:
    """Lines appended to a file that only its owner may read; a disk that takes none is no trouble of the caller's.

    Writing is an append to a list, no system call; `flush` brings the lines to the file. A forked child adds its own.
    """

    def __init__(self, home: Path, name: str, started: float, *, limit: int = LIMIT) -> None:
        """Make the file for the run called `name` that began at `started` (epoch seconds). OSError if it can't be.

        It takes at most `limit` bytes.
        """
        job = slug(name)
        folder = home / "logs" / job
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (folder.parent, folder):
            part.mkdir(mode=0o700, exist_ok=True)
        moment = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(started))
        self.path, self._fd = _create(folder, f"{job}_{moment}-{int(started % 1 * 1e6):06d}")
        self._waiting: list[bytes] = []
        self._pid = os.getpid()
        self._left = limit
        self.trouble = ""
        """Why the file is not whole; "" while it is."""

    def write(self, lines: list[str]) -> None:
        """Append lines."""
        if self._pid != os.getpid():  # what waited at the fork is the parent's to write
            self._waiting, self._pid = [], os.getpid()
        self._waiting.append("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Bring what was written to the file."""
        if self._fd < 0 or self._pid != os.getpid():
            return
        waiting, self._waiting = self._waiting, []
        text = b"".join(waiting)
        if len(text) > self._left:
            text = text[: text.rfind(b"\n", 0, self._left) + 1]
            self._left = 0
            self.trouble = self.trouble or "it has reached its largest size"
        rest = memoryview(text)
        try:
            while rest:
                written = os.write(self._fd, rest)
                rest, self._left = rest[written:], max(0, self._left - written)
        except OSError as error:
            self.trouble = self.trouble or error.strerror or str(error)

    @property
    def complaint(self) -> str:
        """What a person should know of the file, as a sentence; "" where it is whole."""
        return f"{self.path} is not whole: {self.trouble}; the run's records are not concerned" if self.trouble else ""

    def close(self) -> None:
        """Bring what is left to the file and close it."""
        self.flush()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _create(folder: Path, stem: str) -> tuple[Path, int]:
    """Create a file that was not there; two runs of one name may begin in the same microsecond."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    for number in range(1000):
        path = folder / f"{stem}{f'-{number}' if number else ''}.log"
        with contextlib.suppress(FileExistsError):
            return path, os.open(path, flags, 0o600)
    raise FileExistsError(f"{folder} has a thousand files called {stem}")
