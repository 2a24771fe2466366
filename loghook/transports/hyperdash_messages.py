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
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

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


@dataclass(frozen=True, slots=True)
class Message:
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


@dataclass(frozen=True, slots=True)
class Unreadable:
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
    group = _Records(batch, limit, latest)
    for _, start, end in batch.events():
        if start < after:
            continue
        event, reason = read(batch.body[start - batch.offset : end - batch.offset])
        if event is not None and "event" not in event:
            record = _Record.of(event, start, end)
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
            told[-1] = replace(told[-1], done=end)
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
    return replace(message, payload=first, done=0), replace(message, payload=second)


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
            made.append(replace(self.message("log", uuid=name, level=level, body=piece), events=events))
        return made

    def params(self, params: dict[str, Any]) -> list[Message]:
        internal = {name: value for name, value in params.items() if INTERNAL.fullmatch(name)}
        others = {name: value for name, value in params.items() if name not in internal}
        parts = ((others, False), (internal, True))
        return [self.message("param", params=part, is_internal=kind) for part, kind in parts if part]


@dataclass(frozen=True, slots=True)
class _Record:
    """What of a record the platform gets."""

    start: int
    end: int
    time: int
    level: str
    text: str
    metrics: list[tuple[str, float]]

    @classmethod
    def of(cls, event: dict[str, Any], start: int, end: int) -> _Record:
        metrics, odd = numbers(event.get("metrics"))
        parts = [event.get("message"), *odd, event.get("exception"), event.get("stack")]
        text = "\n".join(part if isinstance(part, str) else str(part) for part in parts if part)
        if text or not (event.get("metrics") or event.get("extra")):
            text += "" if text.endswith("\n") else "\n"
        return cls(start, end, milliseconds(event), level_of(event), text, metrics)


@dataclass(slots=True)
class _Records:
    """Records that follow one another: their text in one log, then their metrics."""

    batch: Batch
    limit: int
    latest: Latest
    records: list[_Record] = field(default_factory=list)
    level: str = ""
    length: int = 0
    metrics: int = 0

    def fits(self, record: _Record) -> bool:
        """Whether a record may join those that are here."""
        if abs(record.time - self.records[0].time) > WINDOW_MS or self.metrics >= MOST_METRICS:
            return False
        if not record.text:
            return True
        return self.level in ("", record.level) and self.length + len(record.text) <= self.limit

    def add(self, record: _Record) -> None:
        self.records.append(record)
        self.metrics += len(record.metrics)
        self.length += len(record.text)
        self.level = record.level if record.text else self.level

    def messages(self) -> Group:
        """The messages; each says how far all is on the platform once it is taken: up to what comes next."""
        made: list[Message] = []
        with_text = [record for record in self.records if record.text]
        if with_text:
            text = "".join(record.text for record in with_text)
            made += self._source(with_text[0]).logs(self.level, text, self.limit, len(with_text))
        logs = len(made)
        for record in self.records:
            made += (self._metric(record, name, value) for name, value in record.metrics)
        if not made:
            return []
        following = [0 if number < logs else message.start for number, message in enumerate(made)][1:]
        return [
            replace(message, done=done) for message, done in zip(made, [*following, self.records[-1].end], strict=True)
        ]

    def _metric(self, record: _Record, name: str, value: float) -> Message:
        time = max(record.time, self.latest.get((name, value), record.time - 1) + 1)
        self.latest[name, value] = time
        internal = INTERNAL.fullmatch(name) is not None
        payload = {"name": name, "timestamp": record.time, "value": value, "is_internal": internal}
        return Message("metric", time, payload, record.start)

    def _source(self, record: _Record) -> _Source:
        return _Source(self.batch.run, self.batch.writer, record.start, record.time)


def _of_event(event: dict[str, Any], source: _Source, limit: int) -> list[Message]:
    """The messages of an event that is no record."""
    match event["event"]:
        case "run_started":
            run = mapping(event.get("run"))
            begun = source.message("run_started", job_name=str(run.get("name") or source.run))
            return [replace(begun, api=str(run.get("api") or "")), *source.params(mapping(run.get("params")))]
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
