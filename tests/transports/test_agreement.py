"""The fake of our own server and the server itself answer the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from loghook.credentials import KeySource, key_files
from loghook.server.serving import Server
from loghook.testing import FakeLoghookServer
from loghook.transports import Batch, Delivered, Gap, Outcome, Refused, TryLater
from loghook.transports.loghook import LoghookTransport

LINE = b'{"time": 1763740000, "level": "INFO", "logger": "train", "message": "m", "metrics": {"loss": 0.5}}\n'
SIZE = len(LINE)
FAR = 1_000_000

Platform = Callable[[Path], AbstractContextManager[LoghookTransport]]


def batch(offset: int, body: bytes, first: int = 0, run: str = "run") -> Batch:
    """A batch of the one writer."""
    return Batch(run, "writer", offset, body, first)


@contextmanager
def fake(home: Path) -> Iterator[LoghookTransport]:
    """A transport to the fake."""
    with FakeLoghookServer() as server:
        transport = LoghookTransport(server.url, KeySource(environ={"LOGHOOK_API_KEY": server.key}), timeout=5)
        yield transport
        transport.close()


@contextmanager
def real(home: Path) -> Iterator[LoghookTransport]:
    """A transport to a server with a home of its own."""
    with Server(home, "127.0.0.1", 0) as server:
        keys = KeySource(environ={}, files=key_files(None, home))
        transport = LoghookTransport(server.url, keys, timeout=5)
        yield transport
        transport.close()


@pytest.mark.parametrize("platform", [fake, real])
def test_the_ingest_protocol(platform: Platform, tmp_path: Path) -> None:
    """Repeats, overlaps, gaps, filler, lines that are no events and a wrong run have these outcomes, in this order."""
    steps: list[tuple[Batch, Outcome | type[Outcome]]] = [
        (batch(0, LINE * 10), Delivered(10 * SIZE)),
        (batch(0, LINE * 10), Delivered(10 * SIZE)),
        (batch(0, LINE), Delivered(SIZE)),
        (batch(5 * SIZE, LINE * 10), Delivered(15 * SIZE)),
        (batch(FAR, LINE), Gap(15 * SIZE)),
        (batch(FAR, LINE, first=FAR), Delivered(FAR + SIZE)),
        (batch(FAR + SIZE, b"\n" * 100), Delivered(FAR + SIZE + 100)),
        (batch(FAR + SIZE + 100, LINE + b"\nnonsense\n" + LINE), Delivered(FAR + 3 * SIZE + 110, ((2, ""),))),
        (batch(2 * FAR, b"", first=2 * FAR), Delivered(2 * FAR)),
        (batch(2 * FAR, LINE), Delivered(2 * FAR + SIZE)),
        (batch(0, LINE, run="no id"), Refused),
    ]
    with platform(tmp_path) as transport:
        for number, (sent, expected) in enumerate(steps):
            outcome = transport.send(sent)
            if isinstance(expected, type):
                assert isinstance(outcome, expected), number
                continue
            if isinstance(outcome, Delivered):
                outcome = Delivered(outcome.offset, tuple((line, "") for line, _ in outcome.set_aside))
            assert outcome == expected, number


@pytest.mark.parametrize("platform", [fake, real])
def test_a_wrong_key(platform: Platform, tmp_path: Path) -> None:
    """A key of nobody is refused as a key."""
    with platform(tmp_path) as transport:
        wrong = LoghookTransport(transport.where, KeySource(environ={"LOGHOOK_API_KEY": "nobody's"}), timeout=5)
        outcome = wrong.send(batch(0, LINE))
        wrong.close()
        assert isinstance(outcome, TryLater)
        assert outcome.key
