"""The index of words, against a search that looks at every line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from loghook.server.ingest import Ingest
from loghook.server.store import Store, logs, words
from loghook.server.store.words import BLOCK

LINES = 2 * BLOCK + 4_000
RARE = {
    3: "CUDA error: out of memory",
    BLOCK - 1: "request e3b0c442-98fc failed",
    BLOCK: "the first of its block",
    BLOCK + 77: "Größe ΣΊΣΥΦΟΣ İstanbul",
    2 * BLOCK + 9: "checkpoint_0042.pt written",
    LINES - 2: "last words",
}
TEXTS = [
    *("cuda error", "ERROR: out", "rror: ou", "e3b0c442", "C442-98", "first of its", "größe", "σίσυφοσ", "İstanbul"),
    *(
        "point_0042",
        "0042.pt",
        "42",
        "last words",
        "step 4",
        "nothing of the kind",
        "written",
        " ",
        "...",
        "ValueError",
    ),
]


@pytest.fixture(scope="module", params=["at once", "in batches, forgotten now and then", "by an older version"])
def filled(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Store, list[str]]]:
    """A store with a run of some blocks of lines, and what can be searched of each line."""
    store = Store(Path(tmp_path_factory.mktemp("words")) / "test.db")
    (account,) = store.writer.run(
        lambda connection: connection.execute(
            "INSERT INTO accounts VALUES (1, 'a', 0, NULL) RETURNING number"
        ).fetchone()
    )
    ingest, chance = Ingest(store), random.Random(5)
    texts, offset, body, left = [], 0, b"", 0
    for number in range(LINES):
        event: dict[str, Any] = {"time": 1.0}
        event["message"] = RARE.get(number, f"step {number} of the epoch, all is well")
        if number == 2 * BLOCK + 500:
            event["exception"] = "Traceback\nValueError: no such thing"
        texts.append("\n".join(filter(None, (event["message"], event.get("exception")))).lower())
        body += orjson.dumps(event) + b"\n"
        left -= 1
        if left <= 0 or number == LINES - 1:
            ingest.events(account, "run", "writer", offset, body)
            offset, body = offset + len(body), b""
            left = 20_000 if request.param == "at once" else chance.choice([1, 7, 900, 5_000])
            if request.param.startswith("in batches") and chance.random() < 0.2:
                store.writer.run(lambda connection: store.words.forget())
    if request.param.startswith("by an older"):
        store.writer.run(lambda connection: connection.execute("DELETE FROM words WHERE block % 2"))
    yield store, texts
    store.close()


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_found_is_what_is_there(filled: tuple[Store, list[str]], text: str) -> None:
    """A search finds the very lines that hold the text, upwards and downwards, over as many pages as it takes."""
    store, texts = filled
    expected = [number for number, line in enumerate(texts, 1) if text.lower() in line]
    if len(expected) > 2_000:
        expected = expected[:1_000] + expected[-1_000:]
    assert found(store, text, upwards=True)[:1_000] == expected[:1_000]
    assert found(store, text, upwards=False)[:1_000] == expected[::-1][:1_000]


def found(store: Store, text: str, *, upwards: bool) -> list[int]:
    """Return the numbers of at least the first thousand lines that a search finds, in the order of the search."""
    numbers: list[int] = []
    place: int | None = 0 if upwards else LINES + 1
    while place is not None and len(numbers) < 1_000 and not (upwards and place >= LINES):
        with store.reading() as connection:
            if upwards:
                page = logs.newer(connection, 1, logs.Filter(text=text), 400, place)
                assert page.next > place
                place = page.next
                numbers += [line["id"] for line in page.lines]
            else:
                page = logs.older(connection, 1, logs.Filter(text=text), 400, place)
                assert page.first is None or page.first < place
                place = page.first
                numbers += [line["id"] for line in reversed(page.lines)]
    return numbers


def test_blocks_without_the_text_are_left_out(filled: tuple[Store, list[str]], request: pytest.FixtureRequest) -> None:
    """Of all full blocks that the index knows only the one that holds a rare text is read, and the last, open one."""
    store, _ = filled
    with store.reading() as connection:
        known = {block & 0xFFFF for (block,) in connection.execute("SELECT block FROM words")}
        parts = list(words.parts(connection, 1, "e3b0c442", range(1, LINES + 1)))
    read = {(part[0] - 1) // BLOCK for part in parts if part}
    assert read == {0, *(set(range(3)) - known)}
    assert 0 in known


def test_the_index_is_small(filled: tuple[Store, list[str]]) -> None:
    """The words of a block take less than a tenth of its lines' bytes where lines are alike but for a number."""
    store, texts = filled
    with store.reading() as connection:
        (size, blocks) = connection.execute("SELECT sum(length(plain) + length(mixed)), count(*) FROM words").fetchone()
        (lines,) = connection.execute("SELECT sum(length(line)) FROM logs").fetchone()
    assert size / blocks < lines / len(texts) * BLOCK / 10
