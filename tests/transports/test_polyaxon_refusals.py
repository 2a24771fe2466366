"""What Polyaxon will never take is counted and kept, whenever that turns out, and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loghook.credentials import KeySource
from loghook.delivery import Delivery
from loghook.retry import Wait
from loghook.spool.acks import Acks
from loghook.testing import Answer, Clock, Request
from loghook.transports.polyaxon.generation2 import Polyaxon2Transport

from .platforms.generation2 import FakePolyaxon2

NOW = 1763740000.0
RUN = "0123456789abcdef0123456789abcdef"
TOO_LARGE = Answer(413, {"Content-Type": "text/html"}, b"<h1>413</h1>")
STARTED = {"event": "run_started", "run": {"name": "dogs vs. cats", "host": "h", "pid": 7}}


class Log:
    """A writer's log in memory, whose refused events are kept in a folder."""

    run, writer, first = RUN, "writer", 0

    def __init__(self, directory: Path) -> None:
        self.acks = Acks(None)
        self.directory = directory
        self.data = b""
        self.events = 0

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Whole lines."""
        part = self.data[offset : offset + max_bytes]
        return part[: part.rfind(b"\n") + 1]

    def add(self, *events: dict[str, Any]) -> None:
        """Log some events, a second apart."""
        for event in events:
            self.data += json.dumps({"time": NOW + self.events, **event}).encode() + b"\n"
            self.events += 1


class Way:
    """A delivery to a strict server that may refuse what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.log = Log(folder)
        self.server = FakePolyaxon2(token=None)
        self.clock = Clock()
        keys = KeySource(environ={})
        url = f"polyaxon2+{self.server.url}/default/digits"
        self.transport = Polyaxon2Transport(url, keys, timeout=1.0, clock=self.clock, environ={})
        self.delivery = Delivery(self.log, "there", 1 << 20)

    def refuse(self, what: Callable[[bytes], bool]) -> None:
        """Answer 413 to each upload whose content is such."""
        respond = self.server.respond

        def answer(request: Request) -> Answer:
            return TOO_LARGE if request.path.endswith("/artifact") and what(request.body) else respond(request)

        self.server.respond = answer

    def step(self, *, urgent: bool = False) -> None:
        """Send one batch."""
        self.delivery.step(self.transport, urgent=urgent)

    def counted(self) -> tuple[int, int]:
        """How many events count as delivered and as refused, all being acknowledged."""
        offset, delivered, refused = self.log.acks.get("there")
        assert offset == len(self.log.data)
        assert delivered + refused == self.log.events
        return delivered, refused

    def kept(self) -> list[dict[str, Any]]:
        """The events that are kept apart, each in full."""
        path = self.log.directory / "refused.ndjson"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(json.loads(line)["event"]) for line in lines]

    def messages(self) -> list[str]:
        """What the log on the server says."""
        return [entry["value"].partition(" -- ")[2] for entry in self.server.log(RUN)]


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    """A fresh one."""
    way = Way(tmp_path)
    yield way
    way.transport.close()
    way.server.close()
    assert not way.server.violations
    assert not way.server.errors


def record(message: str, **more: Any) -> dict[str, Any]:
    """A record's event."""
    return {"level": "INFO", "logger": "t", "message": message, **more}


def test_a_line_of_an_earlier_batch_is_refused(way: Way) -> None:
    """A line held since an earlier batch, which the server refuses even alone, is counted as refused and kept."""
    way.refuse(lambda body: b"poison" in body)
    way.log.add(STARTED, record("first"))
    way.step()
    way.log.add(record("one"), record("poison"), record("two"))
    way.step()  # held: the last chunk went this moment
    assert way.delivery.position < len(way.log.data)
    way.log.add(record("three"))
    way.clock.advance(60)
    way.step()
    assert way.counted() == (5, 1)
    assert [event["message"] for event in way.kept()] == ["poison"]
    assert way.messages() == ["first", "one", "two", "three"]


def test_a_line_is_refused_while_nothing_new_comes(way: Way) -> None:
    """The same with an empty batch, which is what a transport that holds events gets."""
    way.refuse(lambda body: b"poison" in body)
    way.log.add(STARTED, record("first"))
    way.step()
    way.log.add(record("poison"))
    way.step()
    way.step(urgent=True)
    assert way.counted() == (2, 1)
    assert [event["message"] for event in way.kept()] == ["poison"]


