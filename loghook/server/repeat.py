"""A thread that does one thing again and again until it is told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Repeat"]

logger = logging.getLogger("loghook.server")

AFTER_FAILURE = 5.0
"""Seconds to wait after a failure."""


class Repeat:
    """Calls `work()` again and again; what it raises is logged, once for each different message, and it goes on.

    Args:
        name: of the thread.
        seconds: to wait between two calls.
        work: returns nothing, or true to be called again at once.
    """

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._seconds = seconds
        self._work = work
        self._said = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with a call at once."""
        self._thread.start()

    def stop(self, patience: float | None = None) -> None:
        """Let the call under way end, for at most `patience` seconds, and make no other."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait = self._seconds
            try:
                if self._work():
                    wait = 0.0
                self._said = ""
            except Exception as error:
                if self._stopping.is_set():
                    return  # what it works with may be closed already
                wait = max(wait, AFTER_FAILURE)
                self._say(error)
            self._stopping.wait(wait)

    def _say(self, error: Exception) -> None:
        text = f"{self._thread.name}: {error!r}"
        if text != self._said:
            logger.error("%s", text, exc_info=error)
            self._said = text
