"""One message of Hyperdash's SDK protocol (version 0.15.3) as event lines; pure.

    message         events
    run_started     run_started; job_name is the run's name
    log             a record for each line; of a line that "\\r" wrote over again and again, what it showed last
    metric          a record with the metric, at the metric's own time; its step is counted where it is stored
    param           params
    heartbeat       heartbeat
    run_ended       run_ended; user_canceled, which the SDK says after Ctrl-C, is stopped

What is internal (the SDK's own `hd_iter_0`, say) is told in an event before it. The run's id is the uuid without its
dashes. Times come in milliseconds. NaN and the infinities are taken, as Python's json writes them.

A message is known again by its type, its time and its content; a log has a uuid in it. Two equal messages of the same
millisecond are taken for one, because the SDK sends a message again whose answer it did not get.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from loghook.server.compat.lines import lines, plain

__all__ = ["Malformed", "Message", "read"]

Event = dict[str, Any]

RUN = re.compile(r"[0-9A-Za-z]{1,128}")
LONGEST_TIME = 1e14
"""Milliseconds; some three thousand years."""
STREAMS = {"INFO": "stdout", "ERROR": "stderr"}
ENDINGS = {"success": "success", "failure": "failure", "user_canceled": "stopped"}
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
DIGEST_BYTES = 16


class Malformed(ValueError):
    """No message of the protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was understood.

    run: the run's id. time: when it was made, epoch seconds. lines: its events, as lines. digest: what tells it from
    all others of its run; None for a heartbeat, which may come twice.
    """

    run: str
    time: float
    lines: bytes
    digest: bytes | None


def read(body: bytes) -> Message:
    """Return the message in the body of a request. Raises Malformed."""
    try:
        content = json.loads(body, parse_constant=str)
        _need(isinstance(content, dict), "the body is no JSON object")
        return _message(content)
    except Malformed:
        raise
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None


def _message(content: Event) -> Message:
    kind, payload = content.get("type"), content.get("payload")
    convert = KINDS.get(kind) if isinstance(kind, str) else None
    if convert is None:
        raise Malformed("type is none of " + ", ".join(KINDS))
    _need(isinstance(payload, dict), "payload is no object")
    run = str(content.get("sdk_run_uuid") or "").replace("-", "").lower()
    _need(RUN.fullmatch(run) is not None, "sdk_run_uuid is no uuid")
    time = _seconds(content.get("timestamp"))
    events = list(convert(plain(payload), time))
    return Message(run, time, lines(events), None if kind == "heartbeat" else _digest(content))


def _run_started(payload: Event, time: float) -> Iterator[Event]:
    yield {"time": time, "event": "run_started", "run": {"name": _text(payload, "job_name")}}


def _log(payload: Event, time: float) -> Iterator[Event]:
    level, body = _text(payload, "level"), _text(payload, "body")
    stream = STREAMS.get(level, "stdout")
    lines = body.split("\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        # What a terminal shows of a line that went back to its beginning.
        shown = line.rstrip("\r").rpartition("\r")[2]
        yield {"time": time, "level": level, "logger": stream, "message": shown, "stream": stream}


def _metric(payload: Event, time: float) -> Iterator[Event]:
    name, value = _text(payload, "name"), payload.get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _need(is_number or value in NOT_FINITE, "value is no number")
    at = _seconds(payload["timestamp"]) if "timestamp" in payload else time
    yield from _internal(payload, time, "metrics", [name])
    yield {"time": at, "level": "INFO", "logger": "hyperdash", "message": "", "metrics": {name: value}}


def _param(payload: Event, time: float) -> Iterator[Event]:
    params = payload.get("params")
    if not isinstance(params, dict):
        raise Malformed("params is no object")
    yield from _internal(payload, time, "params", list(params))
    yield {"time": time, "event": "params", "params": params}


def _internal(payload: Event, time: float, kind: str, names: list[str]) -> Iterator[Event]:
    if payload.get("is_internal") is True:
        yield {"time": time, "event": "internal", "internal": {kind: names}}


def _heartbeat(payload: Event, time: float) -> Iterator[Event]:
    yield {"time": time, "event": "heartbeat"}


def _run_ended(payload: Event, time: float) -> Iterator[Event]:
    said = _text(payload, "final_status")
    ended = {"time": time, "event": "run_ended", "status": ENDINGS.get(said, "failure")}
    yield ended if said in ("success", "failure") else {**ended, "reason": said}


KINDS: dict[str, Callable[[Event, float], Iterator[Event]]] = {
    "run_started": _run_started,
    "log": _log,
    "metric": _metric,
    "param": _param,
    "heartbeat": _heartbeat,
    "run_ended": _run_ended,
}


def _need(condition: bool, sentence: str) -> None:
    if not condition:
        raise Malformed(sentence)


def _text(payload: Event, name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name} is no string")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < LONGEST_TIME:
        raise Malformed("timestamp is no number of milliseconds since the epoch")
    return value / 1000


def _digest(content: Event) -> bytes:
    told = json.dumps([content["type"], content["timestamp"], content["payload"]], sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=DIGEST_BYTES).digest()
