"""One question to Polyaxon 2: the params of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...job import Job
from ..address import Address
from ..base import TryLater
from .access import with_tokens
from .calls import Calls, listed

if TYPE_CHECKING:
    from ...credentials import KeySource

__all__ = ["inputs"]


def inputs(job: Job, keys: KeySource, environ: Mapping[str, str], *, timeout: float) -> dict[str, Any] | str:
    """The params of a run of 2.x by name, or why they can't be had. Waits for `timeout` seconds, about.

    Raises ConfigurationError when the job's address is none.
    """
    calls = Calls(Address.parse(job.host), with_tokens(keys, environ, job.host), timeout=timeout, needs_token=False)
    try:
        reply = calls.json("GET", f"/api/v1/{job.owner}/{job.project}/runs/{job.id}")
        if isinstance(reply, TryLater):
            return reply.reason
        content = listed(reply)
        if reply.status != 200 or not isinstance(content, dict):
            return calls.trouble(reply, "looking up the run").reason
        found = content.get("inputs")
        return found if isinstance(found, dict) else {}
    finally:
        calls.close()
