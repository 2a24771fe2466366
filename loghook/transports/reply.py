"""A platform's answer as a value, and how its headers and body are read; no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from .address import masked

__all__ = ["Reply", "printable", "retry_after", "without"]

LONGEST_WAIT = 300.0
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. Header names are in lower case; `whole` is false when the body was longer than is read."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True

    def without(self, *secrets: str) -> Reply:
        """The same answer with secrets blotted out, in case the platform repeats them in its words."""
        body = self.body
        for secret in filter(None, secrets):
            body = body.replace(secret.encode(), b"***")
        return replace(self, body=body, headers={name: without(self.headers[name], *secrets) for name in self.headers})

    def json(self) -> dict[str, object] | None:
        """The JSON object in the body, or None when there is anything else in it."""
        if not self.whole:
            return None
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def after(self, now: float) -> float | None:
        """Seconds to wait by the Retry-After header (0 to 300), None without a usable one.

        `now` is this machine's clock in epoch seconds; the platform's own Date header is preferred to it.
        """
        return retry_after(self.headers.get("retry-after"), _epoch(self.headers.get("date")) or now)

    @property
    def title(self) -> str:
        """The status with its usual name, for messages: `502 Bad Gateway`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def location(self) -> str:
        """Where a redirect leads, for messages: without user, password and query."""
        return printable(masked(self.headers.get("location", "")).partition("?")[0])

    @property
    def kind(self) -> str:
        """The media type of the body, for messages: `text/html`; "no type" without one."""
        return printable(self.headers.get("content-type", "").partition(";")[0].strip()) or "no type"


def retry_after(value: str | None, now: float) -> float | None:
    """The value of a Retry-After header in seconds from `now` (epoch seconds), kept within 0 to 300.

    Both forms of RFC 9110, section 10.2.3, are read: seconds and an HTTP date. A date in the past means 0;
    None when the header is missing or neither.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return LONGEST_WAIT if len(text) > 9 else min(LONGEST_WAIT, float(text))
    then = _epoch(text)
    return None if then is None else min(LONGEST_WAIT, max(0.0, then - now))


def without(text: str, *secrets: str) -> str:
    """The text with secrets blotted out; empty ones are passed over."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def printable(text: str, most: int = SHOWN) -> str:
    """Foreign text made fit for one line of a message: without control characters, and cut."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text[: most * 4]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _epoch(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
