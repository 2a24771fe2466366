"""Event lines, parsed and checked; pure: bytes in, a `Parsed` out.

A body is newline-delimited JSON. A line that cannot be stored (no JSON, no object, a wrong type where the store needs
a right one, too long) is set aside with its reason and the rest goes on. Whatever is merely odd is kept: a record's
line is stored as it came, and `present` sorts it into fields when it is read.
"""

from __future__ import annotations

import re
from itertools import islice
from math import nan
from typing import Any

import orjson

from loghook.server import alike
from loghook.server.levels import LEVELS, level_number
from loghook.server.parsed import Parsed, Points, SetAside
from loghook.server.present import DEEPEST, searched, writable

__all__ = ["MAX_LINE", "MOST_NAMES", "parse", "refused"]

MAX_LINE = 4 * 1024 * 1024
"""Bytes in one line; a longer one is set aside."""
MOST_NAMES = 100_000
"""Names of metrics in one line, and in one batch."""
LONG_LINE = 4 * MOST_NAMES
"""A shorter line cannot have so many names."""
KEPT_OF_BAD_LINE = 64 * 1024

# Lines are taken in slices, so that a body of very many tiny lines never stands in memory as that many objects. What is
# made of a slice of so many is gone again before Python looks for circles among new objects, which it does after 700:
# with 1,000 lines that took 0.3 us a record, and 0.5 us with eight batches at once.
SLICE = 200

NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

SKIPPED: Any = object()


# Escapes that the text search would miss, because it looks for text as orjson writes it.
FOREIGN_ESCAPE = re.compile(r"\\(?:u(?!00[01])|/)")


class BadLine(ValueError):
    """A line that cannot be stored; the message is the reason."""


