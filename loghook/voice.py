"""loghook's own voice: single lines on stderr and for the "loghook" logger's own handlers; never a traceback."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable

__all__ = ["Voice"]

_PAUSE = 30.0


class Voice:
    """Says a line at most once in 30 s for each subject, and nothing on stderr when told to be quiet."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
        clean: Callable[[str], str] = str,
    ) -> None:
        """`clean` takes out of a line what must not be shown."""
        self.quiet = quiet
        self._clock = clock
        self._clean = clean
        self._last: dict[str, float] = {}

    def say(self, text: str, *, about: str = "", level: int = logging.WARNING) -> None:
        """Say `text`, one sentence; silent if something about the same subject was said a moment ago.

        What is below WARNING is for the logger's handlers alone.
        """
        now = self._clock()
        subject = about or text
        if now - self._last.get(subject, -_PAUSE) < _PAUSE:
            return
        self._last[subject] = now
        line = " ".join(self._clean(text).replace("…", "...").split())
        if level >= logging.WARNING and not self.quiet and sys.stderr is not None:
            with contextlib.suppress(Exception):  # closed, broken, replaced by who knows what: it must not matter
                sys.stderr.write(f"loghook: {line}\n".encode("ascii", "backslashreplace").decode())
                sys.stderr.flush()
        logger = logging.getLogger("loghook")
        record = logger.makeRecord("loghook", level, "(loghook)", 0, line, (), None)
        for handler in logger.handlers:
            if level >= handler.level:
                with contextlib.suppress(Exception):  # somebody else's handler; stderr has the line already
                    handler.handle(record)
