"""`Redaction`: secrets are replaced by what they are, `[redacted: AWS key]`, before anything reaches the spool.

A secret is known by its value (loghook's own keys, and those in the environment) or by its shape. Nearly every text
has none, and to find that out must cost next to nothing: `look` asks for what every secret has, a few characters that
are rare or a long row of token characters, and only where it says yes is the text read with care.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from loghook.redaction.hints import LONG, has_secret_name, is_near, is_secret_name, placeholder
from loghook.redaction.private_key import PrivateKey
from loghook.redaction.values import forms, hints_of, is_secret, secrets_of

__all__ = ["LONG", "NONE", "PrivateKey", "Redaction", "has_secret_name"]

_TOKEN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_CLASSES = bytes(ord("a") if character in _TOKEN else ord(" ") for character in range(256))
_ROW = b"a" * LONG
_KEPT = frozenset(["time", "level", "metrics", "step", "event", "file", "status"])
_NAMED = frozenset(["extra", "params", "run"])
_MOST, _MOST_HINTS = 256, 64
"""Values that are known at once, and what a log call looks for; of more the oldest are forgotten."""


class _Value:
    """A secret of known value: all its forms, and what every text with one of them has."""

    def __init__(self, value: str, what: str) -> None:
        self.value = value
        self.what = what
        self.forms = forms(value)
        self.hints = hints_of(value)


class Redaction:
    """Replaces secrets in what one run records. May be used from any thread; takes no lock, and never raises."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """`names` are those of more variables whose values are secrets; `*` stands for any characters."""
        self._names = tuple(names)
        self._environ: Mapping[str, str] = {}
        self._values: dict[str, _Value] = {}
        self.hints: tuple[str, ...] = ()
        """What texts with one of the values have, where it is no row of token characters."""
        self._long: tuple[str, ...] = ()
        self._ordered: tuple[tuple[str, str], ...] = ()
        """Forms of values and what is put in their place, the longest first: one may be a part of another."""

    @classmethod
    def of(cls, names: str) -> Redaction:
        """As the setting has the names: in one text, separated by commas."""
        return cls([name.strip() for name in names.split(",") if name.strip()])

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._values)} values>"

    # ---------------------------------------------------------------- values

    def learn(self, environ: Mapping[str, str]) -> None:
        """Know the secrets of an environment; those that it held at an earlier call stay known."""
        try:
            now = dict(environ)
        except (RuntimeError, KeyError):  # another thread is changing it: next time
            return
        if now != self._environ:
            self._environ = now
            self._know(secrets_of(now, self._names))

    def add(self, value: object, what: str = "secret") -> None:
        """Know one more secret, of any length; `what` says what it is."""
        text = str(value).strip()
        if text:
            self._know([(text, what)])

    def add_key(self, key: str) -> None:
        """Know one of loghook's own keys, if it can be told from ordinary text."""
        if is_secret(key):
            self._know([(key, "API key")])

    def _know(self, found: Iterable[tuple[str, str]]) -> None:
        for value, what in found:
            if value not in self._values and value not in placeholder(what):
                self._values[value] = _Value(value, what)
        values = list(self._values.values())
        for forgotten in values[:-_MOST]:
            self._values.pop(forgotten.value, None)
        hints = [hint for value in values[-_MOST:] for hint in value.hints]
        self.hints = tuple([hint for hint in hints if _row_in(hint) < 0][-_MOST_HINTS:])
        self._long = tuple(hint for hint in hints if _row_in(hint) >= 0)
        pairs = [(form, placeholder(value.what)) for value in values[-_MOST:] for form in value.forms]
        self._ordered = tuple(sorted(pairs, key=lambda pair: len(pair[0]), reverse=True))

    # ---------------------------------------------------------------- is there one?

    def look(self, text: str) -> bool:
        """Whether there may be a secret in plain text, or in JSON; False is certain. For the thread that logs.

        A letter is looked for faster than a word, and that it is not there says as much.
        """
        if (
            ("z" in text and "uthorization" in text)
            or ("w" in text and "assword" in text)
            or ("W" in text and "PASSWORD" in text)
            or ("@" in text and "://" in text)
        ):
            return True
        for hint in self.hints:
            if hint in text:
                return True
        if len(text) < LONG:
            return False
        try:
            at = text.encode().translate(_CLASSES).rfind(_ROW)
        except UnicodeEncodeError:
            return True
        return at >= 0 and self._look_at_rows(text)

    def _look_at_rows(self, text: str) -> bool:
        data = text.encode()
        classes = data.translate(_CLASSES)
        at = classes.find(_ROW)
        if not text.isascii():
            text = data.decode("latin-1")  # a character for each byte
        while at >= 0:
            end = classes.find(b" ", at)
            end = len(classes) if end < 0 else end
            if is_near(text, at, end):
                return True
            at = classes.find(_ROW, end)
        for value in self._long:  # noqa: SIM110 - each has such a row in it
            if value in text:
                return True
        return False

    # ---------------------------------------------------------------- replacing

    def line(self, line: bytes) -> bytes:
        """Return an event, or several, as lines of JSON with the secrets replaced; metrics and step are kept."""
        text = line.decode()
        at = line.translate(_CLASSES).rfind(_ROW)  # from the end: it is the faster way
        if (
            (at >= 0 and self._look_at_rows(text))
            or ("z" in text and "uthorization" in text)  # as in `look`, without a call and without encoding it again
            or ("w" in text and "assword" in text)
            or ("W" in text and "PASSWORD" in text)
            or ("@" in text and "://" in text)
        ):
            return self.rewritten(line)
        for hint in self.hints:
            if hint in text:
                return self.rewritten(line)
        return line

    def rewritten(self, line: bytes) -> bytes:
        """As `line`, read with care in any case: for params, whose names alone may say that they are secrets."""
        return b"".join(self._rewritten(part) for part in line.splitlines(keepends=True))

    def text(self, text: str) -> str:
        """Return plain text with the secrets replaced."""
        return self._replaced(text)

    def lines(self, lines: list[str]) -> list[str]:
        """Return lines of plain text with the secrets replaced."""
        return [self._replaced(line) for line in lines] if self.look("\n".join(lines)) else lines

    def value(self, value: Any, *, named: bool = False) -> Any:
        """Return a copy of any JSON value with the secrets replaced; `named`: also what stands under a name for one."""
        if isinstance(value, str):
            return self._replaced(value)
        if isinstance(value, list):
            return [self.value(item, named=named) for item in value]
        if isinstance(value, dict):
            return {self._replaced(name): self._item(name, item, named) for name, item in value.items()}
        return value

    def _item(self, name: str, item: Any, named: bool) -> Any:
        if not named or not is_secret_name(name):
            return self.value(item, named=named)
        if name.lower() == "token" and not isinstance(item, str):  # what a language model reads has that name too
            return self.value(item, named=named)
        return self._hidden(name, item)

    def _hidden(self, name: str, item: Any) -> Any:
        """Return what stands under a name for a secret without its texts and numbers, but for [PAD], <eos> and 1."""
        if isinstance(item, list):
            return [self._hidden(name, one) for one in item]
        if isinstance(item, dict):
            inner = item.items()
            return {self._replaced(key): self._hidden(key if is_secret_name(key) else name, one) for key, one in inner}
        if item is None or isinstance(item, bool) or len(str(item)) <= 3 or str(item).startswith(("[", "<", "***")):
            return self.value(item)
        return placeholder(name if self._replaced(name) == name else "secret")

    def _replaced(self, text: str) -> str:
        if not self.look(text):
            return text
        from loghook.redaction.shapes import replaced  # takes milliseconds, and few programs ever need it

        for value, shown in self._ordered:
            if value in text:
                text = text.replace(value, shown)
        return replaced(text)

    def _rewritten(self, line: bytes) -> bytes:
        event = orjson.loads(line)
        try:
            clean = {
                key: value if key in _KEPT else self.value(value, named=key in _NAMED) for key, value in event.items()
            }
        except RecursionError:  # deep in somebody's recursion; what can't be looked at must not pass
            clean = {key: value for key, value in event.items() if key in _KEPT}
            clean["message"] = "[redacted: it could not be looked at]"
        return line if clean == event else orjson.dumps(clean, None, orjson.OPT_APPEND_NEWLINE)


class _Nothing(Redaction):
    """Replaces nothing."""

    def look(self, text: str) -> bool:
        return False

    def line(self, line: bytes) -> bytes:
        return line

    def rewritten(self, line: bytes) -> bytes:
        return line

    def _know(self, found: Iterable[tuple[str, str]]) -> None:
        pass


def _row_in(value: str) -> int:
    return value.encode().translate(_CLASSES).find(_ROW)


NONE = _Nothing()
"""Replaces nothing: it is switched off, or nobody said otherwise."""
