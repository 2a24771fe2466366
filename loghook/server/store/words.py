"""An index of words: says which blocks of a run's log can hold a text, so that a rare one is found among ten million.

    words    block = run number << 40 | k    the words of the run's lines k * 16384 + 1 to (k + 1) * 16384, each once:
                                             `plain` those without a digit, `mixed` those with one

A word is what lies between two characters of ASCII that are neither letter nor digit, in lower case, in a record's
message or exception. A text is cut into words in the same way, and each of its words has to be part of a word of the
block; so the index never misses a text, and only what it lets through is read. Of a mixed word the parts without
digits are among the plain ones too, so that a text without digits, the usual one, needs no mixed words, of which there
are many: numbers are.

Words of a block that is not full yet are kept in memory. What was forgotten meanwhile, or never known, is read from the
block's lines once it is full. Blocks without a row (the last one of a run, and what an older version stored) are read.

Measured with ten million lines of 200 bytes, numbers in three of four: the index takes 5.6 % of their bytes and about
1 us a record when they come; on a machine that was busy with other things a rare word was found, or known not to be
there, in 0.1 to 0.4 s, where reading all lines took 18 s. A text of nothing but common words is still looked for line
by line in every block: the more so the shorter its parts are.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import orjson

from loghook.server.events import searched
from loghook.server.store.schema import LINE_BITS

__all__ = ["BLOCK", "Words", "parts"]

BLOCK = 1 << 14
REMEMBERED = 500_000
"""Words kept in memory for blocks that are not full, of all runs together: about 50 MB."""
FIRST_LOOK, LONGEST_LOOK = 4, 64
"""Blocks that are asked for their words at once: few at first, because a common text is in most."""
MOST_WORDS = 8
"""Words of a text that are asked for, the longest of them."""

_SPACES = bytes(byte if chr(byte).isalnum() or byte > 127 else 32 for byte in range(256))
_DIGITS_TO_SPACES = bytes.maketrans(b"0123456789", b" " * 10)
_DIGITS = b"0123456789"


class Words:
    """Write the index, for the writer's thread; `forget` after anything was undone."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, tuple[int, set[bytes]]] = OrderedDict()
        """By run, the latest last: how many lines it has, and the words of those in its open block."""
        self._held = 0

    def forget(self) -> None:
        """Read from the database what is needed of blocks that are not full."""
        self._open.clear()
        self._held = 0

    def add(self, connection: sqlite3.Connection, run: int, count: int, texts: Sequence[str]) -> None:
        """Take the texts of a run's lines that were stored just now, `count` being how many it had before."""
        had, kept = self._open.pop(run, (0, set[bytes]()))
        self._held -= len(kept)
        words: set[bytes] | None = kept if had == count else None
        start = 0
        while start < len(texts):
            if count % BLOCK == 0:
                words = set()
            part = texts[start : start + BLOCK - count % BLOCK]
            if words is not None:
                words.update(_words("\n".join(part)))
            start += len(part)
            count += len(part)
            if count % BLOCK == 0:
                block = count // BLOCK - 1
                _write(connection, run, block, _words_of_lines(connection, run, block) if words is None else words)
                words = None
        if words is not None and count % BLOCK:
            self._open[run] = (count, words)
            self._held += len(words)
            while self._held > REMEMBERED:
                self._held -= len(self._open.popitem(last=False)[1][1])


def _words(text: str) -> list[bytes]:
    return text.lower().encode().translate(_SPACES).split()


def _words_of_lines(connection: sqlite3.Connection, run: int, block: int) -> set[bytes]:
    first = (run << LINE_BITS) + block * BLOCK + 1
    found = connection.execute("SELECT line FROM logs WHERE id BETWEEN ? AND ?", (first, first + BLOCK - 1))
    words: set[bytes] = set()
    while rows := found.fetchmany(1000):
        words.update(_words("\n".join(searched(orjson.loads(line)) for (line,) in rows)))
    return words


def _write(connection: sqlite3.Connection, run: int, block: int, words: set[bytes]) -> None:
    mixed = {word for word in words if not word.isalpha() and word.translate(None, _DIGITS) != word}
    plain = words - mixed
    together = b" ".join(mixed)
    plain.update(together.translate(_DIGITS_TO_SPACES).split())
    connection.execute(
        "INSERT OR REPLACE INTO words VALUES (?, ?, ?)", ((run << LINE_BITS) + block, b" ".join(plain), together)
    )


def parts(connection: sqlite3.Connection, run: int, text: str, ids: range) -> Iterator[range]:
    """Yield, in their order, the parts of `ids` (line numbers, up or down) that may hold the text.

    What lies in front of a part that was not in an earlier one does not hold it. A part may be empty: the search has
    come so far.
    """
    words = sorted(set(_words(text)), key=len)[-MOST_WORDS:]
    if not words or not ids:
        yield ids
        return
    blocks = range((ids[0] - 1) // BLOCK, (ids[-1] - 1) // BLOCK + ids.step, ids.step)
    look = FIRST_LOOK
    while blocks:
        near, blocks = blocks[:look], blocks[look:]
        without = _without(connection, run, words, near)
        for block in near:
            part = _lines_of(block, ids)
            yield part[len(part) :] if block in without else part
        look = min(2 * look, LONGEST_LOOK)


def _without(connection: sqlite3.Connection, run: int, words: list[bytes], blocks: range) -> set[int]:
    """Those of the blocks that are known not to hold all the words."""
    base = run << LINE_BITS
    missing = [f"instr({'plain' if word.translate(None, _DIGITS) == word else 'mixed'}, ?) = 0" for word in words]
    found = connection.execute(
        f"SELECT block - {base} FROM words WHERE block BETWEEN ? AND ? AND ({' OR '.join(missing)})",
        (base + min(blocks[0], blocks[-1]), base + max(blocks[0], blocks[-1]), *words),
    )
    return {block for (block,) in found.fetchall()}


def _lines_of(block: int, ids: range) -> range:
    first, last = block * BLOCK + 1, (block + 1) * BLOCK
    if ids.step > 0:
        return range(max(ids.start, first), min(ids.stop, last + 1))
    return range(min(ids.start, last), max(ids.stop, first - 1), -1)
