"""The listener: takes what lies in the spool to one destination, by the retry policy, on a thread of its own.

Per event it does nothing: it slices lines out of the spool and hands them to the transport as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loghook.credentials import KeySource
from loghook.retry import Advance, Decision, Retry, Rewind, SetAside, Wait
from loghook.spool import WriterSpool, repair, run_writers, writers
from loghook.spool.acks import Acks
from loghook.spool.keeper import Wake
from loghook.threads import barred, importing
from loghook.transports.base import Batch, Transport, TryLater
from loghook.voice import Voice

__all__ = ["Delivery", "Destination", "Listener", "claim", "settle", "wants"]

_ADOPT = 2.0


@dataclass(frozen=True)
class Destination:
    """A transport at a URL: `id` names its acknowledged offsets, `open` makes the transport."""

    id: str
    url: str
    keys: KeySource
    open: Callable[[], Transport]


class Source(Protocol):
    """What a listener delivers: this process's own log, or the spool of a writer that is gone."""

    run: str
    writer: str
    acks: Acks

    @property
    def directory(self) -> Path | None: ...

    @property
    def first(self) -> int: ...

    def read(self, offset: int, max_bytes: int) -> bytes: ...


class Delivery:
    """One writer's log on its way to one destination."""

    def __init__(self, source: Source, destination: str, batch_size: int) -> None:
        self.source = source
        self.destination = destination
        self.batch_size = batch_size
        self.set_aside = 0
        self.resume_at = 0.0
        """When, in monotonic seconds, an adopted spool is to be tried again."""
        self.asked_to_wait = False
        """Whether the platform itself said how long to wait, which a flush does not cut short."""
        self._retry = Retry()
        self._aside: list[tuple[int, int]] = []

    @property
    def position(self) -> int:
        """The offset below which the destination has everything."""
        return self.source.acks.get(self.destination).offset

    @property
    def has_more(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.source.read(max(self.position, self.source.first), 1))

    def step(self, transport: Transport) -> Decision | None:
        """Send one batch and act on the outcome; return what was decided, None when there was nothing to send."""
        batch = self._next()
        if batch is None:
            return None
        batch = self._retry.trim(batch).without(self._aside)
        outcome = transport.send(batch)
        self.asked_to_wait = isinstance(outcome, TryLater) and outcome.after is not None
        self._retry, decision = self._retry.after(outcome, batch, jitter=random.random())
        if isinstance(decision, Advance):
            self._advance(batch, decision)
        elif isinstance(decision, SetAside):
            start, end = decision.start - batch.offset, decision.end - batch.offset
            self._keep_apart(decision.start, batch.body[start:end], decision.reason)
            self._aside.append((decision.start, decision.end))
        elif isinstance(decision, Rewind):
            self._rewind(decision.offset)
        return decision

    def _next(self) -> Batch | None:
        offset, first = self.position, self.source.first
        if offset < first:  # deleted by somebody, or never there: the platform is told where the log begins now
            self.source.acks.move(self.destination, first, events=0)
            offset = first
        body = self.source.read(offset, self.batch_size)
        return Batch(self.source.run, self.source.writer, offset, body, first) if body else None

    def _advance(self, batch: Batch, decision: Advance) -> None:
        taken = batch if decision.offset == batch.next else batch.head(size=decision.offset - batch.offset)
        ours = [span for span in self._aside if span[1] <= decision.offset]
        self._aside = [span for span in self._aside if span[1] > decision.offset]
        refused = len(ours) + len(decision.set_aside)
        for line, reason in decision.set_aside:
            if span := batch.span(line):
                self._keep_apart(span[0], batch.body[span[0] - batch.offset : span[1] - batch.offset], reason)
        self.set_aside += len(decision.set_aside)
        events = taken.count - len(decision.set_aside)
        self.source.acks.move(self.destination, decision.offset, events=events, refused=refused)

    def _keep_apart(self, offset: int, event: bytes, reason: str) -> None:
        self.set_aside += 1
        if self.source.directory is None:
            return
        line = {
            "destination": self.destination,
            "offset": offset,
            "reason": reason,
            "event": event.decode(errors="replace"),
        }
        with contextlib.suppress(OSError):  # the count is kept all the same
            fd = os.open(self.source.directory / "refused.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(fd, json.dumps(line).encode() + b"\n")
            finally:
                os.close(fd)

    def _rewind(self, offset: int) -> None:
        target = max(offset, self.source.first)
        again = 0
        position, reached = target, self.position
        while position < reached and (data := self.source.read(position, self.batch_size)):
            again += data[: reached - position].count(b"\n")
            position += len(data)
        self.source.acks.move(self.destination, target, events=-again)


class Listener:
    """Delivers this process's log, and what dead writers of the same home left, to one destination."""

    def __init__(
        self,
        destination: Destination,
        source: Source,
        home: Path,
        *,
        interval: float = 0.25,
        batch_size: int = 1 << 20,
        voice: Voice | None = None,
    ) -> None:
        self.destination = destination
        self.wake = Wake()
        self.error = ""
        """Why nothing is delivered at the moment; empty when all is well."""
        self._home = home
        self._own = Delivery(source, destination.id, batch_size)
        self._adopted: dict[Path, tuple[WriterSpool, Delivery]] = {}
        self._interval = interval
        self._voice = voice or Voice()
        self._transport: Transport | None = None
        self._not_before = 0.0
        self._next_adoption = 0.0
        self._everywhere = True
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._loop, name="loghook-listener", daemon=True)

    def start(self) -> bool:
        """Start the thread; False when the interpreter is too far gone for it."""
        try:
            self._thread.start()
        except RuntimeError:
            return False
        return True

    def close(self, deadline: float) -> None:
        """Deliver what is there until `deadline` (monotonic seconds), then end."""
        self._deadline = deadline
        self.wake.ring()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def drain(self, deadline: float) -> None:
        """Deliver on the calling thread, which is the last one left, until `deadline` (monotonic seconds)."""
        if self._thread.is_alive():
            return
        with barred():
            while time.monotonic() < deadline and isinstance(self._step(self._own), (Advance, Rewind, SetAside)):
                continue
            self._release()

    def _loop(self) -> None:
        with barred():
            while not self._over():
                delay = self._interval
                try:
                    delay = self._round()
                except Exception as error:
                    self._trouble(f"{type(error).__name__}: {error}")
                    delay = 5.0
                if self._deadline is not None:
                    if not self.error and self._drained():
                        break
                    delay = (
                        min(delay, 0.1) if not self.error else min(delay, max(0.0, self._deadline - time.monotonic()))
                    )
                self.wake.wait(delay)
            self._release()

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _drained(self) -> bool:
        return not self._own.has_more and not self._adopted

    def _round(self) -> float:
        """Deliver what is there; return how many seconds to wait."""
        if time.monotonic() < self._not_before:
            return self._not_before - time.monotonic()
        while not self._over():
            decision = self._step(self._own)
            if decision is None:
                break
            if decision.seconds:
                return decision.seconds
        if time.monotonic() >= self._next_adoption or self._deadline is not None:
            self._adopt()
        for spool, delivery in list(self._adopted.values()):
            self._deliver_adopted(spool, delivery)
        return self._interval

    def _step(self, delivery: Delivery) -> Decision | None:
        if self._transport is None:
            with importing():
                self._transport = self.destination.open()
        decision = delivery.step(self._transport)
        if isinstance(decision, Wait):
            if delivery.asked_to_wait:
                self._not_before = time.monotonic() + decision.seconds
            self._trouble(decision.reason)
        elif isinstance(decision, Advance):
            self._recovered()
        if delivery.set_aside:
            self._voice.say(
                f"{self.destination.url} will not take {delivery.set_aside} event(s); they are kept in refused.ndjson",
                about="refused",
            )
        return decision

    def _trouble(self, reason: str) -> None:
        self.error = reason
        self._voice.say(f"{reason}; events wait in the spool and are sent later", about=self.destination.id)

    def _recovered(self) -> None:
        if self.error:
            self.error = ""
            self._voice.say(f"{self.destination.url} takes events again", about=f"{self.destination.id} again")

    # ---------------------------------------------------------------- what dead writers left

    def _adopt(self) -> None:
        """Take dead writers' spools that have the same destination: of every run at first, then of this one."""
        self._next_adoption = time.monotonic() + _ADOPT
        run = self._own.source.run
        candidates = writers(self._home) if self._everywhere else run_writers(self._home, run)
        for spool in candidates:
            known = spool.directory in self._adopted or spool.directory == self._own.source.directory
            if not known and is_concern(spool, self.destination.id) and claim(spool):
                delivery = Delivery(spool, self.destination.id, self._own.batch_size)
                self._adopted[spool.directory] = (spool, delivery)
        self._everywhere = False

    def _deliver_adopted(self, spool: WriterSpool, delivery: Delivery) -> None:
        """Deliver until it is done, has to wait, or live events want to go first."""
        while not self._over() and time.monotonic() >= delivery.resume_at:
            decision = self._step(delivery)
            if decision is None:
                del self._adopted[spool.directory]
                settle(spool)
                return
            delivery.resume_at = time.monotonic() + decision.seconds
            if self._own.has_more:
                return

    def _release(self) -> None:
        for spool, _ in self._adopted.values():
            spool.lock.release()
        self._adopted.clear()
        if self._transport is not None:
            self._transport.close()
            self._transport = None


def wants(spool: WriterSpool, destination: str) -> bool:
    """Whether a spool holds something that is bound for `destination` and not there yet."""
    return destination in spool.destinations and spool.acknowledged(destination) < spool.end()


def is_concern(spool: WriterSpool, destination: str) -> bool:
    """Whether a spool has something for `destination`, or was bound there and is only waiting to be deleted."""
    return destination in spool.destinations and (wants(spool, destination) or spool.complete())


def claim(spool: WriterSpool) -> bool:
    """Take a dead writer's spool for delivery and mend it; False if its writer, or somebody who delivers it, lives."""
    try:
        if not spool.lock.take():
            return False
        repair(spool.directory)
    except OSError:
        spool.lock.release()
        return False
    return True


def settle(spool: WriterSpool) -> None:
    """Let go of a dead writer's spool, and delete it if nothing in it is needed any more."""
    try:
        if spool.complete():
            spool.remove()
    finally:
        spool.lock.release()
