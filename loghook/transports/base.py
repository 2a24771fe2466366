"""What every transport is: it takes a batch and tells one outcome.

    Transport.send(Batch) -> Outcome = Delivered | TryLater | Refused | Gap

A batch is a stretch of one writer's log, cut at line ends. Offsets are byte positions in that log, so a
batch can be cut shorter or have lines blanked out without moving anything else in it. A transport
raises nothing on purpose: whatever goes wrong on the way becomes an outcome, and the retry policy decides.

What is sent in one piece and is dear (a file that a platform only takes whole) need not go with each batch. A transport
may take a batch, answer `Delivered(offset, taken=batch.next)` with an older offset, and send what it holds later:
it is asked again every flush interval, with an empty batch where nothing new came, and nothing beyond `offset` is
acknowledged until a later outcome says so. What it holds may be forgotten with the process: it lies in the spool.
An event of an earlier batch that the platform turns out not to take is named in `late`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from .address import masked

if TYPE_CHECKING:
    from ..credentials import KeySource

__all__ = ["DEADLINE_TIMES", "Batch", "Delivered", "Gap", "Outcome", "Refused", "Transport", "TryLater"]

DEADLINE_TIMES = 6
"""How many times the setting `timeout` a whole request may take: that is for its pieces."""

_EVENT = re.compile(rb"^[^\S\n]*\S.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive whole lines of one writer's log.

    `offset` is the position of the first byte of `body` in the log, `first` the oldest position that the
    writer still has. Blank lines are filler: they take up offsets and hold no event. `urgent` says that somebody
    waits for it, or that the writer is gone: what the transport holds back is to go now.
    """

    run: str
    writer: str
    offset: int
    body: bytes
    first: int = 0
    urgent: bool = False

    @property
    def next(self) -> int:
        """The offset just after the last byte."""
        return self.offset + len(self.body)

    @property
    def count(self) -> int:
        """The number of events: lines that are not blank."""
        # Once a batch, with the GIL held: 0.15 us an event where each line begins as events do, 0.8 us by the regex.
        lines = self.body.count(b"\n")
        if self.body.startswith(b"{") and self.body.endswith(b"\n") and self.body.count(b"\n{") == lines - 1:
            return lines
        return sum(1 for _ in _EVENT.finditer(self.body))

    def events(self) -> Iterator[tuple[int, int, int]]:
        """For each event its line (0 is the first, blank lines count) and where in the log it starts and ends.

        The end lies beyond the newline.
        """
        # Once an event where a transport reads events: 0.26 us, half of it the regex, which passes blank lines by.
        line = behind = 0
        for match in _EVENT.finditer(self.body):
            start, end = match.span()
            if start != behind:
                line += self.body.count(b"\n", behind, start)
            yield line, self.offset + start, self.offset + end
            line += 1
            behind = end

    def span(self, line: int) -> tuple[int, int] | None:
        """Start and end in the log of the event on a line; None when there is no such line or it is blank."""
        return next(((start, end) for number, start, end in self.events() if number == line), None)

    def head(self, *, events: int | None = None, size: int | None = None) -> Batch:
        """The batch cut to its first `events` events and to at most `size` bytes, but never to less than one event."""
        stop = self.next
        for found, (_, _, end) in enumerate(self.events()):
            if found and ((events is not None and found >= events) or (size is not None and end - self.offset > size)):
                break
            stop = end
        return replace(self, body=self.body[: stop - self.offset])

    def without(self, spans: Iterable[tuple[int, int]]) -> Batch:
        """The batch with the given stretches of the log (start and end offset) turned into blank lines."""
        body = None
        for start, end in spans:
            low, high = max(start, self.offset) - self.offset, min(end, self.next) - self.offset
            if low < high:
                body = bytearray(self.body) if body is None else body
                body[low:high] = b"\n" * (high - low)
        return self if body is None else replace(self, body=bytes(body))

    def line_end(self, offset: int) -> int:
        """The last end of a line in this batch that is not beyond `offset`; the batch's own offset if none is."""
        inside = min(offset, self.next) - self.offset
        return self.offset + (self.body.rfind(b"\n", 0, inside) + 1 if inside > 0 else 0)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Everything below `offset` is safe on the platform.

    `set_aside` names lines of the batch that the platform took but could not store: (line, reason). `taken` is given
    where the transport holds events that are not safe yet: the next batch is to begin there, while `offset` is the end
    of an earlier batch (or the start of the first that is held). `late` names events of earlier batches, taken and not
    safe until now, that the platform could not store: (where in the log the event starts, reason), each once.
    """

    offset: int
    set_aside: tuple[tuple[int, str], ...] = ()
    taken: int | None = None
    late: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TryLater:
    """Nothing is known to have arrived; the same batch is to be sent again.

    `after` is the platform's own wish in seconds; `key` is true when the key is missing or was refused; `absent` when
    nobody is there who could take it, which was known at once and does not pass within seconds: the connection was
    refused, the host is unknown, its certificate is not trusted, something else answers at that address.
    """

    reason: str
    after: float | None = None
    key: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The platform will never take this batch, or this `line` of it (0 is the first, blank lines count).

    `too_large` says that only its size is wrong; `max_bytes` is the platform's limit where it told one.
    """

    reason: str
    too_large: bool = False
    line: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """The platform lacks what comes before this batch: it expects `offset`."""

    offset: int


Outcome: TypeAlias = Delivered | TryLater | Refused | Gap


class Transport(ABC):
    """Speaks one platform's wire protocol to one URL.

    It is made, used and closed by one thread, and may block that thread for a bounded time. A batch
    without events (`count` 0) is delivered as it is, without asking a platform that has no offsets.
    """

    def __init__(self, url: str, keys: KeySource, *, timeout: float = 10.0) -> None:
        """Connects to nothing yet. `timeout` is in seconds: the longest silence of the network that is waited out.

        Sets `where`, the URL fit for messages. Raises ConfigurationError when the URL cannot be used.
        """
        self.where = masked(url)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.where}>"

    @abstractmethod
    def send(self, batch: Batch) -> Outcome:
        """Sends one batch and tells what became of it. Raises nothing that the network can cause."""

    def idle(self, run: str) -> None:  # noqa: B027 - most platforms are content with the heartbeats among the events
        """Called every flush interval while there is nothing to send of a living process's run.

        A platform that wants a sign of life oftener than the run gives one gets it here. Raises nothing that the
        network can cause; what the platform answers is left to the next batch to find out.
        """

    def hurry(self, deadline: float) -> None:  # noqa: B027 - one that answers at once has no use for it
        """Lets no exchange go on beyond `deadline` (monotonic seconds) from now on: the process wants to end."""

    def close(self) -> None:  # noqa: B027 - without connections there is nothing to give back
        """Gives connections back. Safe to call twice; nothing is sent after it."""
