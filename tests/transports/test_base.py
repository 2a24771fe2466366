"""A batch is cut and blanked without moving anything in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loghook.testing import RecordingTransport
from loghook.transports import Batch

LINES = st.lists(st.sampled_from([b"\n", b"  \n", b"{}\n", b'{"a": 1}\n', b" [2]\n", b"\t\r\n"]), max_size=12)


def made(lines: list[bytes], offset: int = 40) -> Batch:
    """A batch of lines at an offset."""
    return Batch("run", "writer", offset, b"".join(lines))


def test_next_is_the_offset_behind_the_body() -> None:
    """`next` counts bytes, not characters or lines."""
    assert made(["ü\n".encode()], 40).next == 43


@given(LINES)
def test_events_are_the_lines_that_are_not_blank(lines: list[bytes]) -> None:
    """`events` names line and span of each event, `count` their number."""
    batch = made(lines)
    found = []
    start = batch.offset
    for number, line in enumerate(lines):
        if line.strip():
            found.append((number, start, start + len(line)))
        start += len(line)
    assert list(batch.events()) == found
    assert batch.count == len(found)
    assert [batch.span(number) for number, _, _ in found] == [(start, end) for _, start, end in found]


def test_a_blank_or_missing_line_has_no_span() -> None:
    """`span` is None for filler and beyond the end."""
    batch = made([b"{}\n", b"\n"])
    assert batch.span(0) == (40, 43)
    assert (batch.span(1), batch.span(2), batch.span(-1)) == (None, None, None)


@given(LINES, st.integers(1, 12) | st.none(), st.integers(0, 60) | st.none())
def test_a_head_has_whole_lines_and_an_event(lines: list[bytes], events: int | None, size: int | None) -> None:
    """`head` keeps the beginning, within its bounds, but never without the first event."""
    batch = made(lines)
    head = batch.head(events=events, size=size)
    assert batch.body.startswith(head.body)
    assert (head.run, head.writer, head.offset, head.first) == (batch.run, batch.writer, batch.offset, batch.first)
    assert not head.body or head.body.endswith(b"\n")
    assert head.count >= min(1, batch.count)
    if events is not None:
        assert head.count <= events
    if size is not None and head.count > 1:
        assert len(head.body) <= size
    if events is None and size is None:
        assert head.count == batch.count


@given(LINES, st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=4))
def test_blanking_moves_nothing(lines: list[bytes], spans: list[tuple[int, int]]) -> None:
    """`without` leaves the length and every byte outside the spans, and leaves no event inside them."""
    batch = made(lines)
    blanked = batch.without(spans)
    assert len(blanked.body) == len(batch.body)
    for position, (before, after) in enumerate(zip(batch.body, blanked.body, strict=True), batch.offset):
        inside = any(start <= position < end for start, end in spans)
        assert after == (ord("\n") if inside else before)


def test_a_blanked_event_leaves_the_others() -> None:
    """Blanking an event's span takes out that event and no other."""
    batch = made([b"[1]\n", b"[2]\n", b"[3]\n"])
    span = batch.span(1)
    assert span is not None
    assert batch.without([span]).body == b"[1]\n\n\n\n\n[3]\n"


@given(LINES, st.integers(0, 200))
def test_line_end_is_the_last_line_end_at_or_before(lines: list[bytes], offset: int) -> None:
    """`line_end` never lands inside a line, before the batch, or beyond it."""
    batch = made(lines)
    ends = [batch.offset]
    for line in lines:
        ends.append(ends[-1] + len(line))
    assert batch.line_end(offset) == max([end for end in ends if end <= offset], default=batch.offset)


def test_a_transports_repr_names_it_without_its_password() -> None:
    """A transport shows its class and URL, and nothing of the user or password in the URL."""
    transport = RecordingTransport("memory://user:secret@somewhere/x")
    assert repr(transport) == "<RecordingTransport memory://somewhere/x>"
