"""Writing to a descriptor that may be a slow terminal, a pipe, or one that somebody made non-blocking."""

from __future__ import annotations

import os
import select

__all__ = ["write_all"]


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, waiting where need be. Raises OSError when nobody reads it any more."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])
