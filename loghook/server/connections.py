"""Connections as an attacker may hold them: none waits for its client for ever, and there are only so many.

    a connection waits for                      as long as                          then it is
    the head of a request, all of it            `Patience.head`                     closed
    a body (see `security.Guard`)               `Patience.part`, `Patience.pace`    answered 408 and closed
    the rest of a body that nobody reads        `Patience.head`                     closed
    its client to take what was answered        `Patience.answer` without a byte    closed

Nothing here depends on what a request says, so it holds before anybody has shown a key. When there are as many
connections as there may be, a new one takes the place of the one that has waited longest among those of the address
that holds most; so one address cannot keep all others out. uvicorn's own h11 protocol does the rest. It is named here,
because the one that uvicorn takes where httptools is installed has no limit for the length of a head.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from loghook.server.patience import Patience

__all__ = ["MOST_CONNECTIONS", "Connection", "Connections", "most_connections"]

MOST_CONNECTIONS = 2000
SPARED = 200
"""File descriptors for all but connections: the database, static files, spools."""
EVERY = 4
"""Looks at the connections in the shortest time that any of them may wait."""


def most_connections() -> int:
    """Return how many connections this process can have, by its limit for file descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, max(16, soft - SPARED))


class Connections:
    """All connections of a server: closes those that wait too long, and makes room. For the event loop's thread.

    Args:
        patience: how long a client may take.
        most: connections at a time.
    """

    def __init__(self, patience: Patience, most: int) -> None:
        self._patience = patience
        self._most = most
        self._open: dict[Connection, None] = {}  # in the order in which they came
        self._looking: asyncio.TimerHandle | None = None
        self._every = min(patience.head, patience.answer) / EVERY

    def opened(self, connection: Connection) -> None:
        """A connection came."""
        if len(self._open) >= self._most:
            self._make_room(connection)
        self._open[connection] = None
        if self._looking is None:
            self._looking = connection.loop.call_later(self._every, self._look, connection.loop)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.pop(connection, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._open):
            if connection.waited_too_long(now, self._patience):
                self._drop(connection)
        self._looking = loop.call_later(self._every, self._look, loop) if self._open else None

    def _make_room(self, new: Connection) -> None:
        held = Counter(connection.address for connection in self._open)
        waiting = [connection for connection in self._open if connection.awaits_client]
        if waiting:
            most = max(held[connection.address] for connection in waiting)
            self._drop(next(connection for connection in waiting if held[connection.address] == most))
        else:
            new.transport.abort()

    def _drop(self, connection: Connection) -> None:
        self.closed(connection)
        connection.transport.abort()


class Connection(H11Protocol):
    """uvicorn's protocol, which tells `connections` of its life and knows what it waits for."""

    def __init__(self, connections: Connections, **more: Any) -> None:
        super().__init__(**more)
        self._all = connections
        self._state: tuple[str, object] = ("", None)
        self._since = 0.0
        self._unsent = 0
        self._drained = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._all.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._all.closed(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """What was written has been sent, most of it."""
        self._drained += 1
        super().resume_writing()

    @property
    def address(self) -> str:
        """Where it comes from."""
        return self.client[0] if self.client else ""

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: not while a request that has come in full is worked at."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def waited_too_long(self, now: float, patience: Patience) -> bool:
        """Tell whether the client's time is up; to be asked again and again. `now`: the loop's time."""
        unsent = self.transport.get_write_buffer_size()
        state = self._awaited(unsent)
        if state != self._state or (state[0] == "taking" and unsent < self._unsent):
            self._since = now
        self._state, self._unsent = state, unsent
        longest = {"head": patience.head, "rest": patience.head, "taking": patience.answer}.get(state[0])
        return longest is not None and now - self._since > longest

    def _awaited(self, unsent: int) -> tuple[str, object]:
        """What it waits for, and something that is another one when it does so anew."""
        if unsent:
            return "taking", self._drained
        if self.cycle is None or self.cycle.response_complete:
            return "rest" if self.conn.their_state is h11.SEND_BODY else "head", self.cycle
        return "", None
