"""`LogHookFormatter`: a record as an event, one line of JSON, made on the thread that logs.

The fast path is for the usual record: a message with its arguments, metrics that are numbers, a step that is one,
extras that orjson knows. For whatever else comes up it gives way to `_careful`, which takes anything and never
raises.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from logging import LogRecord
from operator import itemgetter
from typing import Any

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter, orjson_default

from loghook.metrics import MAX_NAME, number, numbers
from loghook.redaction import LONG, NONE, Redaction, has_secret_name
from loghook.sites import NO_EXTRAS, USUAL, Sites

__all__ = ["LogHookFormatter", "encode", "plain"]

_USUAL = len(USUAL)
_READ = ["name", "msg", "args", "levelname", "filename", "exc_info", "exc_text", "stack_info", "lineno", "created"]
_unread = itemgetter(*USUAL.difference(_READ, ["threadName"]))
"""Reads the usual attributes that an event has no use for. KeyError: one is not there."""

_MAIN = ("MainThread", None, "")
_STREAMS = ("stdout", "stderr")
_LINE = orjson.OPT_APPEND_NEWLINE
_ANY_KEY = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_MAX_DEPTH = 20
_MAX_ITEMS = 100_000


class LogHookFormatter(OrjsonFormatter):
    """A `logging.Formatter` that renders a record as an event; `event` gives the bytes, `format` the same as text."""

    def __init__(self, *options: Any, message_limit: int = 1 << 20, **more: Any) -> None:
        """Keep events under `message_limit` bytes, about; their metrics, which are never cut, not counted.

        `options` and `more` are those of `logging.Formatter` and of python-json-logger, taken so that dictConfig and
        fileConfig can name this class; they change nothing about an event.
        """
        super().__init__(*options, **more)
        self.message_limit = message_limit
        self._sites = Sites()
        self.redact_with(NONE)
        self.odd_metrics: set[str] = set()
        """Names under "metrics" that held no number, for whoever warns of them; not all, if nobody takes them away."""

    def redact_with(self, redaction: Redaction) -> None:
        """Replace the secrets that `redaction` knows; a formatter of its own replaces none."""
        self._redaction = redaction
        self._look = redaction.look
        self._clean = redaction.line
        self._rewrite = redaction.rewritten

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as text, without the newline."""
        return self.event(record)[:-1].decode()

    def event(self, record: logging.LogRecord) -> bytes:  # noqa: C901 - a call costs more than a branch
        """Return the event as a line of UTF-8 JSON with its newline. Reads everything now; keeps no reference."""
        fields = record.__dict__
        try:
            _unread(fields)  # a filter may have taken one away, and their number alone would say nothing
            created, level, logger = fields["created"], fields["levelname"], fields["name"]
            if created.__class__ is not float or created - created != 0.0:
                return self._careful(record)
            if level.__class__ is not str or logger.__class__ is not str:
                return self._careful(record)
            if record.__class__ is LogRecord:
                message = fields["msg"]
                if message.__class__ is not str:
                    message = str(message)
                if fields["args"]:
                    message = message % fields["args"]
            else:
                message = record.getMessage()
            site = None
            suspicious = False
            more = len(fields) - _USUAL
            if more == 0:
                event = {
                    "time": created,
                    "level": level,
                    "logger": logger,
                    "message": message,
                    "file": f"{fields['filename']}:{fields['lineno']}",
                }
            elif "metrics" in fields and more == 1 + ("step" in fields):
                metrics = fields["metrics"]
                for value in metrics.values():
                    if value.__class__ is not float or value - value != 0.0:  # NaN less NaN is not 0
                        metrics = self._flat(metrics)
                        break
                event = {  # written out again: a dict that grows behind its fifth key is copied
                    "time": created,
                    "level": level,
                    "logger": logger,
                    "message": message,
                    "file": f"{fields['filename']}:{fields['lineno']}",
                    "metrics": metrics,
                }
                if not metrics:
                    del event["metrics"]
                if more == 2:
                    step = fields["step"]
                    event["step"] = step if step.__class__ is int else _finite(step)
            else:
                site = self._sites.get((fields["filename"], fields["lineno"], len(fields)))
                if site is None:
                    site = self._sites.learn(fields)
                try:
                    event = site.read(fields, message, site.file)
                except KeyError:  # it has others than the last one from there, and as many
                    site = self._sites.learn(fields)
                    event = site.read(fields, message, site.file)
                suspicious = site.has_extra
                if site.metrics:
                    event["metrics"] = self._flat(event["metrics"])
                    if not event["metrics"]:
                        del event["metrics"]
                if "step" in event:
                    event["step"] = _finite(event["step"])
                if site.stream:
                    self._tell_stream(event)
            if fields["exc_info"] or fields["exc_text"] or fields["stack_info"]:
                self._traces(record, event)
                suspicious = True
            if fields["threadName"] not in _MAIN:
                event["thread"] = fields["threadName"]
            line = orjson.dumps(event, None, _LINE)
            if (
                suspicious
                or ("z" in message and "uthorization" in message)  # as `look` begins, without the call
                or ("w" in message and "assword" in message)
                or ("W" in message and "PASSWORD" in message)
                or ("@" in message and "://" in message)
                or ((len(message) >= LONG or self._redaction.hints) and self._look(message))
            ) and len(line) <= self.message_limit:
                line = self._rewrite(line) if site and site.secret else self._clean(line)
        except Exception:
            return self._careful(record)
        if len(line) <= MAX_NAME:  # so short that no name in it can be too long
            return line
        usual = len(line) <= self.message_limit and max(map(len, event.get("metrics", ())), default=0) <= MAX_NAME
        return line if usual else self._careful(record)

    def _flat(self, metrics: Mapping[Any, object]) -> dict[str, Any]:
        """Return the numbers in `metrics` under flat names. Raises ValueError where something is no number."""
        found = numbers(metrics)
        if found.rest:
            raise ValueError("no number")
        return found.values

    def _cleaner(self, event: dict[str, Any]) -> Callable[[bytes], bytes]:
        """Return what replaces the secrets in an event's line: all of it is read if the name of an extra says so."""
        return self._rewrite if "extra" in event and has_secret_name(event["extra"]) else self._clean

    def _extras(self, fields: dict[str, Any], event: dict[str, Any]) -> None:
        extra = {name: value for name, value in fields.items() if name not in NO_EXTRAS}
        if extra:
            event["extra"] = extra
            self._tell_stream(event)

    def _tell_stream(self, event: dict[str, Any]) -> None:
        """Have an event of captured output say itself which stream it came from."""
        stream = event["extra"].get("stream")
        if stream.__class__ is str and stream in _STREAMS:  # an array, say, has no answer to the second
            event["stream"] = event["extra"].pop("stream")
            if not event["extra"]:
                del event["extra"]

    def _traces(self, record: logging.LogRecord, event: dict[str, Any]) -> None:
        fields = record.__dict__
        if fields.get("exc_info") and not fields.get("exc_text"):
            record.exc_text = str(super().formatException(fields["exc_info"]))
        if fields.get("exc_text"):
            event["exception"] = fields["exc_text"]
        if fields.get("stack_info"):
            event["stack"] = fields["stack_info"]

    # ---------------------------------------------------------------- everything that is not usual

    def _careful(self, record: logging.LogRecord) -> bytes:
        fields = record.__dict__
        created = number(fields.get("created"))
        event: dict[str, Any] = {
            "time": time.time() if created is None or isinstance(created, str) else created,
            "level": _words(fields.get("levelname")),
            "logger": _words(fields.get("name")),
            "message": _message(record),
        }
        envelope = dict(event, message="")
        self._extras(fields, event)
        extra = event.pop("extra", {})
        self._numbers(fields, event, extra)
        if extra:
            event["extra"] = extra
        try:
            self._traces(record, event)
        except Exception as error:  # an exception whose own text can't be made
            event["exception"] = f"{_words(fields.get('exc_info'))} (no traceback: {_words(error)})"
        if fields.get("threadName") not in _MAIN:
            event["thread"] = _words(fields["threadName"])
        event["file"] = f"{_words(fields.get('filename'))}:{_words(fields.get('lineno'))}"
        portions = _portions(event.get("metrics", {}), self.message_limit // 2)
        if len(portions) < 2:
            return encode(event, self.message_limit, self._cleaner(event))
        if "step" in event:
            envelope["step"] = event["step"]
        events = [dict(event, metrics=portions[0]), *(dict(envelope, metrics=portion) for portion in portions[1:])]
        return b"".join(encode(each, self.message_limit, self._cleaner(each)) for each in events)

    def _numbers(self, fields: dict[str, Any], event: dict[str, Any], extra: dict[str, Any]) -> None:
        metrics = fields.get("metrics")
        if isinstance(metrics, Mapping):
            try:
                found = numbers(metrics)
            except Exception as error:  # a mapping that can't be read
                extra["metrics"] = f"(unreadable: {_words(error)})"
                self.note_odd(["metrics"])
            else:
                if found.values:
                    event["metrics"] = found.values
                if found.rest:
                    extra["metrics"] = found.rest
                    self.note_odd(found.rest)
        elif metrics is not None:
            extra["metrics"] = metrics
            self.note_odd(["metrics"])
        step = fields.get("step")
        if step is not None:
            value = number(step)
            if isinstance(value, str) or value is None:
                extra["step"] = step
            else:
                event["step"] = value

    def note_odd(self, names: Iterable[str]) -> None:
        """Keep the names of metrics that held no number."""
        if len(self.odd_metrics) < _MAX_ITEMS:
            self.odd_metrics.update(names)


def _finite(step: object) -> int | float:
    """Return a step as a JSON number. Raises ValueError for what is none."""
    value = number(step)
    if value is None or isinstance(value, str):
        raise ValueError("no finite number")
    return value


def encode(event: dict[str, Any], limit: int = 1 << 20, clean: Callable[[bytes], bytes] = NONE.line) -> bytes:
    """Return any event as a line of strict JSON of about `limit` bytes at most; never raises for what is in it.

    Strings that are too long keep head and tail and say how long they were; what JSON has no word for becomes text.
    Only "metrics", which must be a flat mapping of numbers, is left whole. `clean` replaces the secrets in a line,
    before it is cut, for half a secret is no longer known as one.
    """
    try:
        line = orjson.dumps(event, orjson_default, _ANY_KEY)
    except Exception:
        event = _plain_event(event, 1 << 30, _MAX_ITEMS)
        line = orjson.dumps(event, None, _LINE)
    if (cleaned := clean(line)) is not line:
        event, line = orjson.loads(cleaned), cleaned
    text, items = limit // 2, _MAX_ITEMS
    while len(line) > limit and text > 16:
        event = _plain_event(event, text, items)
        line = orjson.dumps(event, None, _LINE)
        text, items = text // 4, max(items // 4, 16)
    return line


def _plain_event(event: dict[str, Any], text: int, items: int) -> dict[str, Any]:
    metrics = event.get("metrics")
    copy = {key: plain(value, text=text, items=items) for key, value in event.items() if key != "metrics"}
    return {**copy, "metrics": plain(metrics, items=len(metrics))} if metrics else copy


def _portions(metrics: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """Return `metrics` in portions of about `size` bytes of JSON: what no platform takes in one event."""
    portions: list[dict[str, Any]] = [{}]
    room = size
    for name, value in metrics.items():
        need = len(name) + 32
        if need > room and portions[-1]:
            portions.append({})
            room = size
        portions[-1][name] = value
        room -= need
    return portions


def plain(value: Any, *, text: int = 1 << 30, items: int = _MAX_ITEMS) -> Any:
    """Return a copy of `value` made of what JSON knows: strings cut to `text` characters, no more than `items` items.

    Cycles and depth past 20 become words; an object that can't even be shown becomes its type's name.
    """
    return _Copying(text, items).copy(value, ())


class _Copying:
    """One call of `plain`: the items that may still be copied, however they are nested."""

    def __init__(self, text: int, items: int) -> None:
        self._text = text
        self._left = items

    def copy(self, value: Any, above: tuple[int, ...]) -> Any:
        try:
            return self._copy(value, above)
        except Exception:
            return f"({type(value).__name__} that can't be shown)"

    def _copy(self, value: Any, above: tuple[int, ...]) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return number(value)
        if isinstance(value, str):
            return _cut(str(value), self._text)
        if id(value) in above:
            return "(cycle)"
        if len(above) >= _MAX_DEPTH:
            return "(too deep)"
        above = (*above, id(value))
        if isinstance(value, Mapping):
            pairs = self._some(value.items())
            copy = {_cut(_words(key), MAX_NAME): self.copy(one, above) for key, one in pairs}
            if len(pairs) < len(value):
                copy["..."] = f"({len(value) - len(pairs)} more)"
            return copy
        if isinstance(value, (list, tuple, set, frozenset)):
            cells = self._some(value)
            rest = [f"({len(value) - len(cells)} more)"] if len(cells) < len(value) else []
            return [*(self.copy(cell, above) for cell in cells), *rest]
        return _cut(str(orjson_default(value)), self._text)

    def _some(self, values: Iterable[Any]) -> list[Any]:
        some = list(islice(values, self._left))
        self._left -= len(some)
        return some


def _cut(value: str, limit: int) -> str:
    if len(value) > limit:
        half = limit // 2
        left_out = len(value) - 2 * half
        value = f"{value[:half]} ... ({len(value)} characters, {left_out} left out) ... {value[half + left_out :]}"
    return value.encode("utf-8", "backslashreplace").decode() if not value.isascii() else value


def _words(value: object) -> str:
    """Return text for any object, whatever its own methods do."""
    return value if value.__class__ is str else str(plain(value, items=100))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        message, args = record.__dict__.get("msg"), record.__dict__.get("args")
        return f"{_words(message)} {_words(args)} (not formatted: {type(error).__name__}: {_words(error)})"