def test_an_event_counts_once_however_much_of_it_is_refused(way: Way) -> None:
    """An event whose line is refused in one upload, and whose point in a later one, is one refused event."""
    way.refuse(lambda body: b"poison" in body or b"|13.0\n" in body)
    way.log.add(STARTED, record("first", metrics={"loss": 1.0}))
    way.step()
    way.log.add(record("poison", metrics={"loss": 13.0}), record("two"))
    way.step()
    way.clock.advance(1.5)
    way.step()  # the lines are due, the points are not
    way.step(urgent=True)
    assert way.counted() == (3, 1)
    assert [event["message"] for event in way.kept()] == ["poison"]
    assert way.messages() == ["first", "two"]


def test_a_metric_whose_file_is_full_holds_nothing_up(way: Way) -> None:
    """Points that no longer go into their file are refused; lines, other metrics and the end of the run arrive."""
    way.refuse(lambda body: b'filename="loss.plx"' in body and len(body) > 3000)
    way.log.add(STARTED)
    for step in range(100):
        way.log.add(record(f"line {step}", metrics={"loss": float(step), "acc": step / 2}, step=step))
        if step % 10 == 0:
            way.clock.advance(60)
            way.step()
    way.log.add({"event": "run_ended", "status": "success"})
    way.step()
    found = way.server.points(RUN, "loss")
    _, refused = way.counted()
    assert 10 < len(found) < 100
    assert found == [(str(step), float(step)) for step in range(len(found))]
    assert refused == 100 - len(found)
    assert [event["step"] for event in way.kept()] == list(range(len(found), 100))
    assert len(way.server.points(RUN, "acc")) == 100
    assert way.messages() == [f"line {step}" for step in range(100)]
    assert way.server.runs[RUN]["status"] == "succeeded"
    assert way.server.artifacts[RUN]["loss"]["summary"]["step"]["count"] == len(found)


def test_a_platform_that_takes_no_metric_file_is_told_all_else(way: Way) -> None:
    """Where not even one point goes into a file, there is none, nobody names it, and the log arrives."""
    way.refuse(lambda body: b"events/metric" in body)
    way.log.add(STARTED, *(record(f"line {step}", metrics={"loss": 1.0}) for step in range(5)))
    way.step(urgent=True)
    assert way.counted() == (1, 5)
    assert way.messages() == [f"line {step}" for step in range(5)]
    assert RUN not in way.server.artifacts or not way.server.artifacts[RUN]


def test_last_values_that_are_refused_hold_nothing_up(way: Way) -> None:
    """When the platform takes the metrics' files but not the last values beside them, the run says so and goes on."""
    respond = way.server.respond
    way.server.respond = lambda request: TOO_LARGE if b'"outputs"' in request.body else respond(request)
    way.log.add(STARTED, record("", metrics={"loss": 1.0}))
    way.step(urgent=True)
    assert way.counted() == (2, 0)
    assert way.server.points(RUN, "loss") == [("0", 1.0)]
    assert "413" in way.server.runs[RUN]["meta_info"]["loghook-trouble"]


def test_a_managed_runs_folder_that_cannot_be_written_is_waited_for(way: Way, tmp_path: Path) -> None:
    """In a job that Polyaxon manages nothing is given up for its folder's sake: what is in the way is named."""
    environ = {
        "POLYAXON_RUN_INSTANCE": f"default.digits.runs.{RUN}",
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_ARTIFACTS_ROOT": str(tmp_path),
    }
    url = f"polyaxon2+{way.server.url}/default/digits"
    way.transport = Polyaxon2Transport(url, KeySource(environ={}), timeout=1.0, clock=way.clock, environ=environ)
    (tmp_path / RUN).write_text("a file where a folder is to be")
    way.log.add(STARTED, record("one", metrics={"loss": 1.0}))
    decision = way.delivery.step(way.transport, urgent=True)
    assert isinstance(decision, Wait)
    assert str(tmp_path / RUN) in decision.reason
    (tmp_path / RUN).unlink()
    way.step(urgent=True)
    assert way.counted() == (2, 0)
    assert (tmp_path / RUN / "events/metric/loss.plx").read_text().count("|1.0\n") == 1
