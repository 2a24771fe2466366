"""What a batch says to an experiment of Polyaxon 0.x, as requests. Pure.

A point has no step there: one that was given travels as a further value, `step`, beside the others, as in that client's
own examples. A number that is not finite ends a request there, so it is told in the log instead. Jobs and builds have
no metrics and no params: their metrics are told in the log too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .events import Said, moment, stamp

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

    def requests(self, said: Iterable[Said]) -> list[Request]:
        """The requests that tell some events: how it began, params, metrics, log, and how it ended."""
        points, lines = _Lists("metrics/"), _Lists("logs/")
        params: dict[str, Any] = {}
        starts: list[int] = []
        begin: list[Request] = []
        end: list[Request] = []
        has_metrics = self.has_metrics
        # The other half of the listener's hot loop, 1.6 us a point: 0.5 us its date, 0.4 us the objects that become
        # JSON, 0.2 us the JSON itself, made by orjson for 500 points at once.
        for one in said:
            left = ""
            if one.points:
                values, left = _values(one, has_metrics)
                if values:
                    item = {"values": values, "created_at": stamp(one.time)}
                    points.add(one.start, item, 64 + 32 * len(values))
            if one.text is not None and not (self.managed and one.stream):
                lines.add(one.start, line := _line(one, one.text), len(line))
            if left:
                lines.add(one.start, line := _line(one, left), len(line))
            if has_metrics and one.params:
                params.update(one.params)
                starts.append(one.start)
            if has_metrics and one.run is not None:
                begin += _beginning(one)
            if one.status is not None and not self.managed:
                (begin if one.status == "running" else end).append(_status(one))
        changed = [Request("PATCH", "", {"params": params, "merge": True}, starts)] if params else []
        return [*begin, *changed, *points.requests, *lines.requests, *end]


class _Lists:
    """Requests with lists of a bearable length."""

    def __init__(self, path: str) -> None:
        self.requests: list[Request] = []
        self._path = path
        self._room = 0
        self._starts: list[int] = []
        self._content: list[Any] = []

    def add(self, start: int, item: Any, size: int) -> None:
        """Puts an item of the event at `start` into the last list, or where that is full into a new one."""
        if size > self._room or len(self._starts) >= MOST_ITEMS:
            self._starts, self._content, self._room = [], [], LARGEST_LIST
            self.requests.append(Request("POST", self._path, self._content, self._starts))
        self._content.append(item)
        self._starts.append(start)
        self._room -= size


def _status(said: Said) -> Request:
    message, trace = said.message[:LONGEST_TEXT] or None, said.trace[:LONGEST_TEXT] or None
    content = {"status": said.status, "message": message, "traceback": trace}
    return Request("POST", "statuses/", content, [said.start])


def _beginning(said: Said) -> list[Request]:
    run = said.run or {}
    requests = [Request("PATCH", "", {"run_env": run_env(run)}, [said.start])]
    git = run.get("git")
    if isinstance(git, dict) and git.get("commit"):
        head, branch = str(git["commit"]), git.get("branch")
        coderef = {"commit": head, "head": head, "branch": branch, "git_url": None, "is_dirty": bool(git.get("dirty"))}
        requests.append(Request("POST", "coderef/", coderef, [said.start]))
    return requests


def run_env(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform keeps of a run's surroundings, under the names that its own client uses."""
    names = {"host": "hostname", "pid": "pid", "rank": "rank", "argv": "sys.argv", "python": "python_version"}
    return {theirs: run[ours] for ours, theirs in names.items() if ours in run}


def _values(said: Said, has_metrics: bool) -> tuple[Mapping[str, float], str]:
    """What goes as metrics, with the step if it has one, and what can only be told in the log."""
    values, step, left = said.points, said.step, ""
    if not (has_metrics and said.is_finite):
        values = {name: value for name, value in values.items() if has_metrics and math.isfinite(value)}
        left = ", ".join(f"{name} = {value!r}" for name, value in said.points.items() if name not in values)
        left += f" at step {step:g}" if left and step is not None else ""
    if values and step is not None and "step" not in values:
        values = {**values, "step": step}
    return values, left


def _line(said: Said, text: str) -> str:
    return f"{moment(said.time)} UTC {said.level or 'INFO'} -- {text}"
