"""When a process was gone, not counting the time for which the machine let it wait for a processor."""

from __future__ import annotations

import threading
import time
from pathlib import Path

__all__ = ["Stopwatch"]

_EVERY = 0.01


class Stopwatch:
    """Watches a process from its start on; a busy machine, which says nothing about us, is not held against it."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._seen: list[tuple[float, float]] = []
        self._gone = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def since(self, moment: float) -> float:
        """Wait for the end of the process; return how many seconds it was gone after `moment` (monotonic seconds)."""
        self._thread.join()
        before = [waited for seen, waited in self._seen if seen <= moment] or [0.0]
        waited = self._seen[-1][1] - before[-1] if self._seen else 0.0
        return self._gone - moment - waited

    def _watch(self) -> None:
        own = Path("/proc/thread-self/schedstat")
        late = _waited(own)
        while True:
            try:
                if (self._folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    break
            except OSError:
                break
            self._seen.append((time.monotonic(), _waited(self._folder / "schedstat")))
            late = _waited(own)
            time.sleep(_EVERY)
        # What this thread itself waited for a processor since it last saw the process is not the process's either.
        self._gone = time.monotonic() - (_waited(own) - late)


def _waited(file: Path) -> float:
    """Return the seconds that a thread was ready to run and had no processor; 0 where the system doesn't say."""
    try:
        return int(file.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
