"""The listener: takes what lies in the spool to one destination, by the retry policy, on a thread of its own.

Per event it does nothing: it slices lines out of the spool and hands them to the transport as they are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loghook.outages import Outages
from loghook.spool import WriterSpool, repair, run_writers, writers
from loghook.spool.keeper import Wake
from loghook.threads import barred, importing
from loghook.voice import Voice

if TYPE_CHECKING:
    from loghook.credentials import KeySource
    from loghook.delivery import Delivery, Source
    from loghook.retry import Decision
    from loghook.transports.base import Transport

__all__ = ["Destination", "Listener", "claim", "settle", "wants"]

_ADOPT = 2.0
_LAST_TRIES = 0.5
"""Seconds between tries, at most, while the process wants to end."""
_PATIENCE = 1.0
"""Seconds for which nobody may be there, or the key be refused, before the end of a process waits no longer.

It is longer than a server restarts.
"""
_ASKED_FOR = 5.0
"""Who allows the end of a process more seconds than these, the default, wants all of them used: the disk may go too."""
_AT_ONCE = 16
"""Spools of dead writers that are held at the same time: each takes one of the user's file descriptors."""


class Destination:
    """A transport at a URL: `id` names its acknowledged offsets, `open` makes the transport."""

    # No dataclass: making one takes a millisecond, and this module is imported while `install()` is waited for.

    def __init__(self, id: str, url: str, keys: KeySource, open: Callable[[], Transport]) -> None:
        self.id = id
        self.url = url
        self.keys = keys
        self.open = open


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
        outages: Outages | None = None,
    ) -> None:
        self.destination = destination
        self.wake = Wake()
        self.error = ""
        """Why nothing is delivered at the moment; empty when all is well."""
        self.untold = ""
        """The same, until it has been said."""
        self._home = home
        self._source = source
        self._batch_size = batch_size
        self._delivery: Delivery | None = None
        self._adopted: dict[Path, tuple[WriterSpool, Delivery]] = {}
        self._interval = interval
        self._voice = voice or Voice()
        self._outages = outages or Outages()
        self._transport: Transport | None = None
        self._not_before = 0.0
        self._hopeless_since: float | None = None
        self._is_last_try = False
        """Whether what is tried, or was tried last, began when the process already wanted to end."""
        self._next_adoption = 0.0
        self._candidates: Iterator[WriterSpool] = writers(home)
        self._more_candidates = True
        self._urgent = False
        self._deadline: float | None = None
        self._patience = _PATIENCE
        self._at_work = False
        """Whether the thread delivers; after an interrupted join `is_alive` may deny it."""
        self._thread = threading.Thread(target=self._loop, name="loghook-listener", daemon=True)

    @property
    def _own(self) -> Delivery:
        """This process's log. What it needs is imported on the listener's thread: `install()` need not wait for it."""
        if self._delivery is None:
            with importing():
                from loghook.delivery import Delivery

            self._delivery = Delivery(self._source, self.destination.id, self._batch_size)
        return self._delivery

    def start(self) -> bool:
        """Start the thread; False when the interpreter is too far gone for it."""
        self._at_work = True
        try:
            self._thread.start()
        except RuntimeError:
            self._at_work = False
        return self._at_work

    def hurry(self, deadline: float) -> None:
        """Deliver what is there until `deadline` (monotonic seconds), then end; returns at once."""
        allowed = deadline - time.monotonic()
        self._patience = _PATIENCE if allowed <= _ASKED_FOR else allowed
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        self.wake.ring()

    def close(self, deadline: float) -> None:
        """Deliver what is there until `deadline` (monotonic seconds), then end; waits for that."""
        self.hurry(deadline)
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def drain(self, deadline: float) -> None:
        """Deliver on the calling thread, which is the last one left, until `deadline` (monotonic seconds).

        Not where the platform was in trouble: a request may take longer than the end of a program can wait.
        """
        if self._at_work or self.error:
            return
        self._deadline = deadline
        with barred():
            try:
                while time.monotonic() < deadline:
                    decision = self._step(self._own)
                    if decision is None or decision.seconds:
                        break
            except Exception as error:
                self._trouble(f"{type(error).__name__}: {error}")
            self._release()

    def _loop(self) -> None:
        with barred():
            while not self._over():
                delay = self._interval
                try:
                    delay = self._round()
                except Exception as error:
                    self._trouble(f"{type(error).__name__}: {error}")
                    self._close_transport()  # who knows what it holds
                    self._note(hopeless=True)
                    delay = 5.0
                if self._deadline is not None:
                    if self._is_drained() or self._is_hopeless(self._deadline):
                        break
                    delay = min(delay, _LAST_TRIES if self.error else 0.1, max(0.0, self._deadline - time.monotonic()))
                self._urgent = self.wake.wait(delay) or (self._urgent and not self._is_done())
            self._release()
        self._at_work = False

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _is_hopeless(self, deadline: float) -> bool:
        """Whether there is nothing to wait for: nobody is there, the key is refused, or the platform wants to be alone.

        One more batch is tried all the same: there may be another key by now. Events that would go with the process are
        tried to the last.
        """
        if not self.error or self._own.source.in_memory:
            return False
        if self._not_before >= deadline:
            return True
        since = self._hopeless_since
        return since is not None and self._is_last_try and time.monotonic() - since >= self._patience

    def _note(self, *, hopeless: bool) -> None:
        """Note since when there is nothing to hope for within seconds."""
        if not hopeless:
            self._hopeless_since = None
        elif self._hopeless_since is None:
            self._hopeless_since = time.monotonic()

    def _is_drained(self) -> bool:
        return self._is_done() and not self._adopted and not self._more_candidates

    def _is_done(self) -> bool:
        """Whether the platform has all of this process's events; not where the disk can't tell."""
        try:
            return self._own.is_done
        except (LookupError, OSError) as error:
            self._trouble(f"{type(error).__name__}: {error}")
            return False

    def _round(self) -> float:
        """Deliver what is there; return how many seconds to wait."""
        if time.monotonic() < self._not_before:
            return self._not_before - time.monotonic()
        while not self._over():
            decision = self._step(self._own)
            if decision is None:
                self._idle()
                break
            if decision.seconds:
                return decision.seconds
        if time.monotonic() >= self._next_adoption or self._deadline is not None:
            self._adopt()
        for spool, delivery in list(self._adopted.values()):
            self._deliver_adopted(spool, delivery)
        return 0.0 if self._more_candidates and len(self._adopted) < _AT_ONCE else self._interval

    def _idle(self) -> None:
        if self._transport is not None and self._deadline is None:
            self._transport.idle(self._own.source.run)

    def _step(self, delivery: Delivery) -> Decision | None:
        with importing():
            from loghook.retry import Advance, Wait

        self._is_last_try = self._deadline is not None
        if self._transport is None:
            for held in (self._own, *(delivery for _, delivery in self._adopted.values())):
                held.restart()
            with importing():
                self._transport = self.destination.open()
        urgent = self._urgent or self._deadline is not None or delivery is not self._own
        aside, is_old = delivery.set_aside, delivery.is_troubled
        if self._deadline is not None:
            self._transport.hurry(self._deadline)
        decision = delivery.step(self._transport, urgent=urgent)
        if decision is not None:
            self._note(hopeless=delivery.is_hopeless)
        if isinstance(decision, Wait):
            if delivery.asked_to_wait:
                self._not_before = time.monotonic() + decision.seconds
            self._trouble(decision.reason, is_news=is_old or decision.seconds > _PATIENCE)
        elif isinstance(decision, Advance):
            self._recovered()
        if delivery.set_aside > aside:
            self._voice.say(
                f"{self.destination.url} will not take {delivery.set_aside} event(s); they are kept in refused.ndjson",
                about="refused",
            )
        return decision

    def _trouble(self, reason: str, *, is_news: bool = True) -> None:
        """Note a failure, and say so: once, however long it lasts, and not of a single one, nor when the end does."""
        if not self.error:
            self.untold = reason
        self.error = reason
        if is_news and self._deadline is None:
            self.speak()

    def speak(self) -> None:
        """Say why nothing is delivered, unless a line has said that of this destination, for whatever run."""
        reason, self.untold = self.untold and self.error, ""
        if reason and self._outages.begin(self.destination.id, quiet=self._voice.quiet):
            self._voice.say(f"{reason}; events wait in the spool and are sent later", about=self.destination.id)

    def _recovered(self) -> None:
        self.error = self.untold = ""
        if self._outages.end(self.destination.id):
            about = f"{self.destination.id} again"
            self._voice.say(f"{self.destination.url} takes events again", about=about, level=logging.INFO)

    # ---------------------------------------------------------------- what dead writers left

    def _adopt(self) -> None:
        """Take dead writers' spools that have the same destination: of every run at first, then of this one."""
        self._more_candidates = True
        while len(self._adopted) < _AT_ONCE:
            spool = next(self._candidates, None)
            if spool is None:
                self._more_candidates = False
                self._next_adoption = time.monotonic() + _ADOPT
                self._candidates = run_writers(self._home, self._own.source.run)
                return
            known = spool.directory in self._adopted or spool.directory == self._own.source.directory
            if not known and self._claim(spool):
                delivery = type(self._own)(spool, self.destination.id, self._batch_size)
                self._adopted[spool.directory] = (spool, delivery)

    def _claim(self, spool: WriterSpool) -> bool:
        try:
            # Whether it lives is asked first: of a living writer's spool nothing need be read then.
            return not spool.alive() and is_concern(spool, self.destination.id) and claim(spool)
        except OSError as error:
            self._leave(spool, error)
            return False

    def _leave(self, spool: WriterSpool, error: Exception) -> None:
        """Let go of a spool that is in trouble, another user's perhaps: it must hold up none of the others."""
        self._voice.say(
            f"{spool.directory} can't be delivered ({error}); it is left as it is", about=str(spool.directory)
        )
        spool.lock.release()

    def _deliver_adopted(self, spool: WriterSpool, delivery: Delivery) -> None:
        """Deliver until it is done, has to wait, or live events want to go first."""
        while not self._over() and time.monotonic() >= delivery.resume_at:
            try:
                decision = self._step(delivery)
            except (LookupError, OSError) as error:
                del self._adopted[spool.directory]
                self._leave(spool, error)
                return
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
        self._close_transport()

    def _close_transport(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            try:
                transport.close()
            except Exception as error:  # this thread goes on, or ends without a traceback
                self._trouble(f"{type(error).__name__}: {error}")


def wants(spool: WriterSpool, destination: str) -> bool:
    """Whether a spool holds something that is bound for `destination` and not there yet."""
    return destination in spool.destinations and spool.acknowledged(destination) < spool.end()


def is_concern(spool: WriterSpool, destination: str) -> bool:
    """Whether a spool has something for `destination`, or was bound there and is only waiting to be deleted."""
    return destination in spool.destinations and (wants(spool, destination) or spool.complete())


def claim(spool: WriterSpool) -> bool:
    """Take a dead writer's spool for delivery and mend it; False if its writer, or somebody who delivers it, lives."""
    try:
        if spool.alive() or not spool.lock.take():
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
