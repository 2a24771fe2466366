"""How often what is held goes to Polyaxon 2: often enough to be live, seldom enough to cost little. Pure.

A metric's file goes whole each time. An upload of B bytes that took T seconds is followed by silence of B / 256 KiB
seconds, of 4 T, and of 2 seconds, whichever is longest: so however long a run and its history get, it takes a fifth of
the listener's time and 256 KiB a second of the line, which is linear in the run's time. Where much comes at once (a
spool is caught up with), as many bytes as the files have already go at once: then files at least double from upload to
upload, which is linear in their size.

A chunk of the log is never sent again, but each is a file that the server reads to show the log. So chunks come 1 s
apart at first, and up to 10 s in a long run, or when 256 KiB wait.

What a caller waits for (a flush, the end of a run) goes at once.
"""

from __future__ import annotations

__all__ = ["Pace"]

RATE = 256 * 1024
SHARE = 4
METRICS = 2.0
LARGEST_HOLD = 4 * 1024 * 1024
CHUNKS, SLOWER, SLOWEST = 1.0, 0.01, 10.0
LARGEST_CHUNK = 256 * 1024


class Pace:
    """When the next chunks, and the next metric files, are due. Times are in seconds of one clock."""

    def __init__(self) -> None:
        self._chunks = 0
        self._next_chunks = 0.0
        self._next_metrics = 0.0

    def chunks_due(self, now: float, size: int) -> bool:
        """Whether held lines of `size` bytes are to go."""
        return size > 0 and (now >= self._next_chunks or size >= LARGEST_CHUNK)

    def metrics_due(self, now: float, held: int, size: int) -> bool:
        """Whether `held` bytes of points are to go into files of `size` bytes."""
        return held > 0 and (now >= self._next_metrics or held >= max(LARGEST_HOLD, size))

    def chunks_sent(self, began: float, now: float, count: int) -> None:
        """So many chunks went."""
        self._chunks += count
        pause = min(SLOWEST, CHUNKS + SLOWER * self._chunks)
        self._next_chunks = now + max(pause, SHARE * (now - began))

    def metrics_sent(self, began: float, now: float, size: int) -> None:
        """Files of `size` bytes went."""
        self._next_metrics = now + max(METRICS, size / RATE, SHARE * (now - began))
