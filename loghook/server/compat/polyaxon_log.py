"""Log lines as polyaxon-client writes them, `2026-11-21 17:07:00 UTC INFO -- text`, parsed; pure.

The time has no fractions and is UTC; the level, and a name behind it, may be missing. A line that does not begin so
belongs to the message before it, because messages may have several lines; where there is none, or where the time is in
a zone whose name says nothing, it is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from loghook.server.levels import LEVELS

__all__ = ["LOGGER", "records"]

LOGGER = "polyaxon"
"""The logger of what comes without one."""
HEAD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (UTC|GMT|Z)((?: [^\s]+){0,8}?) -- (.*)", re.DOTALL)
NUMBERED = re.compile(r"Level -?\d{1,9}\b")


def records(text: str, now: float) -> Iterator[dict[str, Any]]:
    """Yield the records in a text of one or more lines; `now` is the time of those that tell none, epoch seconds."""
    current: dict[str, Any] | None = None
    for line in text.split("\n"):
        parsed = _parsed(line)
        if parsed is not None:
            if current is not None:
                yield current
            current = parsed
        elif current is not None:
            current["message"] += "\n" + line
        elif line:
            yield {"time": now, "level": "INFO", "logger": LOGGER, "message": line}
    if current is not None:
        yield current


def _parsed(line: str) -> dict[str, Any] | None:
    found = HEAD.fullmatch(line)
    if found is None:
        return None
    moment, _, words, message = found.groups()
    try:
        time = datetime.strptime(moment, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None
    level, name = _level(words.strip())
    return {"time": time, "level": level, "logger": name or LOGGER, "message": message}


def _level(words: str) -> tuple[str, str]:
    """The level that some words begin with, INFO where they don't, and the rest."""
    numbered = NUMBERED.match(words)
    if numbered is not None:
        return numbered.group(), words[numbered.end() :].strip()
    first, _, rest = words.partition(" ")
    is_level = first.upper() in LEVELS or (first.isupper() and len(first) > 1)
    return (first, rest) if is_level else ("INFO", words)
