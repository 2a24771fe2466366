"""Hyperdash's SDK protocol, version 0.15.3: each event as messages, one message a request.

    POST /api/v1/sdk/http     {"type", "timestamp": ms, "sdk_run_uuid": uuid4, "payload": {...}}
    x-hyperdash-auth: KEY     x-hyperdash-version: 0.15.3     x-hyperdash-api: which program began the run

    200 and a JSON object               the message is taken
    {"code": "api_key_requred"}, so     the key is read again; another one is tried at once, else TryLater;
    spelt, with any other status;       events wait meanwhile
    401, 403
    400, 422 and a JSON object          the message is malformed: Refused, its event is set aside
    413                                 a log goes again in halves, and later ones are made smaller; else Refused
    anything else, a page as well       TryLater, by Retry-After

What becomes of an event is in hyperdash_messages.py. The protocol has no offsets, so delivery is at least
once. Messages go one after the other, each when the one before is taken, which keeps the order of a run.
`send` goes on for a quarter of a second, then tells how far it came, so that little is sent again after a
crash. A message whose answer was lost goes again as it was, with its uuid; those before it do not. When
something stops a batch half way, what came before it counts as delivered, and the next `send` tells the rest.
Of texts that were joined in one message and refused, each is tried alone, so that only the bad one is set aside.

The order of writers: a run is begun by its owner's run_started, and a child or another rank may come first. The
first message that this transport sends of a run, when it is no run_started, waits until it is a second old; if
the platform calls it malformed then, it is tried again until it is a minute old: the run may not be known yet.
A writer sends into the run of its owner, and after the owner's run_ended too if it lives longer: nothing is
dropped for the order's sake.

A heartbeat goes only where nothing else was sent for 5 s: that of an event, or one that `idle` makes for a run
that this transport began and that did not end, since events of that kind come less often.

A user and password in the URL are sent as HTTP Basic authentication, for a proxy; the key goes all the same.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from .address import Address
from .base import Batch, Delivered, Outcome, Refused, Transport, TryLater
from .http import Http
from .hyperdash_messages import LONGEST_BODY, Group, Latest, Message, Unreadable, halves, messages
from .hyperdash_words import run_uuid
from .reply import Reply, printable, without

if TYPE_CHECKING:
    from ..credentials import KeySource

__all__ = ["HyperdashTransport", "outcome_of"]

PATH = "/api/v1/sdk/http"
VERSION = "0.15.3"
APIS = ("monitor", "experiment", "cli_run", "cli_pipe", "cli_tensorboard", "jupyter")
DEFAULT_API = "experiment"
NO_KEY = "api_key_requred"
SLICE = 0.25
HEARTBEAT = 5.0
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
MOST_KEPT = 1000

Name = TypeVar("Name")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Flow:
    """How far one writer's log has got: all below `done` is taken, `waiting` was made and is not taken yet."""

    done: int
    waiting: deque[Message | Unreadable] = field(default_factory=deque)
    alone: int = 0

    @property
    def next(self) -> int:
        """The offset from which on no message is made yet."""
        return self.waiting[-1].done if self.waiting else self.done

    def drop(self, start: int) -> None:
        """Forgets what is waiting of the event that begins at `start`."""
        self.waiting = deque(message for message in self.waiting if message.start != start)


@dataclass(slots=True)
class _Life:
    """What was sent of one run: whether anything, whether it is to be kept alive, and when last."""

    known: bool = False
    alive: bool = False
    last: float = 0.0
    api: str = DEFAULT_API
    latest: Latest = field(default_factory=dict)


