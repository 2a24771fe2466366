"""Polyaxon 2: a run by our own uuid, its log in chunks, its metrics in files, its params and status over the API.

    GET   /api/v1/OWNER/PROJECT/runs/UUID             the run, with our markers in its meta_info
    POST  /api/v1/OWNER/PROJECT/runs/sync             makes it; again is refused, so that it is there once
    POST  /api/v1/OWNER/projects/create               where there is no such project
    PATCH .../runs/UUID                               name, inputs (params), outputs (last values), meta_info
    POST  .../runs/UUID/statuses                      running, succeeded, failed, stopped
    POST  .../runs/UUID/lineage/artifacts             which metrics there are, and their summaries
    POST  /streams/v1/NAMESPACE/OWNER/PROJECT/runs/UUID/artifact     chunks and files, whole

A file goes only whole, so events are held back; how long is told in pace.py. What is safe, and why a point or a line
is there once whatever happened, is told in writer.py. In a job that Polyaxon manages, metrics and log go into the
files that its sidecar collects, without the lines of stdout and stderr, which it has already, and the status is left
alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..base import Batch, Delivered, Outcome, Transport
from .access import place_of, with_tokens
from .calls import Calls, Trouble
from .events import say
from .publish import Publisher
from .run import PolyaxonRun
from .writer import Writer

if TYPE_CHECKING:
    from ...credentials import KeySource

__all__ = ["Polyaxon2Transport"]

MOST_KEPT = 64


class Polyaxon2Transport(Transport):
    """Sends to a project of Polyaxon 2 at a URL polyaxon2+http or polyaxon2+https, or of a job's own platform."""

    def __init__(
        self,
        url: str,
        keys: KeySource,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Connects to nothing yet. `timeout` in seconds, `clock` in seconds. Raises ConfigurationError."""
        super().__init__(url, keys, timeout=timeout)
        self._place = place_of(url)
        keys = with_tokens(keys, environ, url)
        self._calls = Calls(self._place.address, keys, timeout=timeout, needs_token=False)
        self._clock = clock
        self._environ = environ
        self._runs: dict[str, PolyaxonRun] = {}
        self._publishers: dict[tuple[str, str], Publisher] = {}

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, in monotonic seconds."""
        self._calls.hurry(deadline)

    def close(self) -> None:
        """Closes the connection. Safe to call twice."""
        self._calls.close()

    def send(self, batch: Batch) -> Outcome:
        """Takes a batch, sends what is due, and tells how far all is safe; see Transport.send."""
        if (batch.run, batch.writer) not in self._publishers and not batch.count:
            return Delivered(batch.next)
        publisher = self._publisher(batch)
        if not isinstance(publisher, Publisher):
            return publisher
        writer = publisher.writer
        for said in say(batch, since=writer.cursor):
            publisher.take(said)
        writer.cursor = max(writer.cursor, batch.next)
        return publisher.bring(urgent=batch.urgent) or self._delivered(batch, writer)

    def _delivered(self, batch: Batch, writer: Writer) -> Outcome:
        """What is safe; between chunks' ends nothing is, so a batch that was cut short has to wait for its rest."""
        if writer.safe <= batch.next:
            writer.told = writer.safe
        if writer.told == batch.next:
            return writer.refused.delivered(batch, batch.next)
        return writer.refused.delivered(batch, writer.told, taken=batch.next)

    def _publisher(self, batch: Batch) -> Publisher | Trouble:
        key = (batch.run, batch.writer)
        if key in self._publishers:
            return self._publishers[key]
        run = self._runs.get(batch.run)
        if run is None:
            run = PolyaxonRun(self._calls, self._place, batch.run, self._environ)
        trouble = run.open()
        if trouble is not None:
            return trouble
        names = run.files.names("plxlogs")
        if not isinstance(names, list):
            return names
        writer = Writer(batch.writer, batch.offset, run.marker(batch.writer), names)
        self._runs[batch.run] = run
        self._publishers[key] = Publisher(run, writer, self._clock)
        self._forget()
        return self._publishers[key]

    def _forget(self) -> None:
        """Keeps the memory of many adopted writers small: what holds nothing can be looked up again."""
        idle = [key for key, one in self._publishers.items() if one.writer.told == one.writer.cursor]
        for key in idle[: max(0, len(self._publishers) - MOST_KEPT)]:
            del self._publishers[key]
