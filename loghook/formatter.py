"""`LogHookFormatter`: a record as an event, one line of JSON, made on the thread that logs.

The fast path is for the usual record: a message with its arguments, metrics that are all finite floats, an integer
step, extras that orjson knows. For whatever else comes up it gives way to `_careful`, which takes anything and never
raises.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter, orjson_default

from loghook.metrics import number, numbers

__all__ = ["LogHookFormatter", "encode", "plain"]

_ORDER = list(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_USUAL = len(_ORDER)
_LATE = frozenset(["message", "asctime", "taskName", "metrics", "step"])
_LINE = orjson.OPT_APPEND_NEWLINE
_ANY_KEY = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_MAX_DEPTH = 20
_MAX_ITEMS = 10_000


class LogHookFormatter(OrjsonFormatter):
    """A `logging.Formatter` that renders a record as an event; `event` gives the bytes, `format` the same as text."""

    def __init__(self, message_limit: int = 1 << 20, **options: Any) -> None:
        """Keep events under `message_limit` bytes, about; `options` go to python-json-logger's formatter."""
        super().__init__(**options)
        self.message_limit = message_limit
        self.odd_metrics: list[str] = []
        """Names under "metrics" that held no number, for whoever warns of them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as text, without the newline."""
        return self.event(record)[:-1].decode()

    def event(self, record: logging.LogRecord) -> bytes:
        """Return the event as a line of UTF-8 JSON with its newline. Reads everything now; keeps no reference."""
        fields = record.__dict__
        try:
            message = fields["msg"]
            if message.__class__ is not str:
                message = str(message)
            if fields["args"]:
                message = message % fields["args"]
            event = {
                "time": fields["created"],
                "level": fields["levelname"],
                "logger": fields["name"],
                "message": message,
            }
            usual = _USUAL
            if "metrics" in fields:
                metrics = fields["metrics"]
                for value in metrics.values():
                    if (
                        value.__class__ is not float or value - value != 0.0
                    ):  # NaN and the infinities are not equal to 0
                        return self._careful(record)
                event["metrics"] = metrics
                usual += 1
            if "step" in fields:
                if fields["step"].__class__ is not int:
                    return self._careful(record)
                event["step"] = fields["step"]
                usual += 1
            if len(fields) != usual:
                self._extras(fields, event)
            if fields["exc_info"] or fields["exc_text"] or fields["stack_info"]:
                self._traces(record, event)
            if fields["threadName"] != "MainThread":
                event["thread"] = fields["threadName"]
            event["file"] = f"{fields['filename']}:{fields['lineno']}"
            line = orjson.dumps(event, None, _LINE)
        except Exception:
            return self._careful(record)
        return line if len(line) <= self.message_limit else self._careful(record)

    def _extras(self, fields: dict[str, Any], event: dict[str, Any]) -> None:
        tail = islice(fields.items(), _USUAL - 1, None)
        if next(tail)[0] == _ORDER[-1]:  # no subclass of LogRecord put its own in front: what is extra stands behind
            extra = dict(tail)
            if not _LATE.isdisjoint(extra):
                extra = {name: value for name, value in extra.items() if name not in _LATE}
        else:
            extra = {name: value for name, value in fields.items() if name not in _LATE and name not in _ORDER}
        if extra.get("stream") in ("stdout", "stderr"):
            event["stream"] = extra.pop("stream")
        if extra:
            event["extra"] = extra

    def _traces(self, record: logging.LogRecord, event: dict[str, Any]) -> None:
        if record.exc_info and not record.exc_text:
            record.exc_text = str(super().formatException(record.exc_info))
        if record.exc_text:
            event["exception"] = record.exc_text
        if record.stack_info:
            event["stack"] = record.stack_info

    # ---------------------------------------------------------------- everything that is not usual

    def _careful(self, record: logging.LogRecord) -> bytes:
        fields = record.__dict__
        event: dict[str, Any] = {
            "time": number(fields.get("created")),
            "level": str(fields.get("levelname")),
            "logger": str(fields.get("name")),
            "message": _message(record),
        }
        self._extras(fields, event)
        extra = event.pop("extra", {})
        self._numbers(fields, event, extra)
        if extra:
            event["extra"] = extra
        try:
            self._traces(record, event)
        except Exception as error:  # an exception whose own text can't be made
            event["exception"] = f"{type(record.exc_info and record.exc_info[1]).__name__} (no traceback: {error!r})"
        if fields.get("threadName") not in ("MainThread", None):
            event["thread"] = str(fields["threadName"])
        event["file"] = f"{fields.get('filename')}:{fields.get('lineno')}"
        return encode(event, self.message_limit)

    def _numbers(self, fields: dict[str, Any], event: dict[str, Any], extra: dict[str, Any]) -> None:
        metrics = fields.get("metrics")
        if isinstance(metrics, Mapping):
            try:
                found = numbers(metrics)
            except Exception as error:  # a mapping that can't be read
                extra["metrics"] = f"(unreadable: {error!r})"
            else:
                if found.values:
                    event["metrics"] = found.values
                if found.rest:
                    extra["metrics"] = found.rest
                    self.odd_metrics.extend(found.rest)
        elif metrics is not None:
            extra["metrics"] = metrics
            self.odd_metrics.append("metrics")
        step = fields.get("step")
        if step is not None:
            value = number(step)
            if isinstance(value, str) or value is None:
                extra["step"] = step
            else:
                event["step"] = value


