"""The retry policy: a table of steps, and what holds for every history."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loghook.retry import (
    LONGEST_BACKOFF,
    LONGEST_WAIT,
    QUICK_SET_ASIDES,
    SMALLEST_LIMIT,
    SMALLEST_WINDOW,
    Advance,
    Decision,
    Retry,
    Rewind,
    SetAside,
    Split,
    Wait,
)
from loghook.transports.base import Batch, Delivered, Gap, Outcome, Refused, TryLater

LINE = b'{"a": 1}\n'
TEN = Batch("run", "writer", 90, LINE * 10)
ONE = Batch("run", "writer", 90, b"\n" + LINE)
FILLER = Batch("run", "writer", 90, b"\n" * 9)


def after(outcome: Outcome, batch: Batch = TEN, history: Retry | None = None, jitter: float = 1.0) -> Decision:
    """The decision alone."""
    return (history or Retry()).after(outcome, batch, jitter=jitter)[1]


@pytest.mark.parametrize(
    ("outcome", "batch", "history", "decision"),
    [
        # delivered
        (Delivered(180), TEN, Retry(), Advance(180)),
        (Delivered(108), TEN, Retry(), Advance(108)),
        (Delivered(110), TEN, Retry(), Advance(108)),
        (Delivered(999), TEN, Retry(), Advance(180)),
        (Delivered(180, ((3, "bad"),)), TEN, Retry(), Advance(180, ((3, "bad"),))),
        (Delivered(90), TEN, Retry(), Wait(0.5, "the platform took nothing of the batch")),
        (Delivered(0), TEN, Retry(), Wait(0.5, "the platform took nothing of the batch")),
        (Delivered(99), FILLER, Retry(), Advance(99)),
        # try later: backoff doubles, is capped, and gives way to the platform's wish
        (TryLater("down"), TEN, Retry(), Wait(0.5, "down")),
        (TryLater("down"), TEN, Retry(failures=1), Wait(1.0, "down")),
        (TryLater("down"), TEN, Retry(failures=5), Wait(16.0, "down")),
        (TryLater("down"), TEN, Retry(failures=6), Wait(30.0, "down")),
        (TryLater("down"), TEN, Retry(failures=10**9), Wait(30.0, "down")),
        (TryLater("busy", 7), TEN, Retry(), Wait(7.5, "busy")),
        (TryLater("busy", 7), TEN, Retry(failures=9), Wait(7.5, "busy")),
        (TryLater("busy", 0), TEN, Retry(failures=1), Wait(1.0, "busy")),
        (TryLater("busy", -5), TEN, Retry(), Wait(0.5, "busy")),
        (TryLater("busy", 1e9), TEN, Retry(), Wait(300.0, "busy")),
        (TryLater("busy", math.inf), TEN, Retry(), Wait(300.0, "busy")),
        (TryLater("busy", math.nan), TEN, Retry(), Wait(0.5, "busy")),
        (TryLater("no key", key=True), TEN, Retry(), Wait(0.5, "no key", key=True)),
        # gap: back once at once, then ever slower
        (Gap(40), TEN, Retry(), Rewind(40)),
        (Gap(0), TEN, Retry(rewinds=1), Rewind(0, 0.5)),
        (Gap(0), TEN, Retry(rewinds=9), Rewind(0, 30.0)),
        (Gap(90), TEN, Retry(), Wait(0.5, "the platform expects offset 90, which makes no sense at offset 90")),
        (Gap(180), TEN, Retry(), Wait(0.5, "the platform expects offset 180, which makes no sense at offset 90")),
        (Gap(-1), TEN, Retry(), Wait(0.5, "the platform expects offset -1, which makes no sense at offset 90")),
        # refused: the one event is set aside, of many the bad one is looked for
        (Refused("bad"), ONE, Retry(), SetAside(91, 100, "bad")),
        (Refused("bad", line=3), TEN, Retry(), SetAside(117, 126, "bad")),
        (Refused("bad", line=0), ONE, Retry(), SetAside(91, 100, "bad")),
        (Refused("bad", line=77), ONE, Retry(), SetAside(91, 100, "bad")),
        (Refused("bad", line=77), TEN, Retry(), Split("bad")),
        (Refused("bad", line=-1), TEN, Retry(), Split("bad")),
        (Refused("bad"), TEN, Retry(), Split("bad")),
        (Refused("bad"), FILLER, Retry(), Wait(0.5, "bad")),
        (Refused("big", too_large=True), ONE, Retry(), SetAside(91, 100, "big")),
        (Refused("big", too_large=True), TEN, Retry(), Split("big")),
        (Refused("bad"), ONE, Retry(aside=2), SetAside(91, 100, "bad")),
        (Refused("bad"), ONE, Retry(aside=3), SetAside(91, 100, "bad", 0.5)),
        (Refused("bad"), ONE, Retry(aside=99), SetAside(91, 100, "bad", 30.0)),
        (Refused("big", too_large=True), ONE, Retry(aside=99), SetAside(91, 100, "big")),
    ],
)
def test_the_table(outcome: Outcome, batch: Batch, history: Retry, decision: Decision) -> None:
    """Each outcome with its history leads to this decision."""
    assert after(outcome, batch, history) == decision


def test_what_is_no_outcome_waits() -> None:
    """A transport that returns something else loses nothing."""
    nonsense: Outcome = None  # type: ignore[assignment]
    assert after(nonsense) == Wait(0.5, "the transport gave no outcome but NoneType")


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 8.0), (0.5, 12.0), (1.0, 16.0), (-9, 8.0), (math.nan, 16.0)])
def test_jitter_spreads_a_backoff_over_its_upper_half(jitter: float, seconds: float) -> None:
    """Ranks that failed together do not come back together."""
    assert after(TryLater("down"), history=Retry(failures=5), jitter=jitter).seconds == seconds


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_the_platforms_wish_is_kept_to_half_a_second(jitter: float) -> None:
    """The next send comes not before the platform wants it, and at most 0.5 s later."""
    assert 7.0 <= after(TryLater("busy", 7), jitter=jitter).seconds <= 7.5


def test_a_delivery_ends_the_backoff() -> None:
    """After one delivery the next failure waits as the first did."""
    retry = Retry(failures=9, rewinds=3, aside=5)
    retry, _ = retry.after(Delivered(180), TEN)
    assert retry == Retry()


def test_filler_does_not_count_as_a_success() -> None:
    """A delivered batch without events does not speed up setting aside again."""
    retry, _ = Retry(aside=5).after(Delivered(99), FILLER)
    assert retry.aside == 5


def test_batches_shrink_while_sending_fails_and_grow_back() -> None:
    """From the second failure in a row a batch is halved, down to 16 KiB; each delivery doubles it again."""
    whole = Batch("run", "writer", 0, LINE * 100_000)
    retry, sizes = Retry(), []
    for _ in range(8):
        sizes.append(len(retry.trim(whole).body))
        retry, _ = retry.after(TryLater("slow"), retry.trim(whole))
    assert sizes[0] == sizes[1] == len(whole.body)
    assert all(later <= earlier // 2 or later <= SMALLEST_WINDOW for earlier, later in itertools.pairwise(sizes[1:]))
    assert SMALLEST_WINDOW - len(LINE) < sizes[-1] <= SMALLEST_WINDOW
    for _ in range(10):
        batch = retry.trim(whole)
        retry, _ = retry.after(Delivered(batch.next), batch)
    assert retry.trim(whole) is whole


def test_a_key_in_the_way_does_not_shrink_batches() -> None:
    """A wrong key says nothing about the size of a batch."""
    retry = Retry()
    for _ in range(9):
        retry, _ = retry.after(TryLater("no key", key=True), TEN)
    assert retry.window is None


@pytest.mark.parametrize(("told", "limit"), [(None, 450_000), (300_000, 300_000), (900_000, 450_000), (5, 65_536)])
def test_a_batch_too_large_is_cut_to_what_the_platform_takes(told: int | None, limit: int) -> None:
    """The limit is the platform's word if that is smaller than what it refused, else half, and at least 64 KiB."""
    whole = Batch("run", "writer", 0, LINE * 100_000)
    retry, decision = Retry().after(Refused("big", too_large=True, max_bytes=told), whole)
    assert decision == Split("big")
    assert limit - len(LINE) < len(retry.trim(whole).body) <= limit
    retry, _ = retry.after(Delivered(retry.trim(whole).next), retry.trim(whole))
    assert len(retry.trim(whole).body) <= limit, "the limit stays"


