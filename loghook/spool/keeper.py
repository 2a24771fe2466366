"""The keeper: one thread per process that keeps the spool ahead of need, so that the threads that log never have to."""

from __future__ import annotations

import _thread
import contextlib
import threading
from collections.abc import Callable

__all__ = ["Keeper", "Wake"]


class Wake:
    """A bell that may be rung from anywhere, a signal handler included: ringing is one C call that never waits."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        """End the wait that is under way, or the next one."""
        with contextlib.suppress(RuntimeError):  # it has been rung already
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the bell, `seconds` at most; True if it was rung."""
        return self._lock.acquire(timeout=max(seconds, 0.0))


class Keeper:
    """Calls `chore` every `interval` seconds, and at once when rung, on a daemon thread of its own; then `last`."""

    def __init__(
        self,
        chore: Callable[[], None],
        interval: float,
        failed: Callable[[Exception], None],
        last: Callable[[], None] | None = None,
    ) -> None:
        """`failed` is told of what `chore` and `last` raise; the keeper goes on all the same."""
        self.wake = Wake()
        self._chore = chore
        self._last = last or chore
        self._interval = interval
        self._failed = failed
        self._finishing = self._stopping = False
        self._finished = Wake()
        self._thread = threading.Thread(target=self._loop, name="loghook-spool", daemon=True)

    def start(self) -> bool:
        """Start the thread; False when the interpreter is too far gone for it."""
        try:
            self._thread.start()
        except RuntimeError:
            return False
        return True

    def finish(self, timeout: float) -> bool:
        """Have `last` done in place of `chore` from now on; False if it is not after `timeout` seconds: the disk hangs.

        Where the thread did not start, or has ended, it is done here: nobody else can be at it.
        """
        self._finishing = True
        if self._is_alone():
            return True
        done = self._finished.wait(timeout)
        if done:
            self._finished.ring()  # for whoever else waits, or asks again
        return done

    def stop(self, timeout: float) -> bool:
        """Have `last` done once more and let the thread end; otherwise as `finish`."""
        self._stopping = True
        if self._is_alone():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _is_alone(self) -> bool:
        """Whether there is no other thread to wait for, which is woken; `last` is done here where there is none."""
        self.wake.ring()
        if self._thread.is_alive():
            return self._thread is threading.current_thread()
        self._do(self._last)
        return True

    def _loop(self) -> None:
        while not self._stopping:
            if self._finishing:
                self._do(self._last)
                self._finished.ring()
            else:
                self._do(self._chore)
            self.wake.wait(self._interval)
        self._do(self._last)

    def _do(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except Exception as error:
            self._failed(error)