def encode(event: dict[str, Any], limit: int = 1 << 20) -> bytes:
    """Return any event as a line of strict JSON of about `limit` bytes at most; never raises for what is in it.

    Strings that are too long keep head and tail and say how long they were; what JSON has no word for becomes text.
    """
    try:
        line = orjson.dumps(event, orjson_default, _ANY_KEY)
    except Exception:
        event = plain(event)
        line = orjson.dumps(event, None, _LINE)
    text = limit // 2
    while len(line) > limit and text > 16:
        event = plain(event, text=text, items=max(text // 32, 16))
        line = orjson.dumps(event, None, _LINE)
        text //= 4
    return line


def plain(value: Any, *, text: int = 1 << 30, items: int = _MAX_ITEMS) -> Any:
    """Return a copy of `value` made of what JSON knows, strings cut to `text` characters, containers to `items` items.

    Cycles and depth past 20 become words; an object that can't even be shown becomes its type's name.
    """
    return _plain(value, text, items, ())


def _plain(value: Any, text: int, items: int, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return _cut(str(value), text)
    if id(value) in above:
        return "(cycle)"
    if len(above) >= _MAX_DEPTH:
        return "(too deep)"
    above = (*above, id(value))
    try:
        if isinstance(value, Mapping):
            pairs = list(value.items())
            copy = {_cut(str(k), 250): _plain(v, text, items, above) for k, v in pairs[:items]}
            if len(pairs) > items:
                copy["..."] = f"({len(pairs) - items} more)"
            return copy
        if isinstance(value, (list, tuple, set, frozenset)):
            cells = [_plain(cell, text, items, above) for cell in list(value)[:items]]
            return [*cells, f"({len(value) - items} more)"] if len(value) > items else cells
        return _cut(str(orjson_default(value)), text)
    except Exception:
        return f"({type(value).__name__} that can't be shown)"


def _cut(value: str, limit: int) -> str:
    if len(value) > limit:
        half = limit // 2
        value = f"{value[:half]} ... ({len(value)} characters, {len(value) - 2 * half} left out) ... {value[-half:]}"
    return value.encode("utf-8", "backslashreplace").decode() if not value.isascii() else value


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        return f"{plain(record.msg)} {plain(record.args)} (not formatted: {type(error).__name__}: {plain(str(error))})"