def test_below_the_smallest_limit_events_are_counted_off() -> None:
    """A small batch that is still too large is halved by events."""
    small = Batch("run", "writer", 0, LINE * (SMALLEST_LIMIT // len(LINE)))
    retry, _ = Retry().after(Refused("big", too_large=True), small)
    assert retry.limit is None
    assert retry.trim(small).count == small.count // 2


OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Delivered, st.integers(-10, 400)),
    st.builds(TryLater, st.just("down"), st.floats(allow_nan=True) | st.none(), st.booleans()),
    st.builds(
        Refused, st.just("bad"), st.booleans(), st.integers(-2, 40) | st.none(), st.integers(-5, 400) | st.none()
    ),
    st.builds(Gap, st.integers(-10, 400)),
)
BODIES = st.lists(st.sampled_from([LINE, b"{}\n", b"\n", b"   \n"]), min_size=1, max_size=30).map(b"".join)


@given(st.lists(st.tuples(OUTCOMES, BODIES, st.integers(0, 100), st.floats(0, 1))))
def test_any_history_stays_within_bounds(steps: list[tuple[Outcome, bytes, int, float]]) -> None:
    """Waits are between 0 and 300 s, offsets lie in the batch, and only a refusal sets an event aside."""
    retry = Retry()
    for outcome, body, offset, jitter in steps:
        whole = Batch("run", "writer", offset, body)
        batch = retry.trim(whole)
        assert whole.body.startswith(batch.body)
        assert batch.count >= min(1, whole.count)
        retry, decision = retry.after(outcome, batch, jitter=jitter)
        assert 0 <= decision.seconds <= LONGEST_WAIT
        match decision:
            case Advance(reached):
                assert isinstance(outcome, Delivered)
                assert batch.offset < reached <= min(batch.next, outcome.offset)
                assert reached == batch.line_end(reached)
            case SetAside(start, end):
                assert isinstance(outcome, Refused)
                assert (start, end) in [(first, last) for _, first, last in batch.events()]
            case Rewind(back):
                assert 0 <= back < batch.offset
            case Split():
                assert batch.count > 1
                assert retry.trim(batch).count < batch.count
            case Wait(seconds):
                assert seconds > 0


