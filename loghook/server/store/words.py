"""An index of words: says which blocks of a run's log can hold a text, so that a rare one is found among ten million.

    words    block = run number << 40 | k    the words of the run's lines k * 16384 + 1 to (k + 1) * 16384, each once:
                                             `plain` those without a digit, `mixed` those with one

A word is what lies between two characters of ASCII that are neither letter nor digit, in lower case, in a record's
message or exception. A text is cut into words in the same way, and each of its words has to be part of a word of the
block; so the index never misses a text, and only what it lets through is read. Of a mixed word the parts without
digits are among the plain ones too, so that a text without digits, the usual one, needs no mixed words, of which there
are many: numbers are.

Long words lie in the index in pieces that overlap, and those of a text are asked for in shorter pieces, each of which
lies in one of them whole.

Words of a block that is not full yet are kept in memory. What was forgotten meanwhile, or never known, is read from the
block's lines once it is full. A block with too many words for the index, such as one of printed arrays, is given up: it
gets no row. Blocks without a row (those, the last one of a run, and what an older version stored) are read.

Measured with ten million lines of 200 bytes, numbers in three of four: the index takes 5.6 % of their bytes and about
1 us a record when they come; on a machine that was busy with other things a rare word was found, or known not to be
there, in 0.1 to 0.4 s, where reading all lines took 18 s. A text of nothing but common words is still looked for line
by line in every block: the more so the shorter its parts are.
"""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from loghook.server.present import searched
from loghook.server.store.schema import LINE_BITS

__all__ = ["BLOCK", "Limits", "Words", "parts"]

BLOCK = 1 << 14
FIRST_LOOK, LONGEST_LOOK = 4, 64
"""Blocks that are asked for their words at once: few at first, because a common text is in most."""
QUICK = 0.1
"""Seconds: blocks that take longer to be asked have very many words, and few are asked at once again."""
MOST_WORDS = 8
"""Words of a text that are asked for, the longest of them."""

PIECE, OVERLAP = 100, 49
"""Bytes of a piece of a long word, and of one that are in the next one too: any 50 lie together in some piece."""
ASKED = OVERLAP + 1
"""Bytes of a word of a text that are asked for together."""

SLICE, LINES = 1 << 18, 2_000
"""Bytes and lines whose words are taken at once."""
WORD_WEIGHT, RUN_WEIGHT = 80, 600
"""Bytes of memory that a word takes besides its own, and a run with an open block."""

_SPACES = bytes(byte if chr(byte).isalnum() or byte > 127 else 32 for byte in range(256))
_DIGITS_TO_SPACES = bytes.maketrans(b"0123456789", b" " * 10)
_DIGITS = b"0123456789"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the index may take. The writer's thread works for all accounts, so they bound its time too.

    text: bytes of a block's words, and words: their number; a block with more is given up. held: bytes of memory for
    the open blocks of all runs together, those past it are read again when they are full. again: bytes of lines that
    are read again for a block; one with more is given up.
    """

    text: int = 4 * 1024 * 1024
    words: int = 200_000
    held: int = 50 * 1024 * 1024
    again: int = 8 * 1024 * 1024


LIMITS = Limits()


class _Block:
    """The words of a block's lines; None once they are too many."""

    __slots__ = ("_limits", "_size", "words")

    def __init__(self, limits: Limits) -> None:
        self.words: set[bytes] | None = set()
        self._limits = limits
        self._size = 0

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes, about."""
        return RUN_WEIGHT + (self._size + WORD_WEIGHT * len(self.words) if self.words is not None else 0)

    def take(self, texts: Sequence[str]) -> None:
        """Take the words of some lines' texts, or give the block up."""
        if self.words is None:
            return
        for start in range(0, len(texts), LINES):
            for part in _slices("\n".join(texts[start : start + LINES])):
                if self.words is None:
                    return
                self._add(self.words, part)

    # Measured with twelve words in a line, two of them new: 0.65 us a record, of which cutting into words and making a
    # set of them take 0.5. Taking lines of one shape together saved 0.1 at best, and cost up to 0.5 more elsewhere.
    def _add(self, words: set[bytes], part: bytes) -> None:
        new = set(part.split()) - words
        if new and len(max(new, key=len)) > PIECE:
            long = [word for word in new if len(word) > PIECE]
            new.difference_update(long)
            new.update(piece for word in long for piece in _pieces(word))
            new = new - words  # not `-=`, which goes through all words of the block
        words |= new
        self._size += len(b" ".join(new)) + 1
        if self._size > self._limits.text or len(words) > self._limits.words:
            self.words = None


