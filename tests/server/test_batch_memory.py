"""What is left of a batch in memory, once its sender has the answer."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.server.ingest import Gap, Ingest, Stored
from loghook.server.parsed import Parsed
from loghook.server.store import Store

LINE = b'{"time": 1, "message": "m"}\n'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store, beside which nothing collects garbage."""
    opened = Store(tmp_path / "test.db")
    opened.writer.run(lambda connection: connection.execute("INSERT INTO accounts VALUES (1, 'a', 0, NULL)").rowcount)
    gc.collect()
    gc.disable()
    yield opened
    gc.enable()
    opened.close()


def answer(store: Store, offset: int) -> Stored | int:
    """Send a batch, and return what is answered, of a gap the offset that was expected."""
    try:
        return Ingest(store).events(1, "run", "writer", offset, LINE)
    except Gap as gap:
        return gap.expected


@pytest.mark.parametrize(("offset", "said"), [(0, Stored(len(LINE))), (99, 0)], ids=["stored", "gap"])
def test_a_batch_is_gone_with_its_answer(store: Store, offset: int, said: Stored | int) -> None:
    """Of a batch that was stored, and of one beyond a gap, nothing waits for the garbage collector or the next one."""
    assert answer(store, offset) == said
    end = time.monotonic() + 10
    while left := [one for one in gc.get_objects() if isinstance(one, Parsed)]:
        assert time.monotonic() < end
        left.clear()
        time.sleep(0.001)
