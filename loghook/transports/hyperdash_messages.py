"""Events as messages of Hyperdash's SDK protocol, version 0.15.3; pure, no I/O.

    event                     messages
    run_started               run_started with the run's name as job_name, then its params as one param
    a record                  its text as `log`, then one `metric` for each number, with the record's time
    params                    param
    heartbeat                 heartbeat
    run_ended                 run_ended: success as it is, all else a failure; before it, as an ERROR log, the
                              exception, or that the run was stopped and by what
    dropped                   an ERROR log that says how many events, why and when
    writer_started, unknown   nothing

What a user of the platform reads is the text of a record: message, traceback, stack. Each text ends with a
newline, as printed output does, so bodies put one after the other are the whole log. A record that came from
a stream has the stream's level (stdout INFO, stderr ERROR); any other is ERROR from logging.ERROR up, else INFO.
An empty message beside metrics is no text. The protocol knows no logger names, steps, extras or files.

NaN and the infinities have no word in the protocol: they become a line of the record's text that names them.
Metrics and params of the names that the SDK gives its own progress (hd_iter_K, hd_iter_K_epochs) are internal.

Most of a log's cost is the request for each message. A body may hold many lines, so texts of one level that
follow one another within a second are joined up to 20480 characters. Their metrics come after the joined
text, in order; texts keep their order among themselves and metrics theirs. A longer text is cut into several
messages, behind a line's end where there is one.

The uuid of a `log` is made from the writer, the offset of its first event and its body: the same text sent
again bears the same uuid, and no other text does. A `metric` has no such thing, and a server that knows
repeats by their content would take two equal values of one millisecond for one: so the second one's message,
but not the value in it, is dated a millisecond later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from .base import Batch
from .hyperdash_words import dropped, last_words, level_of, mapping, milliseconds, numbers, pieces, read, uuid4

__all__ = ["LONGEST_BODY", "Group", "Latest", "Message", "Unreadable", "halves", "messages"]

LONGEST_BODY = 20480
SHORTEST_BODY = 256
WINDOW_MS = 1000
MOST_METRICS = 256
MOST_LATEST = 10_000
INTERNAL = re.compile(r"hd_iter_\d+(_epochs)?")
MORE_TEXT = frozenset(("exception", "stack"))


class Message(NamedTuple):
    """One message, `body` as it is posted but for the run. Times are in milliseconds since the epoch.

    start    where in the log the first event begins that it holds something of
    done     once it and all before it are taken, every event below this offset is on the platform
    events   of how many events it holds the text
    api      which program began the run, in a run_started that tells it
    """

    type: str
    timestamp: int
    payload: dict[str, Any]
    start: int
    done: int = 0
    events: int = 1
    api: str = ""

    def body(self, run: str) -> bytes:
        """The JSON to post, for the uuid of its run. Raises TypeError when the payload is nested too deep."""
        return orjson.dumps(
            {"type": self.type, "timestamp": self.timestamp, "sdk_run_uuid": run, "payload": self.payload}
        )


class Unreadable(NamedTuple):
    """A line that is no event, and why."""

    start: int
    done: int
    reason: str


Group: TypeAlias = "list[Message | Unreadable]"
Latest: TypeAlias = dict[tuple[str, float], int]  # for each metric and value when its last message is dated


def messages(
    batch: Batch, *, after: int = 0, limit: int = LONGEST_BODY, alone: int = 0, latest: Latest | None = None
) -> Iterator[Group]:
    """The messages of a batch in the order in which they are to be sent, in groups of one or more; made when asked for.

    Events that begin before the offset `after` are left out. No body is longer than `limit` characters. Texts of
    events that begin before the offset `alone` are not joined. `latest` is kept by the caller, one for each run.
    """
    latest = {} if latest is None else latest
    if len(latest) > MOST_LATEST:
        latest.clear()
    body, offset = batch.body, batch.offset
    group = _Records(batch, limit, latest)
    # The listener's hot loop. Measured for a record of one line, request included: 2.8 us, of which orjson takes 0.3,
    # finding the line 0.3, and Python's looks into the record the rest. A number is a message of its own: 11 us, here
    # and in the transport, beside 400 us for its request.
    for _, start, end in batch.events():
        if start < after:
            continue
        event, reason = read(body[start - offset : end - offset])
        if event is not None and "event" not in event:
            record = _record(event, start, end)
            if group.records and (start < alone or not group.fits(record)):
                if made := group.messages():
                    yield made
                group = _Records(batch, limit, latest)
            group.add(record)
            continue
        if made := group.messages():
            yield made
        group = _Records(batch, limit, latest)
        if event is None:
            yield [Unreadable(start, end, reason)]
        elif told := _of_event(event, _Source(batch.run, batch.writer, start, milliseconds(event)), limit):
            told[-1] = told[-1]._replace(done=end)
            yield list(told)
    if made := group.messages():
        yield made


def halves(message: Message) -> tuple[Message, Message] | None:
    """A log in two, for a platform that takes only smaller ones; None for what is short already, or no log."""
    body = message.payload.get("body", "")
    if message.type != "log" or len(body) <= SHORTEST_BODY:
        return None
    middle = len(body) // 2
    first, second = (
        {**message.payload, "uuid": uuid4(message.payload["uuid"], part), "body": part}
        for part in (body[:middle], body[middle:])
    )
    return message._replace(payload=first, done=0), message._replace(payload=second)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where messages come from: an event of a writer's log, and its time in milliseconds."""

    run: str
    writer: str
    start: int
    time: int

    def message(self, kind: str, **payload: Any) -> Message:
        return Message(kind, self.time, payload, self.start)

    def logs(self, level: str, text: str, limit: int, events: int = 1) -> list[Message]:
        made = []
        for number, piece in enumerate(pieces(text, limit)):
            name = uuid4(self.run, self.writer, str(self.start), str(number), level, piece)
            made.append(self.message("log", uuid=name, level=level, body=piece)._replace(events=events))
        return made

    def params(self, params: dict[str, Any]) -> list[Message]:
        internal = {name: value for name, value in params.items() if _is_internal(name)}
        others = {name: value for name, value in params.items() if name not in internal}
        parts = ((others, False), (internal, True))
        return [self.message("param", params=part, is_internal=kind) for part, kind in parts if part]


