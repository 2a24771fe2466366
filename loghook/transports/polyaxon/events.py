"""What a batch says, in the words that both generations of Polyaxon have: lines, points, params, starts and ends.

Pure. A line that is no event is named with the reason; an event of a kind that nobody knows says nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from ..base import Batch

__all__ = ["Said", "clean", "number", "say", "stamp"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST, LAST = -62_135_596_800, 253_402_300_799  # the years 1 and 9999, in which a date can be written
STATUSES = {"success": "succeeded", "failure": "failed", "stopped": "stopped"}
ODD = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(slots=True)
class Said:
    """One event. What it does not say is None or empty.

    start    where in the log it begins; `line` is its number in the batch
    time     epoch seconds
    text     for the log: the message, and what else the record had, tracebacks on lines of their own
    level    the record's level; `logger` its logger's name
    points   name to value, NaN and the infinities included; `step` goes with them
    params   what to add to the run's params
    run      the run that begins, as run_started has it; `writer` likewise, of writer_started
    status   `running`, `succeeded`, `failed`, `stopped`; `message` and `trace` go with it
    """

    start: int
    line: int
    time: float
    text: str | None = None
    level: str = ""
    logger: str = ""
    points: dict[str, float] = field(default_factory=dict)
    step: float | None = None
    params: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] | None = None
    writer: dict[str, Any] | None = None
    status: str | None = None
    message: str = ""
    trace: str = ""
    stream: str = ""
    beat: bool = False
    error: str = ""


def say(batch: Batch, *, since: int = 0) -> Iterator[Said]:
    """Yield what each event of a batch says that does not begin before the offset `since`; `error` where it is none."""
    for line, start, end in batch.events():
        if start < since:
            continue
        try:
            event = orjson.loads(batch.body[start - batch.offset : end - batch.offset])
        except ValueError as error:
            yield Said(start, line, 0.0, error=f"no JSON: {error}")
            continue
        if isinstance(event, dict):
            yield _said(Said(start, line, _time(event.get("time"))), event)
        else:
            yield Said(start, line, 0.0, error="no JSON object")


def _said(said: Said, event: Mapping[str, Any]) -> Said:
    kind = event.get("event")
    if kind is None:
        _record(said, event)
    elif kind == "run_started":
        said.run = _mapping(event.get("run"))
        said.params = _mapping(said.run.get("params"))
        said.status, said.message = "running", "Run is running"
    elif kind == "writer_started":
        said.writer = _mapping(event.get("writer"))
    elif kind == "params":
        said.params = _mapping(event.get("params"))
    elif kind == "run_ended":
        _end(said, event)
    elif kind == "dropped":
        counts = ", ".join(f"{count} ({reason})" for reason, count in _mapping(event.get("dropped")).items())
        said.text, said.level, said.logger = f"events were dropped: {counts}", "WARNING", "loghook"
    elif kind == "heartbeat":
        said.beat = True
    return said


def _record(said: Said, event: Mapping[str, Any]) -> None:
    for name, value in _mapping(event.get("metrics")).items():
        point = number(value)
        if point is not None:
            said.points[name] = point
    step = number(event.get("step"))
    said.step = step if step is not None and math.isfinite(step) else None
    said.level = str(event.get("level") or "INFO")
    said.logger = str(event.get("logger") or "-")
    said.stream = str(event.get("stream") or "")
    message, extra = str(event.get("message") or ""), _mapping(event.get("extra"))
    traces = [str(event[key]) for key in ("exception", "stack") if event.get(key)]
    if message or extra or traces or not said.points:
        more = f" {json.dumps(extra, ensure_ascii=False)}" if extra else ""
        said.text = "\n".join([f"{message}{more}", *traces])


def _end(said: Said, event: Mapping[str, Any]) -> None:
    said.status = STATUSES.get(str(event.get("status")), "failed")
    said.trace = str(event.get("exception") or "")
    last = said.trace.rstrip().rpartition("\n")[2]
    said.message = last or str(event.get("reason") or "") or f"Run has {said.status}"


def number(value: object) -> float | None:
    """The number that an event's value stands for, None for what is none."""
    if isinstance(value, str):
        return ODD.get(value)
    return value if isinstance(value, int | float) else None


def stamp(time: float, separator: str = " ") -> str:
    """Epoch seconds as `2026-11-21 17:07:00.857426+00:00`, always with microseconds."""
    return (EPOCH + timedelta(microseconds=round(time * 1e6))).isoformat(separator, "microseconds")


def clean(value: Any) -> Any:
    """A copy of a JSON value that strict JSON and any database can hold: null for NaN, no NUL, no half characters."""
    if isinstance(value, str):
        return value.replace("\0", "\u2400").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(one) for key, one in value.items()}
    return [clean(one) for one in value] if isinstance(value, list | tuple) else value


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _time(value: object) -> float:
    time = number(value)
    return time if time is not None and FIRST <= time <= LAST else 0.0