def play(events: list[bytes], answer: Callable[[Batch], Outcome], steps: int) -> tuple[list[bytes], list[bytes], float]:
    """Runs a listener's loop: what was delivered, what was set aside, and the seconds that were waited."""
    log = b"".join(events)
    position, retry, waited = 0, Retry(), 0.0
    aside: list[tuple[int, int]] = []
    taken: list[bytes] = []
    for _ in range(steps):
        if position == len(log):
            break
        batch = retry.trim(Batch("run", "writer", position, log[position:])).without(aside)
        outcome = answer(batch)
        retry, decision = retry.after(outcome, batch)
        waited += decision.seconds
        match decision:
            case Advance(reached):
                sent = batch.head(size=reached - position) if reached < batch.next else batch
                taken += [log[start:end] for _, start, end in sent.events() if end <= reached]
                position = reached
            case SetAside(start, end):
                aside.append((start, end))
            case Rewind(back):
                position = back
    return taken, [log[start:end] for start, end in aside], waited


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.booleans())
def test_only_bad_events_are_set_aside(bad: list[bool], named: bool) -> None:
    """Of any mixture the good events are all delivered in order, and exactly the bad ones are set aside."""
    events = [b'{"n": %d, "bad": %s}\n' % (n, b"true" if one else b"false") for n, one in enumerate(bad)]

    def strict(batch: Batch) -> Outcome:
        for number, start, end in batch.events():
            if b"true" in batch.body[start - batch.offset : end - batch.offset]:
                return Refused("bad", line=number if named else None)
        return Delivered(batch.next)

    taken, aside, _ = play(events, strict, steps=2000)
    assert taken == [event for event in events if b"false" in event]
    assert aside == [event for event in events if b"true" in event]


def test_one_bad_event_among_many_is_found_in_few_steps() -> None:
    """Of 1,000 events one is refused without a name: about twice as many sends as halvings find it."""
    events = [b'{"n": %d}\n' % n for n in range(1000)]
    sends = []

    def strict(batch: Batch) -> Outcome:
        sends.append(batch.count)
        return Refused("bad") if b'{"n": 637}\n' in batch.body else Delivered(batch.next)

    taken, aside, waited = play(events, strict, steps=100)
    assert (len(taken), aside, waited) == (999, [b'{"n": 637}\n'], 0.0)
    assert len(sends) <= 25


def test_the_search_narrows_with_each_delivery() -> None:
    """When half of the suspects is delivered the other half is suspected, and half of that is sent next."""
    retry, _ = Retry().after(Refused("bad"), TEN)
    half = retry.trim(TEN)
    assert half.count == 5
    retry, _ = retry.after(Delivered(half.next), half)
    assert retry.suspects == 5
    assert retry.trim(TEN).count == 2


def test_events_too_large_are_found_and_the_rest_arrives() -> None:
    """A platform that takes 100 kB gets everything but the one event that is larger."""
    events = [b'"' + b"x" * size + b'"\n' for size in [10, 90_000, 300_000, 500, *[3000] * 200]]

    def small(batch: Batch) -> Outcome:
        heavy = len(batch.body.replace(b"\n", b"")) > 100_000
        return Refused("big", too_large=True) if heavy else Delivered(batch.next)

    taken, aside, _ = play(events, small, steps=200)
    assert aside == [events[2]]
    assert taken == events[:2] + events[3:]


@pytest.mark.parametrize("filler_is_sent", [False, True])
def test_a_platform_that_refuses_everything_takes_few_events_down(filler_is_sent: bool) -> None:
    """In an hour of nothing but refusals the first events and then one in each backoff are set aside."""
    events = [b'{"n": %d}\n' % n for n in range(1000)]

    def hostile(batch: Batch) -> Outcome:
        return Refused("no") if batch.count or filler_is_sent else Delivered(batch.next)

    waited, steps = 0.0, 100
    while waited < 3600:
        taken, aside, waited = play(events, hostile, steps)
        steps += 100
    assert taken == []
    assert len(aside) <= QUICK_SET_ASIDES + 10 + waited / LONGEST_BACKOFF
