"""What the index of words may take: blocks with too many words, words that are too long, and what a search finds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from loghook.server.ingest import Ingest
from loghook.server.store import Store, logs, words
from loghook.server.store.words import BLOCK, Limits, Words

SMALL = Limits(text=200_000, words=20_000, held=1_000_000, again=8_000_000)
NEEDLE = "the 1st needle is rare"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store with small limits for the index."""
    opened = Store(tmp_path / "test.db")
    opened.words = Words(SMALL)
    opened.writer.run(lambda connection: connection.execute("INSERT INTO accounts VALUES (1, 'a', 0, NULL)").rowcount)
    yield opened
    opened.close()


class Sender:
    """Sends messages of a run in batches, each of which has to be taken, and looks after the index meanwhile."""

    def __init__(self, store: Store, run: str = "run") -> None:
        self.offset = 0
        self.most_held = 0
        self._store, self._run = store, run
        self._ingest = Ingest(store)

    def send(self, messages: list[str], at_once: int = 4_000) -> None:
        """Send messages."""
        for start in range(0, len(messages), at_once):
            part = messages[start : start + at_once]
            body = b"".join(orjson.dumps({"time": 1.0, "message": message}) + b"\n" for message in part)
            self.offset = self._ingest.events(1, self._run, "writer", self.offset, body).offset
            self.most_held = max(self.most_held, self._store.words.held)


def rows(store: Store) -> dict[int, int]:
    """Return the blocks of the first run that have a row in the index, and the bytes of each."""
    with store.reading() as connection:
        found = connection.execute("SELECT block, length(plain) + length(mixed) FROM words").fetchall()
    return {block & 0xFFFF: size for block, size in found}


def found(store: Store, text: str, run: int = 1) -> list[int]:
    """Return the numbers of all lines that a search finds, page by page."""
    numbers: list[int] = []
    place: int | None = 10**9
    while place is not None:
        with store.reading() as connection:
            page = logs.older(connection, run, logs.Filter(text=text), 400, place)
        numbers += [line["id"] for line in page.lines]
        place = page.first
    return sorted(numbers)


def floats(count: int, *, seed: int = 3) -> list[str]:
    """Return lines of printed numbers that never come again."""
    chance = random.Random(seed)
    return [f"[{chance.random()}, {chance.random()}, {chance.random()}]" for _ in range(count)]


@pytest.mark.parametrize("at_once", [700, 20_000])
def test_a_block_with_too_many_words_is_given_up(store: Store, at_once: int) -> None:
    """A block of printed arrays has no row, takes next to no memory, and is searched all the same; the next has one."""
    lines = floats(BLOCK)
    lines[4_567] = NEEDLE
    lines += ["all is well"] * BLOCK
    lines[BLOCK + 9] = NEEDLE
    sender = Sender(store)
    sender.send(lines, at_once)
    assert set(rows(store)) == {1}
    assert sender.most_held < 3 * SMALL.text + 80 * SMALL.words
    assert found(store, NEEDLE) == [4_568, BLOCK + 10]
    assert found(store, lines[11_000][1:16]) == [11_001]
    assert found(store, "nowhere") == []


@pytest.mark.parametrize("limits", [SMALL, Limits(again=100_000)], ids=["words", "bytes of lines"])
def test_a_block_that_is_read_again_is_given_up_too(store: Store, limits: Limits) -> None:
    """What was forgotten is read again only so far: the block has no row, its last batch is taken, and all is found."""
    lines = floats(BLOCK) if limits is SMALL else ["all is well"] * BLOCK
    lines[77] = NEEDLE
    store.words = Words(limits)
    sender = Sender(store)
    sender.send(lines[:-10])
    store.writer.run(lambda connection: store.words.forget())
    sender.send([*lines[-10:], "after it"])
    assert rows(store) == {}
    assert found(store, NEEDLE) == [78]


def test_the_rows_stay_far_below_what_sqlite_takes(store: Store) -> None:
    """Blocks on both sides of the limit are taken whole; a row has twice the bytes of the limit at most."""
    sender = Sender(store)
    for block, share in enumerate((2, 8, 64)):
        lines = ["all is well"] * BLOCK
        lines[::share] = floats(len(lines[::share]), seed=block)
        sender.send(lines)
    sizes = rows(store)
    assert set(sizes) == {1, 2}
    assert max(sizes.values()) <= 2 * SMALL.text


def test_long_words_take_little_memory(store: Store) -> None:
    """Lines of one word of 100 KB each: what is held of them stays bounded, and parts of them are found."""
    chance = random.Random(4)
    lines = ["".join(chance.choices(LETTERS, k=100_000)) for _ in range(12)]
    sender = Sender(store)
    sender.send(lines, 1)
    assert sender.most_held < 3 * SMALL.text + 80 * SMALL.words
    assert found(store, lines[5][50_000:50_200]) == [6]


def test_open_blocks_of_many_runs_are_held_within_a_limit(store: Store) -> None:
    """The open blocks of all runs together take no more than they may; those left out get their rows when full."""
    store.words = Words(Limits(held=100_000))
    senders = [Sender(store, f"run{number}") for number in range(20)]
    for sender in senders:
        sender.send([*floats(100), NEEDLE])
    assert max(sender.most_held for sender in senders) <= 100_000
    senders[0].send(["all is well"] * BLOCK)
    assert set(rows(store)) == {0}
    assert found(store, NEEDLE, run=1) == [101]


def long_words() -> dict[str, Callable[[random.Random], str]]:
    """Return kinds of long words, by name."""
    return {
        "letters and digits": lambda chance: "".join(chance.choices(LETTERS, k=chance.randint(95, 420))),
        "few digits": lambda chance: "".join(
            chance.choices(LETTERS[:26] * 9 + "0123456789", k=chance.randint(95, 420))
        ),
        "beyond ASCII": lambda chance: "".join(chance.choices("äöü\N{SNOWMAN}xyz7", k=chance.randint(60, 200))),
    }


@pytest.mark.parametrize("kind", long_words())
def test_every_part_of_a_long_word_is_found(store: Store, kind: str) -> None:
    """A block with a row is read for each part of its long words, whatever its length, and left out for others."""
    chance = random.Random(kind)
    lines = ["all is well"] * (BLOCK + 1)
    places = chance.sample(range(BLOCK), 25)
    for place in places:
        lines[place] = long_words()[kind](chance)
    Sender(store).send(lines)
    assert set(rows(store)) == {0}
    with store.reading() as connection:
        for _ in range(600):
            word = lines[chance.choice(places)]
            start, end = sorted(chance.choices(range(len(word) + 1), k=2))
            assert all(words.parts(connection, 1, word[start:end], range(1, BLOCK + 1))), word[start:end]
        for _ in range(20):
            other = long_words()[kind](chance)
            assert not any(words.parts(connection, 1, other, range(1, BLOCK + 1)))
    for place in places[:3]:
        assert found(store, lines[place]) == [place + 1]
        assert found(store, lines[place][40:]) == [place + 1]
