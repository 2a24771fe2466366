"""Polyaxon, of both generations: a job of 0.x or a run of 2.x, at `polyaxon+https://HOST/OWNER/PROJECT`.

    access.py        a project by its URL, and the tokens that open it
    calls.py         requests with a token, and what bad answers mean
    events.py        what a batch says
    names.py         names as Polyaxon takes them
    generation0.py   0.x
    generation2.py   2.x: run.py, publish.py, pace.py; what is held and marked: writer.py, series.py, files.py

The generation is the one of the job that we are in, where the URL is its platform's; else the server is asked: only
2.x answers GET /api/v1/installation, and 0.x says at /api/v1/users/ who we are. `polyaxon0+` and `polyaxon2+` name it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...job import job_of
from ..base import Batch, Delivered, Outcome, Transport, TryLater
from .access import place_of, with_tokens
from .calls import Calls, listed

if TYPE_CHECKING:
    from ...credentials import KeySource

__all__ = ["PolyaxonTransport"]


class PolyaxonTransport(Transport):
    """Finds out which generation answers at a polyaxon+http or polyaxon+https URL, and hands everything to it."""

    def __init__(
        self, url: str, keys: KeySource, *, timeout: float = 10.0, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Connects to nothing yet. `timeout` is in seconds. Raises ConfigurationError."""
        super().__init__(url, keys, timeout=timeout)
        self._place = place_of(url)
        self._open = (url, keys, timeout, environ)
        self._calls = Calls(self._place.address, with_tokens(keys, environ, url), timeout=timeout, needs_token=False)
        self._transport: Transport | None = None

    def send(self, batch: Batch) -> Outcome:
        """Asks for the generation before the first batch with events; see Transport.send."""
        if self._transport is None:
            if not batch.count:
                return Delivered(batch.next)
            generation = self._generation()
            if isinstance(generation, TryLater):
                return generation
            self._transport = self._of(generation)
        return self._transport.send(batch)

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, in monotonic seconds."""
        self._calls.hurry(deadline)
        if self._transport is not None:
            self._transport.hurry(deadline)

    def close(self) -> None:
        """Closes the connections. Safe to call twice."""
        self._calls.close()
        if self._transport is not None:
            self._transport.close()

    def _of(self, generation: int) -> Transport:
        from .generation0 import Polyaxon0Transport
        from .generation2 import Polyaxon2Transport

        url, keys, timeout, environ = self._open
        kind = Polyaxon2Transport if generation == 2 else Polyaxon0Transport
        return kind(url, keys, timeout=timeout, environ=environ)

    def _generation(self) -> int | TryLater:
        job = job_of(self._open[3])
        if job is not None and job.url and place_of(job.url) == self._place:
            return job.generation
        reply = self._calls.json("GET", "/api/v1/installation")
        if isinstance(reply, TryLater):
            return reply
        content = listed(reply)
        if reply.status == 200 and isinstance(content, dict) and isinstance(content.get("version"), str):
            return 2
        if reply.status == 404:
            who = self._calls.json("GET", "/api/v1/users/")
            if isinstance(who, TryLater):
                return who
            content = listed(who)
            if who.status == 200 and isinstance(content, dict) and isinstance(content.get("username"), str):
                return 0
        trouble = self._calls.trouble(reply, "asking which Polyaxon this is")
        return trouble if isinstance(trouble, TryLater) else TryLater(trouble.reason)
