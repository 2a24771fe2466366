"""Polyaxon 0.x: an experiment (or a job, or a build) by its number, told what that generation's client tells it.

    GET   /api/v1/USER/PROJECT/experiments/       to find the experiment that an earlier process made of this run
    POST  the same                                makes it; in a job it is there
    PATCH .../ID/                                 {"params", "merge": true}; {"run_env"}
    POST  .../ID/metrics/                         a list of {"values": {name: number}, "created_at"}
    POST  .../ID/logs/                            a list of `2026-11-21 17:07:00 UTC INFO -- text`
    POST  .../ID/statuses/                        running, succeeded, failed (with its traceback), stopped
    POST  .../ID/coderef/                         which commit
    POST  .../ID/_heartbeat/                      every 60 s
    POST  .../ID/ephemeraltoken/                  a token for the one that a job was given

How events become these is told in requests0.py. In a job that Polyaxon manages the status is left to it.

What a batch says becomes requests, each done once while this process lives: what fails is tried again from there. The
platform keeps no offsets, so after a crash the last batch may come twice. Of a list that is refused, halves are tried,
until the bad line stands alone.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...job import Job, job_of
from ..base import Batch, Delivered, Outcome, Refused, Transport, TryLater
from ..reply import Reply
from .access import place_of, with_tokens
from .calls import Calls, Trouble, listed
from .events import Said, say
from .names import run_uuid, slug
from .refusals import Refusals
from .requests0 import Experiment, Request, run_env

if TYPE_CHECKING:
    from ...credentials import KeySource

__all__ = ["Polyaxon0Transport"]

HEARTBEAT = 60.0
STALE = 120.0


@dataclass(slots=True)
class _Flow:
    """One writer: `cursor` is how far its log is read; what it says is in `waiting`, until it is `done` up to there."""

    cursor: int
    done: int
    waiting: deque[Request] = field(default_factory=deque)
    refused: Refusals = field(default_factory=Refusals)


class Polyaxon0Transport(Transport):
    """Sends to a project of Polyaxon 0.x at a URL polyaxon0+http or polyaxon0+https, or to a job's own platform."""

    def __init__(
        self,
        url: str,
        keys: KeySource,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Connects to nothing yet. `timeout` in seconds, `clock` in epoch seconds. Raises ConfigurationError."""
        super().__init__(url, keys, timeout=timeout)
        place = place_of(url)
        job = job_of(environ)
        ours = job is not None and (job.generation, job.owner, job.project) == (0, place.owner, place.project)
        self._job = job if ours else None
        self._ephemeral = environ.get("POLYAXON_SECRET_EPHEMERAL_TOKEN", "").strip()
        self._project = f"/api/v1/{place.owner}/{place.project}"
        self._calls = Calls(
            place.address,
            with_tokens(keys, environ, url),
            timeout=timeout,
            needs_token=True,
            exchange=partial(self._exchange, job=self._job) if self._ephemeral and self._job is not None else None,
            clock=clock,
        )
        self._clock = clock
        self._experiments: dict[str, Experiment] = {}
        self._flows: dict[tuple[str, str], _Flow] = {}
        self._last_beat = -math.inf

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, in monotonic seconds."""
        self._calls.hurry(deadline)

    def close(self) -> None:
        """Closes the connection. Safe to call twice."""
        self._calls.close()

    def send(self, batch: Batch) -> Outcome:
        """Sends what a batch says; see Transport.send."""
        key = (batch.run, batch.writer)
        flow = self._flows.get(key)
        if flow is None:
            if not batch.count:
                return Delivered(batch.next)
            flow = self._flows[key] = _Flow(batch.offset, batch.offset)
        experiment = self._experiments.get(batch.run) or self._open(batch)
        if not isinstance(experiment, Experiment):
            return experiment
        self._experiments[batch.run] = experiment
        flow.waiting.extend(experiment.requests(self._said(batch, flow)))
        flow.cursor = max(flow.cursor, batch.next)
        while flow.waiting:
            trouble = self._next(flow, experiment.path)
            if trouble is not None:
                return trouble
        return self._delivered(batch, flow)

    def _said(self, batch: Batch, flow: _Flow) -> Iterator[Said]:
        """What is new in a batch; what is no event is noted as refused, and heartbeats go before all the rest."""
        for said in say(batch, since=flow.cursor):
            if said.error:
                flow.refused.add([said.start], said.error)
            elif said.beat and self._beats(said):
                flow.waiting.append(Request("POST", "_heartbeat/", None, [said.start]))
            yield said

    def _delivered(self, batch: Batch, flow: _Flow) -> Outcome:
        """All is there up to the cursor, which lies beyond a batch that was cut short: then that waits for its rest."""
        if flow.cursor > batch.next:
            return flow.refused.delivered(batch, flow.done, taken=batch.next)
        flow.done = flow.cursor
        if len(self._flows) > 1:
            self._flows.pop((batch.run, batch.writer), None)
        return flow.refused.delivered(batch, batch.next)

    def _next(self, flow: _Flow, path: str) -> TryLater | None:
        request = flow.waiting[0]
        trouble = self._do(request, path)
        if isinstance(trouble, TryLater):
            return trouble
        flow.waiting.popleft()
        if trouble is not None and len(request.starts) > 1 and isinstance(request.content, list):
            flow.waiting.extendleft(reversed(request.halves()))
        elif trouble is not None:
            flow.refused.add(request.starts, trouble.reason)
        return None

    def _do(self, request: Request, path: str) -> Trouble | None:
        reply = self._calls.json(request.method, f"{path}/{request.path}", request.content)
        if isinstance(reply, Reply) and reply.status in (200, 201) and _is_api(reply):
            return None
        return self._calls.trouble(reply, f"{request.method} {request.path or 'the experiment'}")

    # ---------------------------------------------------------------- which experiment

    def _open(self, batch: Batch) -> Experiment | Trouble:
        """A run's experiment: the job's own, one that was made before, or a new one."""
        if self._job is not None and self._job.run_id == batch.run:
            return Experiment(f"{self._project}/{self._job.kind}/{self._job.id}", self._job.managed)
        experiments = f"{self._project}/experiments"
        mark = f"-{run_uuid(batch.run)[:12]}"
        reply = self._calls.call("GET", f"{experiments}/", params={"limit": "100", "sort": "-created_at"})
        if isinstance(reply, TryLater):
            return reply
        content = listed(reply)
        if content is None or reply.status not in (200, 404, 405):
            trouble = self._calls.trouble(reply, "looking for the experiment")
            return trouble if isinstance(trouble, TryLater) else TryLater(trouble.reason)
        results = content.get("results") if isinstance(content, dict) else content
        for entry in results if isinstance(results, list) else ():
            if isinstance(entry, dict) and str(entry.get("name")).endswith(mark) and _number(entry.get("id")):
                return Experiment(f"{experiments}/{entry['id']}")
        return self._make(experiments, mark, next((said.run for said in say(batch) if said.run is not None), {}))

    def _make(self, experiments: str, mark: str, run: Mapping[str, Any]) -> Experiment | Trouble:
        name = str(run.get("name") or "")
        content = {
            "name": f"{slug(name) or 'run'}{mark}",
            "tags": ["loghook"],
            "description": name or None,
            "run_env": run_env(run),
        }
        reply = self._calls.json("POST", f"{experiments}/", content)
        made = listed(reply) if isinstance(reply, Reply) and reply.status in (200, 201) else None
        if isinstance(made, dict) and _number(made.get("id")):
            return Experiment(f"{experiments}/{made['id']}")
        trouble = self._calls.trouble(reply, "making an experiment")
        return trouble if isinstance(trouble, TryLater) else TryLater(trouble.reason)

    def _exchange(self, calls: Calls, job: Job) -> str | Trouble:
        path = f"{self._project}/{job.kind}/{job.id}/ephemeraltoken/"
        reply = calls.plain("POST", path, f"EphemeralToken {self._ephemeral}")
        if isinstance(reply, TryLater):
            return reply
        content = listed(reply) if reply.status in (200, 201) else None
        token = content.get("token") if isinstance(content, dict) else None
        if isinstance(token, str) and token:
            return token
        trouble = calls.trouble(reply, "POLYAXON_SECRET_EPHEMERAL_TOKEN got no token")
        definite = 200 <= reply.status < 500 and reply.status not in (408, 429)
        return Refused(trouble.reason) if definite else trouble

    def _beats(self, said: Said) -> bool:
        """Whether this heartbeat is still worth sending, and the last one is a minute ago."""
        if self._clock() - said.time > STALE or said.time - self._last_beat < HEARTBEAT:
            return False
        self._last_beat = said.time
        return True


def _is_api(reply: Reply) -> bool:
    return not reply.body.strip() or "json" in reply.kind


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
