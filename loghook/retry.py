"""What to do after an outcome: a value that yields its successor, without clock, thread or I/O.

The loop of a listener, complete but for stopping:

    retry, aside = Retry(), []                      # aside: stretches of the log that were set aside
    while body := spool.read(position, max_bytes):
        whole = Batch(run, writer, position, body, spool.first)
        batch = retry.trim(whole).without(aside)
        retry, decision = retry.after(transport.send(batch), batch, jitter=random.random())
        match decision:
            case Advance(offset): position = offset                     # acknowledge it; see also `Advance.taken`
            case Rewind(offset): position = max(offset, spool.first)
            case SetAside(start, end): aside.append((start, end))       # keep a copy, count it, say so
            case Wait() | Split(): pass                                 # say why; the same events go again
        stop.wait(decision.seconds)

How an outcome becomes a decision:

    Delivered beyond the batch's offset       Advance
    Delivered, but nothing moved              Wait (backoff)
    Delivered, with more taken                Advance, acknowledging no more than what is delivered
    TryLater                                  Wait (the platform's wish, at most 5 min, or backoff)
    Gap before the batch                      Rewind (again without progress: after a backoff)
    Gap anywhere else                         Wait (backoff): it makes no sense
    Refused, of one event or of a named one   SetAside (from the fourth in a row, but for its size: and a backoff)
    Refused, of many                          Split, until the bad one stands alone
    Refused, of filler alone                  Wait (backoff): no event of ours is the reason

An event is given up by SetAside and by nothing else. A platform that refuses whatever it gets is likelier to
be at fault than each event is: three are set aside quickly, then one in each backoff, until one is delivered.

Backoff doubles from 0.5 s to 30 s, each between half and all of it as the jitter says, so that many ranks
do not come back together. Batches shrink while sending fails again and again (a slow line may get a small
one through before the deadline, and a dead platform is probed cheaply) and grow back with each delivery.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

from .transports.base import Batch, Delivered, Gap, Outcome, Refused, TryLater

__all__ = ["Advance", "Decision", "Retry", "Rewind", "SetAside", "Split", "Wait"]

FIRST_WAIT = 0.5
LONGEST_BACKOFF = 30.0
LONGEST_WAIT = 300.0
QUICK_SET_ASIDES = 3
SMALLEST_WINDOW = 16 * 1024
SMALLEST_LIMIT = 64 * 1024
WIDE_OPEN = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Advance:
    """Acknowledge everything below `offset`. `set_aside` are lines the platform could not store: (line, reason).

    While the transport holds events, `taken` is where to go on, and `offset` stays behind it. `late` are events of
    earlier batches that the platform could not store: (start, reason).
    """

    offset: int
    set_aside: tuple[tuple[int, str], ...] = ()
    seconds: float = 0.0
    taken: int | None = None
    late: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Send the same events again after `seconds`. `key` is true when it is the key that is in the way."""

    seconds: float
    reason: str
    key: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """Send the same events again at once; `Retry.trim` makes the batch smaller."""

    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SetAside:
    """Keep the line from offset `start` to `end` apart, blank it in batches, and go on after `seconds`."""

    start: int
    end: int
    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go on from `offset`, which lies before the batch, or from the oldest byte there is, after `seconds`."""

    offset: int
    seconds: float = 0.0


Decision: TypeAlias = Advance | Wait | Split | SetAside | Rewind


@dataclass(frozen=True, slots=True)
class Retry:
    """The history of one destination that matters for the next step. `Retry()` is a fresh one.

    failures   sends in a row that brought nothing forward
    rewinds    rewinds in a row
    aside      events set aside in a row
    suspects   events ahead among which one was refused; 0: none are
    window     bytes that a batch may have while sending goes badly; None: no bound
    limit      bytes that a batch may have because the platform refused a larger one; None: no bound
    """

    failures: int = 0
    rewinds: int = 0
    aside: int = 0
    suspects: int = 0
    window: int | None = None
    limit: int | None = None

    def trim(self, batch: Batch) -> Batch:
        """The part of the batch that is to be sent next: all of it, or a head of at least one event."""
        bounds = [bound for bound in (self.window, self.limit) if bound is not None]
        size = min(bounds, default=None)
        if self.suspects:
            return batch.head(events=max(1, self.suspects // 2), size=size)
        return batch if size is None or len(batch.body) <= size else batch.head(size=size)

    def after(self, outcome: Outcome, batch: Batch, *, jitter: float = 1.0) -> tuple[Retry, Decision]:
        """What follows from sending `batch`, just as it was sent, with this outcome.

        `jitter` is a random number from 0 to 1. Raises nothing.
        """
        match outcome:
            case Delivered():
                return self._delivered(outcome, batch, jitter)
            case Gap():
                return self._gap(outcome, batch, jitter)
            case Refused():
                return self._refused(outcome, batch, jitter)
            case TryLater():
                return self._failed(outcome.reason, batch, jitter, after=outcome.after, key=outcome.key)
        return self._failed(f"the transport gave no outcome but {type(outcome).__name__}", batch, jitter)

    def _delivered(self, outcome: Delivered, batch: Batch, jitter: float) -> tuple[Retry, Decision]:
        taken = batch.line_end(outcome.offset if outcome.taken is None else outcome.taken)
        if taken <= batch.offset < batch.next:
            return self._failed("the platform took nothing of the batch", batch, jitter)
        sent = batch.count if self.aside or self.suspects else 0  # nothing else asks, and it is dear
        whole = taken == batch.next
        grown = None if self.window is None or self.window * 2 > WIDE_OPEN else self.window * 2
        after = Retry(
            aside=0 if sent else self.aside,
            suspects=max(0, self.suspects - sent) if whole else 0,
            window=grown,
            limit=self.limit,
        )
        if outcome.taken is None:
            return after, Advance(taken, outcome.set_aside, late=outcome.late)
        return after, Advance(min(outcome.offset, taken), outcome.set_aside, taken=taken, late=outcome.late)

    def _gap(self, outcome: Gap, batch: Batch, jitter: float) -> tuple[Retry, Decision]:
        if not 0 <= outcome.offset < batch.offset:
            reason = f"the platform expects offset {outcome.offset}, which makes no sense at offset {batch.offset}"
            return self._failed(reason, batch, jitter)
        seconds = _backoff(self.rewinds - 1, jitter) if self.rewinds else 0.0
        return replace(self, rewinds=self.rewinds + 1, suspects=0), Rewind(outcome.offset, seconds)

    def _refused(self, outcome: Refused, batch: Batch, jitter: float) -> tuple[Retry, Decision]:
        count = batch.count
        if not count:
            return self._failed(outcome.reason, batch, jitter)
        span = batch.span(outcome.line) if outcome.line is not None else None
        if span is None and count == 1:
            span = next((start, end) for _, start, end in batch.events())
        if span is not None:
            hasty = self.aside >= QUICK_SET_ASIDES and not outcome.too_large
            seconds = _backoff(self.aside - QUICK_SET_ASIDES, jitter) if hasty else 0.0
            after = replace(self, failures=0, aside=self.aside + 1, suspects=0)
            return after, SetAside(*span, outcome.reason, seconds)
        if outcome.too_large and len(batch.body) > SMALLEST_LIMIT:
            return replace(self, failures=0, limit=_smaller(outcome, batch)), Split(outcome.reason)
        return replace(self, failures=0, suspects=count), Split(outcome.reason)

    def _failed(
        self, reason: str, batch: Batch, jitter: float, *, after: float | None = None, key: bool = False
    ) -> tuple[Retry, Decision]:
        window = self.window
        if self.failures and not key:
            window = max(SMALLEST_WINDOW, min(window or WIDE_OPEN, len(batch.body)) // 2)
        seconds = _wish(after)
        if seconds is None:
            seconds = _backoff(self.failures, jitter)
        else:
            seconds = min(LONGEST_WAIT, seconds + FIRST_WAIT * _within(jitter))
        # What was too large before the trouble need not be so after it: somebody else may have answered.
        return replace(self, failures=self.failures + 1, window=window, limit=None), Wait(seconds, reason, key)


def _smaller(outcome: Refused, batch: Batch) -> int:
    """A bound below the size that was refused: the one the platform told, or half."""
    told = outcome.max_bytes
    half = len(batch.body) // 2
    return max(SMALLEST_LIMIT, told if told is not None and 0 < told < len(batch.body) else half)


def _wish(after: float | None) -> float | None:
    """The platform's wish in seconds; None when it has none that can be kept."""
    return None if after is None or math.isnan(after) or after <= 0 else after


def _within(jitter: float) -> float:
    return min(1.0, max(0.0, jitter)) if not math.isnan(jitter) else 1.0


def _backoff(step: int, jitter: float) -> float:
    """Seconds of the given step (0 is the first): doubled each time, capped, and between half and all of it."""
    full = min(LONGEST_BACKOFF, FIRST_WAIT * 2.0 ** min(step, 16))
    return full * (0.5 + _within(jitter) / 2)
