"""A stored line as the read API gives it; pure.

Known fields of the right type come out under their names, and everything else under "extra": nothing that was logged is
hidden because it was odd.
"""

from __future__ import annotations

from typing import Any

import orjson

from loghook.server.levels import level_name

__all__ = ["DEEPEST", "present", "searched", "writable"]

DEEPEST = 32
"""Levels of objects within metrics that are looked into; what lies deeper stays in the record's line alone."""
AROUND = 8
"""Levels that answers put around what they hold, and some to spare."""
TEXTS = ("exception", "stack", "stream", "thread", "file")
KNOWN = {"time", "level", "logger", "message", "metrics", "step", "extra", *TEXTS}


def present(line: str) -> dict[str, Any]:
    """Return a stored record's line as the read API gives it: known fields of the right type, the rest in "extra"."""
    event: dict[str, Any] = orjson.loads(line)
    row: dict[str, Any] = {"time": event["time"], "level": level_name(event.get("level", "INFO"))}
    row["logger"] = event.get("logger", "root")
    row["message"] = event.get("message", "")
    extra = event.get("extra")
    odd = {name: value for name, value in event.items() if name not in KNOWN}
    if extra is not None and not isinstance(extra, dict):
        odd["extra"] = extra
    for name in TEXTS:
        if isinstance(event.get(name), str):
            row[name] = event[name]
        elif name in event:
            odd[name] = event[name]
    if isinstance(event.get("metrics"), dict):
        row["metrics"] = event["metrics"]
    step = event.get("step")
    if isinstance(step, int | float):
        row["step"] = step
    elif step is not None:
        odd["step"] = step
    if odd or extra:
        row["extra"] = {**(extra if isinstance(extra, dict) else {}), **odd}
    if line.count("{") + line.count("[") > DEEPEST and not writable(row):
        # Nested so deeply that no answer can hold it as JSON: the line itself, as text, can.
        row.pop("metrics", None)
        row["extra"] = {"line": line}
    return row


def searched(event: dict[str, Any]) -> str:
    """Return what can be searched of a record that was checked."""
    message, exception = event.get("message", ""), event.get("exception")
    return f"{message}\n{exception}" if isinstance(exception, str) else str(message)


def writable(value: object) -> bool:
    """Tell whether orjson can write what it has read, within an answer: it reads deeper nesting than it writes."""
    for _ in range(AROUND):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:  # what its own error derives from
        return False
    return True