def parse(body: bytes) -> Parsed:
    """Parse whole lines, in order. Raises nothing: what is wrong with a line is in `set_aside`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        # The broken lines fail on their own below: orjson takes no lone surrogate.
        text = body.decode(errors="surrogateescape")
    lines = text.split("\n")
    lines.pop()
    parsed = Parsed()
    rows = iter(lines)
    start = 0
    while part := list(islice(rows, SLICE)):
        _parse_slice(part, start, parsed)
        start += len(part)
    return parsed


# The hot loop of the server. Measured in processor time, on two cores that had much else to do, with 230-byte records
# of two metrics: 1.6 us a record, 0.75 of them orjson's, 0.5 those of `alike`, 0.1 for cutting the body into lines; 2.3
# where each line is looked at by itself. The thread that stores takes 3.1 us more (the words of the log 1.1 us, its
# rows 0.9, most of that SQLite's own, points and totals 0.3 a metric, the rest the flushed commit), HTTP and gzip 0.7.
# With one metric that makes 180,000 records/s of one core from one writer and 160,000 from 64.
def _parse_slice(lines: list[str], start: int, parsed: Parsed) -> None:
    lines, events = _loaded(lines, start, parsed)
    if max(map(len, lines)) <= LONG_LINE and alike.take(lines, events, parsed):
        return
    for index, line, event in zip(range(start, start + len(lines)), lines, events, strict=True):
        if event is SKIPPED:
            continue
        try:
            time = _time(event)
            if "event" in event:
                parsed.events.append((index, _checked_event(event)))
            else:
                _take(event, time, line, parsed)
        except ValueError as error:
            parsed.set_aside.append(_bad(index, str(error), line))
            continue
        if time > parsed.latest:
            parsed.latest = time
        if time < parsed.earliest:
            parsed.earliest = time


def _take(event: dict[str, Any], time: float, line: str, parsed: Parsed) -> None:
    """Takes a record; checks come first, so that a bad line leaves nothing behind."""
    level = event.get("level", "INFO")
    number = LEVELS.get(level) if type(level) is str else None
    if number is None:
        number = level_number(level)
    logger = event.get("logger", "root")
    text = event.get("message", "")
    if type(logger) is not str or type(text) is not str:
        raise BadLine("logger and message must be strings")
    metrics = event.get("metrics")
    if metrics:
        if type(metrics) is not dict:
            raise BadLine("metrics must be an object")
        if len(line) > LONG_LINE and _count(metrics) > MOST_NAMES:
            raise BadLine(f"metrics of more than {MOST_NAMES} names")
        step = event.get("step")
        if step is not None and type(step) is not int:
            step = _step(step)
        points = parsed.points
        for name, value in metrics.items():
            if type(value) is not float:
                _add_odd(points, name, step, time, value)
                continue
            found = points.get(name)
            if found is None:
                found = points[name] = Points()
            found.add(step, time, value)
    parsed.records.add(number, logger, line, searched(event) if "exception" in event else text)


def _loaded(lines: list[str], start: int, parsed: Parsed) -> tuple[list[str], list[Any]]:
    """The lines and what each holds; SKIPPED for a line that is blank or was set aside."""
    try:
        text = "".join(lines)
        # Looking for one character first is a tenth of the work, and most slices have none.
        if len(text) <= MAX_LINE and not ("\\" in text and FOREIGN_ESCAPE.search(text)):
            return lines, list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        pass  # one of them is bad or blank: look at each below
    kept: list[str] = []
    events: list[Any] = []
    for index, line in enumerate(lines, start):
        event = SKIPPED
        if line and not line.isspace():
            try:
                line, event = _one(line)
            except BadLine as error:
                parsed.set_aside.append(_bad(index, str(error), line))
        kept.append(line)
        events.append(event)
    return kept, events


def _one(line: str) -> tuple[str, Any]:
    if len(line) > MAX_LINE:
        raise BadLine(f"longer than {MAX_LINE} bytes")
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error.msg}") from None
    if FOREIGN_ESCAPE.search(line) and writable(event):
        line = orjson.dumps(event).decode()
    return line, event


def _bad(index: int, reason: str, line: str) -> SetAside:
    raw = line.encode(errors="surrogateescape")
    return SetAside(index, reason, raw[:KEPT_OF_BAD_LINE], len(raw))


KINDS = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def refused(index: int, event: dict[str, Any], reason: str) -> SetAside:
    """Return what is kept of an event that was parsed and then could not be stored."""
    return _bad(index, reason, orjson.dumps(event).decode())


def _kind(value: object) -> str:
    return KINDS.get(type(value), "a number")


def _time(event: Any) -> float:
    """The time of an event; NaN, which is neither early nor late, where it needs none."""
    if type(event) is not dict:
        raise BadLine(f"not an object but {_kind(event)}")
    value = event.get("time")
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if value is None and event.get("event") == "dropped":
        return nan  # what stands for a torn line in a dead writer's spool
    raise BadLine("no time" if value is None else f"time must be a number, not {_kind(value)}")


def _step(value: object) -> float | None:
    """A step that is no integer: kept when it is a number, else the metric counts by itself."""
    return value if type(value) is float else None


def _count(metrics: dict[str, Any], depth: int = 0) -> int:
    inner = (one for one in metrics.values() if isinstance(one, dict))
    return len(metrics) + (sum(_count(one, depth + 1) for one in inner) if depth < DEEPEST else 0)


def _add_odd(
    points: dict[str, Points], name: str, step: float | None, time: float, value: object, depth: int = 0
) -> None:
    """Adds values that are no floats: integers, booleans, NaN and infinities as strings, nested names."""
    if isinstance(value, dict):
        for inner, one in value.items():
            if depth < DEEPEST:
                _add_odd(points, f"{name}/{inner}", step, time, one, depth + 1)
        return
    number = NOT_FINITE.get(value) if isinstance(value, str) else value
    if not isinstance(number, int | float):
        return  # no number: it stays visible in the record's line
    points.setdefault(name, Points()).add(step, time, float(number))


# The events of a run's life, and the key that must be an object in each.
BODIES = {
    "run_started": "run",
    "writer_started": "writer",
    "params": "params",
    "dropped": "dropped",
    "internal": "internal",
    "described": "run",
}
ENDINGS = ("success", "failure", "stopped")


def _checked_event(event: dict[str, Any]) -> dict[str, Any]:
    kind = event["event"]
    if kind == "run_ended":
        if event.get("status") not in ENDINGS:
            raise BadLine("a run ends with the status success, failure or stopped")
    elif isinstance(kind, str) and kind in BODIES:
        if not isinstance(event.get(BODIES[kind]), dict):
            raise BadLine(f"{kind} needs an object {BODIES[kind]!r}")
    elif kind != "heartbeat":
        raise BadLine("an event that this server does not know" if isinstance(kind, str) else "event must be a string")
    if not writable(event):
        raise BadLine("nested too deeply")
    return event
