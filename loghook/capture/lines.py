"""Lines out of what programs write, progress bars included: what a reader of the terminal would see in the end.

Ordinary text is cut at its newlines and handed on at once. What a program writes over, with a carriage return,
backspaces or cursor movements, is a row that is still alive: it is handed on at most once in an interval while it
changes, and once more as it was left. Several bars below each other are several rows.
"""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable

__all__ = ["LONGEST", "Decoder", "Lines"]

LONGEST = 64 * 1024
"""Characters of a line; a longer one is handed on in pieces, so that one without an end takes no memory."""

_ROWS = 32
_MOVE = re.compile(r"(\r|\n|\x08|\x1b\[[0-?]*[A-HJKSTfsu]|\x1b[78M])")
_MOVES = re.compile(r"\r|\x08|\x1b\[[0-?]*[A-HJKSTfsu]|\x1b[78M]")
_TORN = re.compile(r"\x1b(?:\[[0-?]{0,32})?\Z")


class Decoder:
    """Text out of bytes in pieces: UTF-8, other bytes as backslash escapes; a character may lie across two pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def __call__(self, data: bytes, *, final: bool = False) -> str:
        """Return the text of the next piece; `final` says that none follows."""
        return self._decoder.decode(data, final)


class _Row:
    """One row of the screen: its text, whether it was written over, and what of it was handed on, when."""

    __slots__ = ("restart", "rewritten", "said", "said_at", "text")

    def __init__(self) -> None:
        self.text = ""
        self.restart = False
        self.rewritten = False
        self.said = ""
        self.said_at = float("-inf")

    def news(self) -> str | None:
        """Return the row's text if it has not been handed on; of one that was written over, without its padding."""
        if not self.rewritten and not self.restart:
            return self.text
        text = self.text.rstrip()
        return text if text and text != self.said else None


class Lines:
    """Makes lines of text that comes in pieces; not for several threads at once."""

    def __init__(
        self, *, interval: float = 1.0, longest: int = LONGEST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`interval` is the least seconds between two states of a progress line, `longest` the most characters."""
        self._interval = interval
        self._longest = longest
        self._clock = clock
        self._rows = [_Row()]
        self._at = 0
        self._torn = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be finished."""
        row = self._rows[0]
        return not (self._torn or len(self._rows) > 1 or row.text or row.rewritten or row.restart)

    def feed(self, text: str) -> list[str]:
        """Take the next piece; return the lines that are finished with it."""
        text = (self._torn + text).replace("\r\n", "\n")
        found = _TORN.search(text, max(0, len(text) - 40))
        self._torn = found[0] if found else ""
        if found:
            text = text[: found.start()]
        row = self._rows[-1]
        if len(self._rows) > 1 or row.restart or row.rewritten or _MOVES.search(text):
            return self._play(text)
        *lines, row.text = (row.text + text).split("\n")
        return self._cut(lines)

    def due(self) -> list[str]:
        """Return the states of progress lines that have changed and whose interval is over."""
        now = self._clock()
        lines = []
        for i, row in enumerate(self._rows):
            is_left = i < self._at  # those below it have been written since: this may well be its last state
            if not (row.rewritten or row.restart) or (now - row.said_at < self._interval and not is_left):
                continue
            text = row.news()
            if text is not None:
                row.said, row.said_at = text, now
                lines.append(text)
        return lines

    def end(self) -> list[str]:
        """Return what is left: the last states of progress lines, and a last line without newline."""
        lines = self._settle(self._rows)
        if self._torn:
            lines.append(self._torn)
        self._rows, self._at, self._torn = [_Row()], 0, ""
        return lines

    def _cut(self, lines: list[str]) -> list[str]:
        row = self._rows[-1]
        size = self._longest
        if lines and max(map(len, lines)) > size:
            lines = [line[i : i + size] for line in lines for i in range(0, len(line) or 1, size)]
        while len(row.text) > size:
            lines.append(row.text[:size])
            row.text = row.text[size:]
        return lines

    @staticmethod
    def _settle(rows: list[_Row]) -> list[str]:
        """Return what rows that nothing will change any more have to say."""
        news = [row.news() for row in rows]
        return [text for text, row in zip(news, rows, strict=True) if text is not None and (text or row.rewritten)]

    # ---------------------------------------------------------------- rows that are written over

    def _play(self, text: str) -> list[str]:
        lines: list[str] = []
        for i, token in enumerate(_MOVE.split(text)):
            if not token:
                continue
            row = self._rows[self._at]
            if not i % 2:
                self._write(row, token)
            elif token == "\n":
                self._newline(row, lines)
            elif token == "\r":
                row.restart = True
            elif token == "\x08":
                row.text, row.rewritten = row.text[:-1], True
            else:
                self._move(row, token)
        return self._cut(lines) if len(self._rows) == 1 and not self._rows[0].rewritten else lines

    def _write(self, row: _Row, text: str) -> None:
        if row.restart:
            row.restart, row.rewritten = False, True
            row.text = ""
        row.text += text
        if row.rewritten or len(self._rows) > 1:
            row.text = row.text[: self._longest]

    def _newline(self, row: _Row, lines: list[str]) -> None:
        is_last = self._at == len(self._rows) - 1
        if is_last and not row.rewritten:  # an ordinary line: what is above it will not change any more
            lines += self._settle(self._rows[:-1])
            lines.append(row.text)
            self._rows, self._at = [_Row()], 0
            return
        row.restart = False
        self._at += 1
        if is_last:
            self._rows.append(_Row())
        row = self._rows[self._at]
        row.restart = bool(row.text)
        if len(self._rows) > _ROWS:
            lines += self._settle(self._rows[:1])
            del self._rows[0]
            self._at -= 1

    def _move(self, row: _Row, sequence: str) -> None:
        kind, digits = sequence[-1], sequence[2:-1]
        at_start = row.restart or not row.text  # the column stays the same where only the row changes
        count = int(digits) if digits.isdecimal() else 0
        if kind == "K" and (count or row.restart):
            row.text, row.restart, row.rewritten = "", False, True
        elif kind == "G":
            row.restart = count <= 1
        elif kind in "AF":
            self._at -= max(count, 1)
            for _ in range(min(-self._at, _ROWS - len(self._rows))):
                self._rows.insert(0, _Row())
            self._at = max(self._at, 0)
            self._rows[self._at].rewritten = True
            row.restart = False
            self._rows[self._at].restart = at_start or kind == "F"
        elif kind in "BE":
            self._at = min(self._at + max(count, 1), len(self._rows) - 1)
