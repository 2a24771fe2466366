"""`sync`: what dead writers left, delivered on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loghook.credentials import KeySource
from loghook.errors import ConfigurationError
from loghook.listener import Destination
from loghook.spool import LOCAL, Limits, Log, writers
from loghook.sync import pending, sync
from loghook.testing import Platform, RecordingTransport
from loghook.transports.base import TryLater

Opener = Callable[[str, str], Destination]


def leave(home: Path, run: str, count: int, **destinations: str) -> str:
    """Leave a log behind as a writer does that has ended; return the writer's id."""
    log = Log(home, run, {"destinations": destinations}, Limits(segment=4096))
    for number in range(count):
        record = {"time": 1.0, "level": "INFO", "logger": "train", "message": str(number)}
        assert log.put(json.dumps(record).encode() + b"\n")
    log.close()
    return log.writer


def opening(*transports: RecordingTransport) -> Opener:
    """What makes destinations out of these transports, by their URLs."""
    by_url = {transport.where: transport for transport in transports}
    return lambda name, url: Destination(name, url, KeySource(environ={}), lambda: by_url[url])


def numbers(platform: Platform) -> list[int]:
    """The numbers of all records that a platform holds."""
    return [int(event["message"]) for event in platform.records()]


def test_everything_is_delivered_once_and_deleted(home: Path) -> None:
    """All runs' spools are delivered, with progress in bytes; a second time there is nothing to do."""
    leave(home, "one", 100, a="memory://a")
    leave(home, "two", 50, a="memory://a")
    transport = RecordingTransport("memory://a")
    told: list[tuple[int, int]] = []
    done = sync(home, opening(transport), batch_size=1000, progress=lambda *at: told.append(at))
    assert (done.delivered, done.refused, done.left) == (150, 0, {})
    assert numbers(transport.platform) == [*range(100), *range(50)]
    assert told == sorted(told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert transport.closed
    assert list(writers(home)) == []
    again = sync(home, opening(transport))
    assert (again.delivered, again.left) == (0, {})


def test_what_arrived_before_its_writer_died_is_deleted(home: Path) -> None:
    """A dead writer's spool that every destination has is deleted, unless one has refused some of it."""
    writer, refused = leave(home, "one", 10, a="memory://a"), leave(home, "one", 10, a="memory://a")
    for spool in writers(home):
        spool.acknowledge("a", spool.end())
        if spool.writer == refused:
            (spool.directory / "refused.ndjson").write_text("{}\n")
    transport = RecordingTransport("memory://a")
    assert sync(home, opening(transport)).delivered == 0
    assert transport.sent == []
    assert [spool.writer for spool in writers(home)] == [refused]
    assert writer != refused


def test_an_empty_home_has_nothing_to_deliver(home: Path) -> None:
    """Where there is no spool nothing is done, and nothing is made."""
    assert sync(home, opening()).delivered == 0
    assert not home.exists()


def test_what_is_for_this_machine_stays(home: Path) -> None:
    """A spool for the server on this machine is left to it."""
    leave(home, "run", 10, **{LOCAL: LOCAL})
    assert pending(home) == []
    assert sync(home, opening()).delivered == 0
    assert len(list(writers(home))) == 1


def test_a_living_writer_is_left_alone(home: Path) -> None:
    """The log of a process that lives is not touched."""
    log = Log(home, "run", {"destinations": {"a": "memory://a"}}, Limits(segment=4096))
    log.put(b'{"time":1.0,"level":"INFO","logger":"train","message":"1"}\n')
    transport = RecordingTransport("memory://a")
    assert sync(home, opening(transport)).delivered == 0
    log.close()
    assert sync(home, opening(transport)).delivered == 1


def test_each_destination_gets_its_own(home: Path) -> None:
    """A spool with two destinations goes to both, and is deleted when both have it."""
    leave(home, "run", 10, a="memory://a", b="memory://b")
    transports = RecordingTransport("memory://a"), RecordingTransport("memory://b")
    done = sync(home, opening(*transports))
    assert done.delivered == 20
    assert [numbers(transport.platform) for transport in transports] == [list(range(10))] * 2
    assert list(writers(home)) == []


def test_one_that_fails_does_not_keep_the_other(home: Path) -> None:
    """A platform that fails has its spools left, with the reason, until later; the other one's are delivered."""
    leave(home, "one", 10, a="memory://a", b="memory://b")
    leave(home, "two", 10, a="memory://a")
    failing = RecordingTransport("memory://a", script=(TryLater("it is down"),))
    working = RecordingTransport("memory://b")
    done = sync(home, opening(failing, working))
    assert done.left == {"memory://a": "it is down"}
    assert numbers(working.platform) == list(range(10))
    assert numbers(failing.platform) == []
    later = sync(home, opening(failing, working))
    assert (later.left, later.delivered) == ({}, 20)
    assert list(writers(home)) == []


@pytest.mark.parametrize("error", [ConfigurationError("no such scheme"), RuntimeError("broken")])
def test_one_that_can_not_be_opened_does_not_keep_the_other(home: Path, error: Exception) -> None:
    """A destination that can't be opened, or breaks, is told of like one that is down, and its spools stay free."""
    leave(home, "one", 10, a="memory://a")
    leave(home, "two", 10, b="memory://b")
    working = RecordingTransport("memory://b")

    def opener(name: str, url: str) -> Destination:
        if name == "a":
            raise error
        return opening(working)(name, url)

    done = sync(home, opener)
    assert list(done.left) == ["memory://a"]
    assert str(error) in done.left["memory://a"]
    assert numbers(working.platform) == list(range(10))
    assert sync(home, opening(RecordingTransport("memory://a"))).delivered == 10


def test_patience_waits_for_a_platform(home: Path) -> None:
    """With patience a platform that fails for a moment is tried again."""
    leave(home, "run", 10, a="memory://a")
    transport = RecordingTransport("memory://a", script=(TryLater("busy"), TryLater("busy", after=0.1)))
    assert sync(home, opening(transport), patience=10).delivered == 10


def test_refused_events_are_counted_and_kept(home: Path) -> None:
    """An event that the platform refuses is counted, kept in the spool's folder, and not sent again."""
    name = leave(home, "run", 10, a="memory://a")
    transport = RecordingTransport("memory://a")
    transport.platform.refuse = lambda event: "not 3" if event["message"] == "3" else None
    done = sync(home, opening(transport))
    assert (done.delivered, done.refused, done.left) == (9, 1, {})
    assert "not 3" in (home / "spool" / "run" / name / "refused.ndjson").read_text()
    sent = len(transport.sent)
    assert sync(home, opening(transport)).delivered == 0
    assert len(transport.sent) == sent
