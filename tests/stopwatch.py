"""When a process was gone, not counting the time for which the machine let it wait for a processor."""

from __future__ import annotations

import threading
import time
from pathlib import Path

__all__ = ["Stopwatch"]

_EVERY = 0.01


class Stopwatch:
    """Watches a process from its start on; a busy machine, which says nothing about us, is not held against it.

    What is left out is the waiting of that thread which waited longest: the main thread stands still too while another
    one has the GIL and no processor.
    """

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._seen: list[tuple[float, dict[str, float]]] = []
        self._gone = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def since(self, moment: float) -> float:
        """Wait for the end of the process; return how many seconds it was gone after `moment` (monotonic seconds)."""
        self._thread.join()
        before: dict[str, float] = {}
        most: dict[str, float] = {}
        for seen, waited in self._seen:
            if seen <= moment:
                before = waited
            else:
                most.update(waited)
        longest = max((waited - before.get(thread, 0.0) for thread, waited in most.items()), default=0.0)
        return self._gone - moment - longest

    def _watch(self) -> None:
        own = Path("/proc/thread-self")
        late = _waited(own)
        while self._lives():
            self._seen.append((time.monotonic(), self._all_waited()))
            late = _waited(own)
            time.sleep(_EVERY)
        # What this thread itself waited for a processor since it last saw the process is not the process's either.
        self._gone = time.monotonic() - (_waited(own) - late)

    def _lives(self) -> bool:
        try:
            return (self._folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def _all_waited(self) -> dict[str, float]:
        try:
            return {thread.name: _waited(thread) for thread in (self._folder / "task").iterdir()}
        except OSError:
            return {}


def _waited(thread: Path) -> float:
    """Return the seconds that a thread was ready to run and had no processor; 0 where the system doesn't say."""
    try:
        return int((thread / "schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
