"""What is told of a run whose state has changed; pure.

Log lines leave the machine here, so what looks like a password or a key in them is blotted out. They end up on phones
and in chats, so they come as plain text: without colours and whatever else only a terminal understands, and without
characters that turn the direction of writing.
"""

from __future__ import annotations

import re
from typing import Any

from loghook.transports.reply import printable

__all__ = ["Notice", "make", "redacted", "text", "title"]

Notice = dict[str, Any]
"""JSON: id, metrics, lines, run (id, name, status, source, started_at, ended_at, duration, reason, exception, url)."""

WORDS = {"success": "finished", "failure": "failed", "stopped": "was stopped", "lost": "is lost"}
LONGEST_LINE = 500
LONGEST_NAME = 200
LOOKED_AT = 4000
"""Characters of a text that are looked at: the search takes longer the longer a text is."""

# ECMA-48: CSI and what it takes, then strings (OSC and others) up to their end, then the other escapes.
SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]"
)
SECRET = re.compile(
    r"""(?ix)
    (?P<before>
      (?<![^\W_])  # a word's beginning, behind an underscore too: DB_PASSWORD
      (?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)\w*["']?\s*[:=]\s*["']?
      | \bauthorization["']?\s*[:=]\s*["']?(?:\w+\s+)?
      | \bbearer\s+ )
    [^\s"',;&]+
    | \blh_[\w-]{20,}
    | (?<=://)[^/\s@]+(?=@)
    """
)


def make(run: dict[str, Any], number: int, metrics: dict[str, Any], lines: list[dict[str, Any]], url: str) -> Notice:
    """Return the notice.

    Args:
        run: the run's fields, as the read API has them.
        number: what tells this change of the run from others: when it was seen, in milliseconds.
        metrics: names and last values of its main metrics.
        lines: its last log lines, as the read API has them.
        url: its page.
    """
    names = ("id", "name", "status", "source", "started_at", "ended_at", "duration", "reason")
    told = {name: run.get(name) for name in names}
    told["name"] = printable(_plain(str(run["name"])), LONGEST_NAME) or run["id"]
    told["reason"] = _shown(run["reason"]) if run.get("reason") else None
    return {
        "id": f"{run['id']}-{number}",
        "run": {**told, "exception": _exception(run.get("exception")), "url": url},
        "metrics": {_plain(name)[:LONGEST_NAME]: value for name, value in metrics.items()},
        "lines": [shown for line in lines if (shown := _line(line))],
    }


def title(notice: Notice) -> str:
    """Return one line: which run, what became of it, after how long."""
    run = notice["run"]
    return f"{run['name']} {WORDS.get(run['status'], run['status'])} after {_duration(run['duration'])}"


def text(notice: Notice, *, most: int) -> str:
    """Return the title, why, the last values, the address and, of what did not end well, the last log lines.

    It has at most `most` characters: of the log lines the oldest are left out first.
    """
    run = notice["run"]
    head = [title(notice)]
    head += [why for why in (run["exception"], run["reason"]) if why]
    if notice["metrics"]:
        head.append(", ".join(f"{name} {_number(value)}" for name, value in notice["metrics"].items()))
    head.append(run["url"])
    told = "\n".join(head)[:most]
    kept: list[str] = []
    room = most - len(told)
    for line in reversed(notice["lines"]):
        room -= len(line) + 1
        if room < 0:
            break
        kept.insert(0, line)
    return "\n".join([told, *kept])


def redacted(line: str) -> str:
    """Return text with what looks like a password or a key blotted out."""
    return SECRET.sub(lambda found: f"{found['before'] or ''}***", line)


def _exception(trace: object) -> str | None:
    """The last line of a traceback: the exception's type and what it says."""
    lines = [line for line in str(trace or "")[-LOOKED_AT:].splitlines() if _plain(line)]
    return _shown(lines[-1]) if lines else None


def _line(line: dict[str, Any]) -> str:
    shown = _shown(str(line.get("message", "")))
    return f"{line['level']} {shown}" if shown else ""


def _shown(text: str) -> str:
    return redacted(_plain(text[:LOOKED_AT]))[:LONGEST_LINE]


def _plain(text: str) -> str:
    """Text on one line, without a terminal's control sequences and characters that cannot be printed."""
    return printable(SEQUENCE.sub("", text), len(text) + 1)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
