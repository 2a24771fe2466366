"""Sends what waits for one destination, in order, one at a time; a failure puts it off, longer each time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import orjson

from loghook.server.notify.destination import Destination
from loghook.server.store import Store, notices
from loghook.transports.base import TryLater
from loghook.transports.http import Http
from loghook.transports.reply import Reply

__all__ = ["EVERY", "Sender"]

logger = logging.getLogger("loghook.server")

EVERY = 1.0
"""Seconds between two looks at what waits."""
TIMEOUT, DEADLINE = 10.0, 20.0
FIRST_WAIT, LONGEST_WAIT = 5.0, 900.0
GIVEN_UP_AFTER = 24 * 3600.0
PASSING = (408, 425, 429)
"""Refusals that are none of the request itself; all others below 500 are final."""


class Sender:
    """Tells one destination; call `look` again and again, from one thread.

    Args:
        store: what waits.
        destination: who is told.
        clock: epoch seconds.
    """

    def __init__(self, store: Store, destination: Destination, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._destination = destination
        self._clock = clock
        self._said = ""

    def look(self) -> bool:
        """Send the oldest notice if it is due; true when there may be another to send at once.

        Raises sqlite3.Error, Closed.
        """
        with self._store.reading() as connection:
            waiting = notices.due(connection, self._destination.id, self._clock())
        if waiting is None:
            return False
        reply = self._post(waiting)
        if isinstance(reply, Reply) and 200 <= reply.status < 300:
            self._said = ""
        elif self._is_final(reply) or self._clock() - waiting.created > GIVEN_UP_AFTER:
            self._say(f"{self._why(reply)}; the notice is given up")
        else:
            until = self._clock() + self._wait(reply, waiting.tries)
            self._say(f"{self._why(reply)}; it is tried again")
            self._store.writer.run(lambda connection: notices.put_off(connection, waiting.number, until))
            return False
        self._store.writer.run(lambda connection: notices.done(connection, waiting.number))
        return True

    def _post(self, waiting: notices.Waiting) -> Reply | TryLater:
        request = self._destination.request(orjson.loads(waiting.body))
        http = Http(self._destination.address, timeout=TIMEOUT, deadline=DEADLINE, agent="loghook")
        try:
            query = dict(self._destination.query)
            return http.request("POST", "", body=request.body, params=query, headers=request.headers)
        finally:
            http.close()

    def _wait(self, reply: Reply | TryLater, tries: int) -> float:
        asked = reply.after(self._clock()) if isinstance(reply, Reply) else reply.after
        return max(asked or 0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries, 16)))

    def _is_final(self, reply: Reply | TryLater) -> bool:
        return isinstance(reply, Reply) and reply.status < 500 and reply.status not in PASSING

    def _why(self, reply: Reply | TryLater) -> str:
        # What was in the way is told without the address, whose path may be a secret.
        if isinstance(reply, TryLater):
            return reply.reason.removeprefix(f"{self._destination.address}: ")
        return f"it answers {reply.title}"

    def _say(self, text: str) -> None:
        """One line, once for each different one until something gets through."""
        if text != self._said:
            self._said = text
            logger.warning("notify, %s: %s", self._destination, text)