class HyperdashTransport(Transport):
    """Sends messages to a server of Hyperdash's SDK protocol at a hyperdash+http or hyperdash+https URL."""

    def __init__(
        self,
        url: str,
        keys: KeySource,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Connects to nothing yet. `timeout` in seconds, `clock` in epoch seconds. Raises ConfigurationError."""
        super().__init__(url, keys, timeout=timeout)
        self._address = Address.parse(url)
        self._keys = keys
        self._clock = clock
        self._http = Http(self._address, timeout=timeout, agent=f"hyperdash/{VERSION}")
        self._flows: dict[tuple[str, str], _Flow] = {}
        self._lives: dict[str, _Life] = {}
        self._held: TryLater | None = None
        self._limit = LONGEST_BODY

    def send(self, batch: Batch) -> Outcome:
        """Sends messages of a batch, as many as a quarter of a second allows; see Transport.send."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        writer = (batch.run, batch.writer)
        flow = self._flows.get(writer)
        if flow is None or flow.done < batch.offset:  # none, or somebody else has delivered more of this log
            flow = _kept(self._flows, writer, _Flow(batch.offset))
        trouble = self._go_on(flow, batch)
        reached = min(flow.done, batch.next)
        if trouble is None:
            if not flow.waiting and flow.done <= batch.next:
                del self._flows[writer]
            return Delivered(reached)
        if reached > batch.offset:
            self._held = trouble if isinstance(trouble, TryLater) else None
            return Delivered(reached)
        if isinstance(trouble, Refused):
            return self._set_aside(trouble, flow, batch)
        return trouble

    def idle(self, run: str) -> None:
        """Sends a heartbeat when the run is alive and nothing was sent of it for 5 s.

        What the platform answers is left to the next message to find out.
        """
        life = self._lives.get(run)
        now = self._clock()
        if life is not None and life.alive and not _within(HEARTBEAT, life.last, now):
            life.last = now
            self._post(Message("heartbeat", round(now * 1000), {}, 0).body(run_uuid(run)), life.api)

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, in monotonic seconds."""
        self._keys.hurry()
        self._http.hurry(deadline)

    def close(self) -> None:
        """Closes the connection. Safe to call twice."""
        self._http.close()

    def _go_on(self, flow: _Flow, batch: Batch) -> TryLater | Refused | None:
        """Sends message after message until the batch or the time is over, or something is in the way."""
        began = self._clock()
        groups = self._messages(flow, batch)
        while True:
            if not flow.waiting:
                flow.waiting.extend(next(groups, ()))
            if not flow.waiting:
                flow.done = max(flow.done, batch.next)
                return None
            message = flow.waiting[0]
            outcome = self._deliver(message, batch)
            if outcome is None:
                flow.waiting.popleft()
                flow.done = max(flow.done, message.done)
                if flow.done > batch.offset and not _within(SLICE, began, self._clock()):
                    return None
            elif self._smaller(outcome, message, flow):
                groups = self._messages(flow, batch)
            else:
                return outcome

    def _messages(self, flow: _Flow, batch: Batch) -> Iterator[Group]:
        latest = self._life(batch.run).latest
        return messages(batch, after=flow.next, limit=self._limit, alone=flow.alone, latest=latest)

    def _life(self, run: str) -> _Life:
        return self._lives.get(run) or _kept(self._lives, run, _Life())

    def _set_aside(self, refused: Refused, flow: _Flow, batch: Batch) -> TryLater | Refused:
        """Forgets the event whose message is refused, and names its line for others to set it aside."""
        bad = flow.waiting[0].start
        line = next((line for line, start, _ in batch.events() if start == bad), None)
        if line is None:
            return TryLater(f"{self._address}: {refused.reason}, for an event that is not in this batch")
        flow.drop(bad)
        return replace(refused, line=line)

    def _smaller(self, outcome: TryLater | Refused, message: Message | Unreadable, flow: _Flow) -> bool:
        """After a refusal puts something smaller in place of a log; False if there is nothing smaller."""
        if isinstance(outcome, TryLater) or isinstance(message, Unreadable):
            return False
        if outcome.too_large:
            parts = halves(message)
            if parts is None:
                return False
            self._limit = min(self._limit, len(parts[1].payload["body"]))
            flow.waiting.popleft()
            flow.waiting.extendleft(reversed(parts))
            return True
        if message.events > 1:
            flow.alone = flow.next
            flow.waiting.clear()
            return True
        return False

    def _deliver(self, message: Message | Unreadable, batch: Batch) -> TryLater | Refused | None:
        """Sends one message; None when the platform has taken it, or needs none of its kind now."""
        if isinstance(message, Unreadable):
            return Refused(message.reason)
        now = self._clock()
        life = self._life(batch.run)
        if message.type == "run_started":
            life.api = message.api if message.api in APIS else DEFAULT_API
        elif message.type == "heartbeat" and _within(HEARTBEAT, life.last, now):
            return None
        age = now - message.timestamp / 1000
        early = not life.known and message.type != "run_started"
        if early and 0 <= age < FIRST_WAIT:
            return TryLater(f"{self._address}: the run's own process goes first", after=FIRST_WAIT - age)
        try:
            body = message.body(run_uuid(batch.run))
        except TypeError as error:
            return Refused(f"the event cannot be written as JSON: {error}")
        outcome = self._exchange(body, life.api)
        if outcome is None:
            life.known, life.last = True, now
            life.alive = message.type == "run_started" or (life.alive and message.type != "run_ended")
            return None
        if isinstance(outcome, TryLater):
            return outcome
        if early and not outcome.too_large and 0 <= age < LONGEST_WAIT:
            return TryLater(f"{self._address}: {outcome.reason}; perhaps the run is not known there yet")
        return outcome

    def _exchange(self, body: bytes, api: str) -> TryLater | Refused | None:
        """Posts a message, after a refusal of the key again with another one if there is one."""
        reply = self._post(body, api)
        if isinstance(reply, Reply) and _key_refused(reply) and self._keys.refused():
            reply = self._post(body, api)
        if isinstance(reply, TryLater):
            return reply
        if _key_refused(reply):
            source = f"the API key from {self._keys.origin}"
            return TryLater(f"{self._address}: {reply.title}, {source} is refused{_said(reply)}", key=True)
        return outcome_of(reply, len(body), str(self._address), self._clock())

    def _post(self, body: bytes, api: str) -> Reply | TryLater:
        key = self._keys.get()
        if key is None:
            return TryLater(f"{self._address}: there is no API key; looked in {self._keys.places}", key=True)
        headers = {
            "Content-Type": "application/json",
            "x-hyperdash-auth": key,
            "x-hyperdash-version": VERSION,
            "x-hyperdash-api": api,
        }
        secrets = [key, self._address.password or ""]
        if self._address.user is not None:
            pair = f"{self._address.user}:{self._address.password or ''}"
            secrets.append(base64.b64encode(pair.encode()).decode())
            headers["Authorization"] = f"Basic {secrets[-1]}"
        reply = self._http.request("POST", PATH, body=body, headers=headers)
        if isinstance(reply, TryLater):
            return replace(reply, reason=without(reply.reason, *secrets))
        return reply.without(*secrets)


def outcome_of(reply: Reply, size: int, where: str, now: float) -> TryLater | Refused | None:
    """What an answer means for a message of `size` bytes, None: it is taken. Pure; the key's trouble is not read here.

    `now` is in epoch seconds, `where` names the server.
    """
    content = reply.json()
    match reply.status:
        case 200 if content is not None:
            return None
        case 200:
            reason = f"{where}: 200, but not as Hyperdash answers ({reply.kind}): a login page, another program?"
            return TryLater(reason, absent=True)
        case 400 | 422 if content is not None:
            return Refused(f"{reply.title}{_said(reply)}")
        case 413:
            return Refused(f"{reply.title}, {size} bytes are too many{_said(reply)}", too_large=True)
        case 404 | 405:
            reason = f"{where}: {reply.title}, no Hyperdash server is at this address{_said(reply)}"
            return TryLater(reason, absent=True)
        case status if 300 <= status < 400:
            place = reply.location or "nowhere"
            return TryLater(f"{where}: {reply.title}, it redirects to {place}: is that the right URL?", absent=True)
    return TryLater(f"{where}: {reply.title}{_said(reply)}", after=reply.after(now))


def _key_refused(reply: Reply) -> bool:
    code = (reply.json() or {}).get("code") if reply.status != 200 else None
    return reply.status in (401, 403) or code == NO_KEY


def _said(reply: Reply) -> str:
    """The server's own words after a colon, if it gave any."""
    content = reply.json() or {}
    words = " ".join(str(content[name]) for name in ("code", "message", "error") if isinstance(content.get(name), str))
    return f": {printable(words)}" if words.strip() else ""


def _within(seconds: float, then: float, now: float) -> bool:
    """Whether no more than so many seconds lie between; a clock that was set back counts as later."""
    return 0 <= now - then < seconds


def _kept(table: dict[Name, Value], name: Name, value: Value) -> Value:
    """Keeps a value under a name, and lets the oldest go when there are too many."""
    table[name] = value
    while len(table) > MOST_KEPT:
        del table[next(iter(table))]
    return value
