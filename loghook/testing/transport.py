"""A transport into memory, with a script of what goes wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..credentials import KeySource
from ..transports.base import Batch, Outcome, Transport, TryLater
from .platform import Platform

__all__ = ["RecordingTransport", "reply_lost"]

Deliver = Callable[[Batch], Outcome]
Step = Outcome | BaseException | Callable[[Batch, Deliver], Outcome] | None


class RecordingTransport(Transport):
    """Sends into a Platform and keeps every batch it was given in `sent`, in order.

    Each send uses up one step of `script`: an outcome is returned as it is, an exception is raised, a function
    is called with the batch and the way to deliver it, None delivers. When the script is over all is delivered.
    """

    def __init__(
        self,
        url: str = "memory://",
        keys: KeySource | None = None,
        *,
        timeout: float = 10.0,
        platform: Platform | None = None,
        script: tuple[Step, ...] = (),
    ) -> None:
        super().__init__(url, keys or KeySource(environ={}), timeout=timeout)
        self.platform = Platform() if platform is None else platform
        self.sent: list[Batch] = []
        self.closed = False
        self._script = deque(script)

    def script(self, *steps: Step) -> None:
        """Adds steps to what the next sends will meet."""
        self._script.extend(steps)

    def send(self, batch: Batch) -> Outcome:
        """Does the next step of the script, or delivers."""
        self.sent.append(batch)
        step = self._script.popleft() if self._script else None
        if step is None:
            return self.platform.take(batch)
        if isinstance(step, BaseException):
            raise step
        return step(batch, self.platform.take) if callable(step) else step

    def close(self) -> None:
        """Notes that it was closed."""
        self.closed = True


def reply_lost(batch: Batch, deliver: Deliver) -> Outcome:
    """A step: the platform stores the batch, but its answer is lost on the way."""
    deliver(batch)
    return TryLater("the answer was lost")