class _Record(NamedTuple):
    """What of a record the platform gets."""

    start: int
    end: int
    time: int
    level: str
    text: str
    metrics: Sequence[tuple[str, float]]


def _record(event: dict[str, Any], start: int, end: int) -> _Record:
    metrics, odd = numbers(event["metrics"]) if "metrics" in event else ((), ())
    text = event.get("message") or ""
    if odd or not MORE_TEXT.isdisjoint(event) or not isinstance(text, str):
        parts = (text, *odd, event.get("exception"), event.get("stack"))
        text = "\n".join(part if isinstance(part, str) else str(part) for part in parts if part)
    if not text.endswith("\n") and (text or not (event.get("metrics") or event.get("extra"))):
        text += "\n"
    return _Record(start, end, milliseconds(event), level_of(event), text, metrics)


class _Records:
    """Records that follow one another: their text in one log, then their metrics."""

    def __init__(self, batch: Batch, limit: int, latest: Latest) -> None:
        self.records: list[_Record] = []
        self._batch = batch
        self._limit = limit
        self._latest = latest
        self._level = ""
        self._length = 0
        self._metrics = 0

    def fits(self, record: _Record) -> bool:
        """Whether a record may join those that are here."""
        if abs(record.time - self.records[0].time) > WINDOW_MS or self._metrics >= MOST_METRICS:
            return False
        if not record.text:
            return True
        return self._level in ("", record.level) and self._length + len(record.text) <= self._limit

    def add(self, record: _Record) -> None:
        self.records.append(record)
        self._metrics += len(record.metrics)
        if record.text:
            self._length += len(record.text)
            self._level = record.level

    def messages(self) -> Group:
        """The messages; each says how far all is on the platform once it is taken: up to what comes next."""
        made: Group = []
        points = [(record, name, value) for record in self.records if record.metrics for name, value in record.metrics]
        ends = [*(record.start for record, _, _ in points), self.records[-1].end if self.records else 0]
        with_text = [record for record in self.records if record.text]
        if with_text:
            text, first = "".join([record.text for record in with_text]), with_text[0]
            source = _Source(self._batch.run, self._batch.writer, first.start, first.time)
            *parts, last = source.logs(self._level, text, self._limit, len(with_text))
            made += [*parts, last._replace(done=ends[0])]
        made += map(self._metric, points, ends[1:])
        return made

    def _metric(self, point: tuple[_Record, str, float], end: int) -> Message:
        record, name, value = point
        time = max(record.time, self._latest.get((name, value), record.time - 1) + 1)
        self._latest[name, value] = time
        payload = {"name": name, "timestamp": record.time, "value": value, "is_internal": _is_internal(name)}
        return Message("metric", time, payload, record.start, end)


def _is_internal(name: str) -> bool:
    return name.startswith("hd_iter_") and INTERNAL.fullmatch(name) is not None


def _of_event(event: dict[str, Any], source: _Source, limit: int) -> list[Message]:
    """The messages of an event that is no record."""
    match event["event"]:
        case "run_started":
            run = mapping(event.get("run"))
            begun = source.message("run_started", job_name=str(run.get("name") or source.run))
            return [begun._replace(api=str(run.get("api") or "")), *source.params(mapping(run.get("params")))]
        case "params":
            return source.params(mapping(event.get("params")))
        case "heartbeat":
            return [source.message("heartbeat")]
        case "run_ended":
            status = "success" if event.get("status") == "success" else "failure"
            text = last_words(event)
            said = source.logs("ERROR", text, limit) if text else []
            return [*said, source.message("run_ended", final_status=status)]
        case "dropped":
            return source.logs("ERROR", dropped(event), limit)
    return []