class Words:
    """Write the index, for the writer's thread; `forget` after anything was undone."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.held = 0
        """Bytes of memory that the open blocks take, about."""
        self._limits = limits
        self._open: OrderedDict[int, tuple[int, _Block]] = OrderedDict()
        """By run, the latest last: how many lines it has, and the words of those in its open block."""

    def forget(self) -> None:
        """Read from the database what is needed of blocks that are not full."""
        self._open.clear()
        self.held = 0

    def add(self, connection: sqlite3.Connection, run: int, count: int, texts: Sequence[str]) -> None:
        """Take the texts of a run's lines that were stored just now, `count` being how many it had before."""
        block = self._taken_out(run, count)
        start = 0
        while start < len(texts):
            if count % BLOCK == 0:
                block = _Block(self._limits)
            part = texts[start : start + BLOCK - count % BLOCK]
            if block is not None:
                block.take(part)
            start += len(part)
            count += len(part)
            if count % BLOCK == 0:
                number = count // BLOCK - 1
                block = block or _of_lines(connection, run, number, self._limits)
                if block.words is not None:
                    _write(connection, run, number, block.words)
                block = None
        if block is not None:
            self._open[run] = (count, block)
            self.held += block.weight
            while self.held > self._limits.held:
                self.held -= self._open.popitem(last=False)[1][1].weight

    def _taken_out(self, run: int, count: int) -> _Block | None:
        """What is known of a run's open block; None where that is not all of its lines so far."""
        if run not in self._open:
            return None
        had, block = self._open.pop(run)
        self.held -= block.weight
        return block if had == count else None


def _spaced(text: str) -> bytes:
    return text.lower().encode().translate(_SPACES)


def _slices(text: str) -> Iterator[bytes]:
    """A text's words with spaces between them, in slices: very many never are so many objects at the same time."""
    spaced = _spaced(text)
    start = 0
    while start < len(spaced):
        end = spaced.find(b" ", start + SLICE)
        end = len(spaced) if end < 0 else end
        yield spaced[start:end]
        start = end


def _pieces(word: bytes) -> Iterable[bytes]:
    return (word[start : start + PIECE] for start in range(0, len(word) - OVERLAP, PIECE - OVERLAP))


def _of_lines(connection: sqlite3.Connection, run: int, number: int, limits: Limits) -> _Block:
    """The words of a full block, read from its lines, as long as those are not too much to read."""
    first = (run << LINE_BITS) + number * BLOCK + 1
    found = connection.execute("SELECT line FROM logs WHERE id BETWEEN ? AND ?", (first, first + BLOCK - 1))
    block = _Block(limits)
    texts: list[str] = []
    size = taken = 0
    for (line,) in found:
        size += len(line)
        if size > limits.again:
            block.words = None
        if block.words is None:
            break
        texts.append(searched(orjson.loads(line)))
        if len(texts) == LINES or size - taken > SLICE:
            block.take(texts)
            texts, taken = [], size
    found.close()
    block.take(texts)
    return block


def _write(connection: sqlite3.Connection, run: int, block: int, words: set[bytes]) -> None:
    # What is left of a word without its digits is the word itself where it has none.
    plain = set(b" ".join(words).translate(_DIGITS_TO_SPACES).split())
    mixed = words - plain
    connection.execute(
        "INSERT OR REPLACE INTO words VALUES (?, ?, ?)",
        ((run << LINE_BITS) + block, b" ".join(plain), b" ".join(mixed)),
    )


def parts(connection: sqlite3.Connection, run: int, text: str, ids: range) -> Iterator[range]:
    """Yield, in their order, the parts of `ids` (line numbers, up or down) that may hold the text.

    What lies in front of a part that was not in an earlier one does not hold it. A part may be empty: the search has
    come so far.
    """
    asked = {word[start : start + ASKED] for word in _spaced(text).split() for start in range(0, len(word), ASKED)}
    words = sorted(asked, key=len)[-MOST_WORDS:]
    if not words or not ids:
        yield ids
        return
    blocks = range((ids[0] - 1) // BLOCK, (ids[-1] - 1) // BLOCK + ids.step, ids.step)
    look = FIRST_LOOK
    while blocks:
        near, blocks = blocks[:look], blocks[look:]
        began = time.monotonic()
        without = _without(connection, run, words, near)
        slow = time.monotonic() - began > QUICK
        for block in near:
            part = _lines_of(block, ids)
            yield part[len(part) :] if block in without else part
        look = FIRST_LOOK if slow else min(2 * look, LONGEST_LOOK)


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
