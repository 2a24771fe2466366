"""A terminal of one's own: a program started on it sees a person's, and the test sits at the other end."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType

__all__ = ["Terminal", "show"]

_LEADER = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A pseudo-terminal with a program that leads its session."""

    def __init__(self, command: Sequence[str], *, rows: int = 24, columns: int = 80, **variables: str) -> None:
        self._fd, theirs = os.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LEADER, *map(str, command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, **variables},
        )
        os.close(theirs)
        self.output = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._fd)

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._fd, keys)

    def wait_for(self, text: bytes, timeout: float = 30.0) -> None:
        """Wait until a text is on the screen."""
        deadline = time.monotonic() + timeout
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.output!r}"
            assert self._read() or text in self.output, f"{text!r} is not in {self.output!r}, and it ended"

    def end(self, timeout: float = 30.0) -> int:
        """Read until the program ends, and return its exit status."""
        deadline = time.monotonic() + timeout
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.output!r}"
        return self.process.wait(max(0.0, deadline - time.monotonic()))

    def _read(self) -> bool:
        """Read what there is, waiting a moment for it; False once the program has ended and all is read."""
        has_ended = self.process.poll() is not None
        ready, _, _ = select.select([self._fd], [], [], 0 if has_ended else 0.05)
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # nobody has the other end open any more
            return False
        self.output += data
        return bool(data) or not has_ended


def show(command: Sequence[str]) -> tuple[int, bytes]:
    """Run a program on a terminal to its end; return its exit status and all that it wrote."""
    with Terminal(command) as terminal:
        return terminal.end(), terminal.output
