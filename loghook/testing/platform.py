"""A platform in memory that keeps exactly-once books as our server does, for tests to read."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

from ..transports.base import Batch, Delivered, Gap, Refused

__all__ = ["Platform"]

Event = dict[str, Any]


class Platform:
    """Takes batches and holds their events, each once and in the order of its writer's log. Safe for threads.

    max_bytes   the largest body taken, in bytes; None: any
    refuse      looks at an event and returns why the whole batch is refused because of it, or None
    names_lines whether a refusal names the line

    lost        stretches of logs that will never come: (run, writer, start, end)
    repeated    bytes that came again and were skipped
    """

    def __init__(
        self,
        *,
        max_bytes: int | None = None,
        refuse: Callable[[Event], str | None] = lambda event: None,
        names_lines: bool = True,
    ) -> None:
        self.max_bytes = max_bytes
        self.refuse = refuse
        self.names_lines = names_lines
        self.lost: list[tuple[str, str, int, int]] = []
        self.repeated = 0
        self._events: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self._expected: dict[tuple[str, str], int] = defaultdict(int)
        self._changed = threading.Condition()

    def take(self, batch: Batch) -> Delivered | Gap | Refused:
        """Stores what is new in a batch. Raises ValueError when the body is not made of whole lines."""
        if batch.body and not batch.body.endswith(b"\n"):
            raise ValueError("the body must end with a newline")
        with self._changed:
            outcome = self._take(batch)
            self._changed.notify_all()
        return outcome

    def expected(self, run: str, writer: str) -> int:
        """The next offset that is expected of a writer."""
        with self._changed:
            return self._expected[run, writer]

    def forget(self, run: str, writer: str, offset: int = 0) -> None:
        """Goes back to expect an earlier offset, as a platform does that was restored from a backup."""
        with self._changed:
            self._expected[run, writer] = offset
            self._events[run, writer].clear()

    def events(self, run: str | None = None, writer: str | None = None) -> list[Event]:
        """All events that are held (of one run, of one writer), each writer's in order."""
        with self._changed:
            return [
                event
                for (its_run, its_writer), events in self._events.items()
                if run in (None, its_run) and writer in (None, its_writer)
                for event in events
            ]

    def records(self, run: str | None = None, writer: str | None = None) -> list[Event]:
        """The events that are log records, as `events` gives them."""
        return [event for event in self.events(run, writer) if "event" not in event]

    def wait(self, condition: Callable[[], object], timeout: float = 10.0) -> bool:
        """Waits until a condition on this platform holds, at most `timeout` seconds; returns whether it does."""
        with self._changed:
            return bool(self._changed.wait_for(condition, timeout))

    def _take(self, batch: Batch) -> Delivered | Gap | Refused:
        writer = (batch.run, batch.writer)
        expected = self._expected[writer]
        if self.max_bytes is not None and len(batch.body) > self.max_bytes:
            return Refused(f"more than {self.max_bytes} bytes", too_large=True, max_bytes=self.max_bytes)
        if batch.offset > expected:
            if batch.offset != batch.first:
                return Gap(expected)
            self.lost.append((*writer, expected, batch.offset))
            expected = batch.offset
        if expected != batch.line_end(expected) and expected < batch.next:
            raise ValueError(f"offset {expected} is not the end of a line")
        fresh: list[Event] = []
        aside: list[tuple[int, str]] = []
        for number, start, end in batch.events():
            if start < expected:
                continue
            try:
                event = _parsed(batch.body[start - batch.offset : end - batch.offset])
            except ValueError as error:
                aside.append((number, str(error)))
                continue
            reason = self.refuse(event)
            if reason is not None:
                return Refused(reason, line=number if self.names_lines else None)
            fresh.append(event)
        self.repeated += max(0, min(expected, batch.next) - batch.offset)
        self._events[writer].extend(fresh)
        self._expected[writer] = max(expected, batch.next)
        return Delivered(self._expected[writer], tuple(aside))


def _parsed(line: bytes) -> Event:
    """One event, read strictly. Raises ValueError."""
    event = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    if not isinstance(event, dict):
        raise ValueError("not a JSON object")
    return event


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
