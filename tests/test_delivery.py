"""How a delivery keeps its books while a transport holds events back."""

from __future__ import annotations

import json
from pathlib import Path

from loghook.credentials import KeySource
from loghook.delivery import Delivery
from loghook.retry import Advance, Rewind, Wait
from loghook.spool.acks import Acks
from loghook.transports import Batch, Delivered, Gap, Outcome, Refused, Transport, TryLater

LINES = [json.dumps({"time": 1.0, "message": str(number)}).encode() + b"\n" for number in range(10)]
SIZE = len(LINES[0])


class Source:
    """A log in memory."""

    run, writer, first = "run", "writer", 0

    def __init__(self, directory: Path | None = None) -> None:
        self.acks = Acks(None)
        self.directory = directory
        self.data = b""

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Whole lines."""
        part = self.data[offset : offset + max_bytes]
        return part[: part.rfind(b"\n") + 1]

    def skip(self, destination: str, offset: int) -> None:
        """Go on at an offset."""
        self.acks.move(destination, offset, events=0)


class Holding(Transport):
    """Holds all it takes until it is urgent."""

    def __init__(self) -> None:
        super().__init__("memory://", KeySource(environ={}))
        self.safe = 0
        self.batches: list[Batch] = []
        self.next: Outcome | None = None

    def send(self, batch: Batch) -> Outcome:
        """Take everything; give the scripted outcome first."""
        self.batches.append(batch)
        if self.next is not None:
            outcome, self.next = self.next, None
            return outcome
        if batch.urgent:
            self.safe = batch.next
        return Delivered(self.safe, taken=batch.next)


def test_what_is_held_is_not_acknowledged() -> None:
    """Batches follow one another while the acknowledged offset stays, until the transport says that all is safe."""
    source, transport = Source(), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    source.data = LINES[0] * 2
    assert delivery.step(transport) == Advance(0, taken=2 * SIZE)
    source.data += LINES[0]
    assert delivery.step(transport) == Advance(0, taken=3 * SIZE)
    assert [batch.offset for batch in transport.batches] == [0, 2 * SIZE]
    assert (delivery.position, delivery.cursor, delivery.is_done) == (0, 3 * SIZE, False)
    assert source.acks.get("there").events == 0
    assert delivery.step(transport, urgent=True) == Advance(3 * SIZE, taken=3 * SIZE)
    assert source.acks.get("there") == (3 * SIZE, 3, 0)
    assert delivery.is_done


def test_a_transport_that_holds_is_asked_again_with_an_empty_batch() -> None:
    """With nothing new the transport gets an empty batch at the cursor, and a step that brings nothing is None."""
    source, transport = Source(), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    source.data = LINES[0]
    delivery.step(transport)
    assert delivery.step(transport) is None
    assert transport.batches[-1].body == b""
    assert transport.batches[-1].offset == SIZE


def test_an_event_that_is_refused_late_is_counted_and_kept(tmp_path: Path) -> None:
    """What the platform turns out not to take of an earlier batch counts as refused, and its line is kept."""
    source, transport = Source(tmp_path), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    for number in range(3):
        source.data += LINES[number] * 2
        delivery.step(transport)
    transport.next = Delivered(6 * SIZE, taken=6 * SIZE, late=((3 * SIZE, "no"),))
    delivery.step(transport)
    assert source.acks.get("there") == (6 * SIZE, 5, 1)
    transport.next = Delivered(7 * SIZE, late=((0, "no"),))  # so late that it counts as delivered
    source.data += LINES[3]
    delivery.step(transport)
    assert source.acks.get("there") == (7 * SIZE, 5, 2)
    kept = [json.loads(line) for line in (tmp_path / "refused.ndjson").read_text().splitlines()]
    assert [(one["offset"], one["event"]) for one in kept] == [(3 * SIZE, LINES[1].decode()), (0, LINES[0].decode())]
    assert delivery.set_aside == 2


def test_acknowledging_stops_at_the_end_of_a_batch() -> None:
    """An offset inside what was taken acknowledges only the batches that end before it."""
    source, transport = Source(), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    for _ in range(3):
        source.data += LINES[0]
        delivery.step(transport)
    transport.safe = 2 * SIZE + 1
    delivery.step(transport)
    assert source.acks.get("there") == (2 * SIZE, 2, 0)


def test_trouble_with_what_is_held_is_waited_out() -> None:
    """An empty batch that ends in trouble makes a wait, and the cursor stays."""
    source, transport = Source(), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    source.data = LINES[0]
    delivery.step(transport)
    transport.next = TryLater("down")
    assert isinstance(delivery.step(transport), Wait)
    assert delivery.cursor == SIZE


def test_another_transport_begins_at_the_acknowledged_offset() -> None:
    """After `restart` everything that was held is sent again."""
    source, transport = Source(), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    source.data = LINES[0]
    delivery.step(transport)
    delivery.restart()
    assert delivery.cursor == 0
    delivery.step(transport)
    assert transport.batches[-1].offset == 0


def test_a_transport_may_ask_for_what_it_forgot() -> None:
    """A gap at the acknowledged offset takes the cursor back and counts nothing twice."""
    source, transport = Source(), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    source.data = LINES[0]
    delivery.step(transport)
    transport.next = Gap(0)
    source.data += LINES[0]
    assert isinstance(delivery.step(transport), Rewind)
    assert delivery.cursor == 0
    delivery.step(transport, urgent=True)
    assert source.acks.get("there") == (2 * SIZE, 2, 0)


def test_a_refused_event_is_counted_when_its_batch_is_safe(tmp_path: Path) -> None:
    """An event set aside counts as refused, once, with the batch that it was blanked in."""
    source, transport = Source(tmp_path), Holding()
    delivery = Delivery(source, "there", 1 << 20)
    source.data = b"".join(LINES[:3])
    transport.next = Refused("bad", line=1)
    delivery.step(transport)
    delivery.step(transport)
    assert source.acks.get("there") == (0, 0, 0)
    delivery.step(transport, urgent=True)
    assert source.acks.get("there") == (3 * SIZE, 2, 1)
    assert delivery.set_aside == 1
    assert (tmp_path / "refused.ndjson").read_text().count("\n") == 1
