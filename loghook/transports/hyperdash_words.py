"""What in an event becomes text, level, number, time and uuid for Hyperdash; pure."""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import orjson

__all__ = [
    "dropped",
    "last_words",
    "level_of",
    "mapping",
    "milliseconds",
    "numbers",
    "pieces",
    "read",
    "run_uuid",
    "uuid4",
]

HEX = re.compile(r"[0-9a-fA-F]{32}")


@functools.lru_cache(maxsize=16)  # it goes with each message, and took 3 us
def run_uuid(run: str) -> str:
    """The uuid4 that stands for a run id: its own 32 hex digits, the version's bits set, else made from the id."""
    if HEX.fullmatch(run):
        return str(uuid.UUID(hex=run, version=4))
    return uuid4("run", run)


def last_words(event: dict[str, Any]) -> str:
    """What is to be said of a run's end beyond its final status."""
    reason = f" ({event['reason']})" if event.get("reason") else ""
    stopped = f"The run was stopped{reason}." if event.get("status") == "stopped" else ""
    parts = [str(part).rstrip("\n") for part in (event.get("exception"), stopped) if part]
    return "\n".join(parts) + "\n" if parts else ""


def dropped(event: dict[str, Any]) -> str:
    """What is to be said of events that were dropped: how many, why and when."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in mapping(event.get("dropped")).items())
    times = [_iso(event.get(name)) for name in ("since", "until")]
    span = f", from {times[0]} to {times[1]}" if all(times) else ""
    return f"loghook dropped events ({reasons}){span}\n"


def _iso(value: object) -> str:
    try:
        return datetime.fromtimestamp(float(str(value)), timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return ""


def read(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The event on a line, or why it is none."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, f"not an event: {error}"
    if not isinstance(event, dict):
        return None, "not an event: no JSON object"
    time = event.get("time")
    if not isinstance(time, (float, int)) or isinstance(time, bool) or abs(time) > 1e15:
        return None, "not an event: it has no time"
    return event, ""


def milliseconds(event: dict[str, Any]) -> int:
    """An event's time in milliseconds since the epoch."""
    return round(float(event["time"]) * 1000)


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def numbers(metrics: object) -> tuple[list[tuple[str, float]], list[str]]:
    """The numbers that the protocol has words for, and a line for each other value."""
    finite: list[tuple[str, float]] = []
    odd: list[str] = []
    for name, value in mapping(metrics).items():
        if isinstance(value, (int, float)) and math.isfinite(value):
            finite.append((name, float(value)))
        else:
            odd.append(f"{name}: {value} (not sent as a metric, since Hyperdash takes finite numbers only)")
    return finite, odd


def level_of(event: dict[str, Any]) -> str:
    """Which of the protocol's two levels a record has."""
    if "stream" in event and event["stream"] in ("stdout", "stderr"):
        return "ERROR" if event["stream"] == "stderr" else "INFO"
    name = event.get("level")
    number = name if isinstance(name, int) else logging.getLevelName(str(name))
    if not isinstance(number, int):  # what logging calls a level that has no name: Level 45
        digits = str(name).removeprefix("Level ")
        number = int(digits) if digits.isdecimal() and len(digits) < 10 else 0
    return "ERROR" if number >= logging.ERROR else "INFO"


def pieces(text: str, limit: int) -> Iterator[str]:
    """The text in pieces of at most `limit` characters, cut behind the last line's end that fits, if one does."""
    start = 0
    while len(text) - start > limit:
        end = text.rfind("\n", start, start + limit) + 1 or start + limit
        yield text[start:end]
        start = end
    yield text[start:]


def uuid4(*parts: str) -> str:
    """A uuid4 in its form, made from what it stands for."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))
