"""What a batch says to an experiment of Polyaxon 0.x, as requests. Pure.

A point has no step there: one that was given travels as a further value, `step`, beside the others, as in that client's
own examples. A number that is not finite ends a request there, so it is told in the log instead. Jobs and builds have
no metrics and no params: their metrics are told in the log too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .events import Said, stamp

__all__ = ["Experiment", "Request", "run_env"]

MOST_ITEMS = 500
LARGEST_LIST = 256 * 1024
LONGEST_TEXT = 60_000


@dataclass(slots=True)
class Request:
    """A request to come: below the run's path, with the events that it is from. A list can be cut in two."""

    method: str
    path: str
    content: Any
    starts: list[int]

    def halves(self) -> tuple[Request, Request]:
        """Two requests of half the list each."""
        middle = len(self.starts) // 2
        return (
            Request(self.method, self.path, self.content[:middle], self.starts[:middle]),
            Request(self.method, self.path, self.content[middle:], self.starts[middle:]),
        )


@dataclass(frozen=True, slots=True)
class Experiment:
    """Where events go: `path` of the API. `managed`: Polyaxon leads its life, and shows its stdout by itself."""

    path: str
    managed: bool = False

    @property
    def has_metrics(self) -> bool:
        """Whether it is no job and no build."""
        return "/experiments/" in self.path

    def requests(self, said: list[Said]) -> list[Request]:
        """The requests that tell some events: how it began, params, metrics, log, and how it ended."""
        points: list[tuple[int, Any]] = []
        lines: list[tuple[int, Any]] = []
        params: dict[str, Any] = {}
        begin: list[Request] = []
        end: list[Request] = []
        for one in said:
            values, left = _values(one, self.has_metrics)
            if values:
                points.append((one.start, {"values": values, "created_at": stamp(one.time)}))
            if one.text is not None and not (self.managed and one.stream):
                lines.append((one.start, _line(one, one.text)))
            if left:
                lines.append((one.start, _line(one, left)))
            if self.has_metrics:
                params.update(one.params)
                begin += _beginning(one)
            if one.status is not None and not self.managed:
                (begin if one.status == "running" else end).append(_status(one))
        starts = [one.start for one in said if one.params]
        changed = [Request("PATCH", "", {"params": params, "merge": True}, starts)] if params else []
        return [*begin, *changed, *_lists("metrics/", points), *_lists("logs/", lines), *end]


def _status(said: Said) -> Request:
    message, trace = said.message[:LONGEST_TEXT] or None, said.trace[:LONGEST_TEXT] or None
    content = {"status": said.status, "message": message, "traceback": trace}
    return Request("POST", "statuses/", content, [said.start])


def _beginning(said: Said) -> list[Request]:
    if said.run is None:
        return []
    requests = [Request("PATCH", "", {"run_env": run_env(said.run)}, [said.start])]
    git = said.run.get("git")
    if isinstance(git, dict) and git.get("commit"):
        head, branch = str(git["commit"]), git.get("branch")
        coderef = {"commit": head, "head": head, "branch": branch, "git_url": None, "is_dirty": bool(git.get("dirty"))}
        requests.append(Request("POST", "coderef/", coderef, [said.start]))
    return requests


def run_env(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform keeps of a run's surroundings, under the names that its own client uses."""
    names = {"host": "hostname", "pid": "pid", "rank": "rank", "argv": "sys.argv", "python": "python_version"}
    return {theirs: run[ours] for ours, theirs in names.items() if ours in run}


def _values(said: Said, has_metrics: bool) -> tuple[dict[str, float], str]:
    """What goes as metrics, with the step if it has one, and what can only be told in the log."""
    values = {name: value for name, value in said.points.items() if has_metrics and math.isfinite(value)}
    rest = ", ".join(f"{name} = {value!r}" for name, value in said.points.items() if name not in values)
    at = f" at step {said.step:g}" if said.step is not None and rest else ""
    if values and said.step is not None:
        values.setdefault("step", said.step)
    return values, f"{rest}{at}" if rest else ""


def _line(said: Said, text: str) -> str:
    return f"{stamp(said.time)[:19]} UTC {said.level or 'INFO'} -- {text}"


def _lists(path: str, items: list[tuple[int, Any]]) -> list[Request]:
    """Lists of a bearable length."""
    requests: list[Request] = []
    room = 0
    for start, item in items:
        need = len(item) if isinstance(item, str) else 64 + 32 * len(item["values"])
        if not requests or len(requests[-1].starts) >= MOST_ITEMS or need > room:
            requests.append(Request("POST", path, [], []))
            room = LARGEST_LIST
        requests[-1].content.append(item)
        requests[-1].starts.append(start)
        room -= need
    return requests
