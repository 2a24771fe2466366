"""The Hyperdash transport, against a server that checks every message: order, headers, progress, keys, trouble."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from loghook.credentials import KeySource
from loghook.retry import Advance, Retry, SetAside, Wait
from loghook.testing import Answer, Clock, FakeHyperdashServer, Request, lost_reply
from loghook.transports import Batch, Delivered, Outcome, Refused, TryLater
from loghook.transports.hyperdash import HyperdashTransport
from loghook.transports.hyperdash_words import run_uuid

TIME = 1763740000.5
RUN = "0123456789ab4def8123456789abcdef"
UUID = run_uuid(RUN)


def record(message: str = "", **more: Any) -> dict[str, Any]:
    """A record's event."""
    return {"time": TIME, "level": "INFO", "logger": "train", "message": message, **more}


def event(kind: str, **more: Any) -> dict[str, Any]:
    """An event that is no record."""
    return {"time": TIME, "event": kind, **more}


STARTED = event("run_started", run={"name": "digits", "params": {"lr": 0.1}})
ENDED = event("run_ended", status="success")


def batch(*events: dict[str, Any], offset: int = 0, writer: str = "w") -> Batch:
    """A batch of events."""
    return Batch(RUN, writer, offset, b"".join(json.dumps(one).encode() + b"\n" for one in events))


def deliver(transport: HyperdashTransport, whole: Batch, retry: Retry, most: int = 2000) -> list[tuple[int, int]]:
    """Deliver as a listener does, but for the waiting, in at most so many steps; return what was set aside."""
    offset = whole.offset
    aside: list[tuple[int, int]] = []
    for _ in range(most):
        rest = Batch(whole.run, whole.writer, offset, whole.body[offset - whole.offset :], whole.first)
        if not rest.body:
            return aside
        sent = retry.trim(rest).without(aside)
        retry, decision = retry.after(transport.send(sent), sent)
        if isinstance(decision, Advance):
            offset = decision.offset
        elif isinstance(decision, SetAside):
            aside.append((decision.start, decision.end))
    raise AssertionError(f"after {most} steps {whole.next - offset} bytes are left: {decision}")


@pytest.fixture
def server() -> Iterator[FakeHyperdashServer]:
    """A strict server; in the end nothing was against the protocol."""
    with FakeHyperdashServer() as server:
        yield server
        assert not server.violations
        assert not server.errors


@pytest.fixture
def environ(server: FakeHyperdashServer) -> dict[str, str]:
    """The variables that hold the key."""
    return {"LOGHOOK_API_KEY": server.key}


@pytest.fixture
def clock() -> Clock:
    """The transport's clock, an hour after the events."""
    return Clock(TIME + 3600)


@pytest.fixture
def transport(server: FakeHyperdashServer, environ: dict[str, str], clock: Clock) -> Iterator[HyperdashTransport]:
    """The transport, on the server."""
    made = HyperdashTransport(f"hyperdash+{server.url}", KeySource(environ=environ), timeout=2.0, clock=clock)
    yield made
    made.close()


def test_a_run_is_told_in_the_protocols_order(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """run_started is first and run_ended last; each is one request on one connection."""
    events = [STARTED, record("one", metrics={"loss": 0.5}), record("two", level="ERROR"), ENDED]
    whole = batch(event("writer_started", writer={"pid": 7}), *events)
    assert transport.send(whole) == Delivered(whole.next)
    kinds = [message["type"] for message in server.messages(run=UUID)]
    assert kinds == ["run_started", "param", "log", "metric", "log", "run_ended"]
    assert (len(server.requests), server.connections) == (6, 1)
    assert server.apis[UUID] == {"experiment"}
    assert not server.early
    assert not server.late


def test_the_run_says_which_program_began_it(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """The "api" of run_started is in all headers of the run, if it is one that the protocol knows."""
    whole = batch(event("run_started", run={"name": "a", "api": "cli_run"}), record("x"))
    transport.send(whole)
    assert server.apis[UUID] == {"cli_run"}
    odd = Batch("odd", "w", 0, batch(event("run_started", run={"name": "a", "api": "x\r\ny"}), record("x")).body)
    assert transport.send(odd) == Delivered(odd.next)
    assert server.apis[run_uuid("odd")] == {"experiment"}


def test_the_key_is_in_its_header_and_nowhere_else(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """The key goes in x-hyperdash-auth, not in a body, a path, or the transport's own text."""
    transport.send(batch(STARTED, record("x")))
    for request in server.requests:
        assert request.headers["x-hyperdash-auth"] == server.key
        assert "authorization" not in request.headers
        assert server.key.encode() not in request.body + request.target.encode()
    assert server.key not in repr(transport)


def test_what_was_taken_does_not_go_again(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """After a failure amid an event's messages the next send goes on where the last one stopped."""
    whole = batch(STARTED, record("x", metrics={f"m{i}": float(i) for i in range(5)}), record("y"))
    server.script(None, None, None, None, None, Answer(500))
    first = transport.send(whole)
    assert first == Delivered(len(batch(STARTED).body))
    assert isinstance(transport.send(batch(record("x"))), TryLater), "the trouble is told, without a request"
    assert len(server.requests) == 6
    rest = Batch(RUN, "w", first.offset, whole.body[first.offset :])
    assert transport.send(rest) == Delivered(whole.next)
    assert [name for i in range(5) for name in [f"m{i}"] if server.values(name) != [float(i)]] == []
    assert server.lines() == ["x", "y"]
    assert len(server.requests) == len(server.messages()) + 1


def test_equal_values_at_once_all_arrive(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """A server that knows a repeat by its content keeps each of many equal values of one moment."""
    whole = batch(STARTED, *(record(metrics={"loss": 0.5}) for _ in range(600)))
    assert not deliver(transport, whole, Retry())
    assert server.values("loss") == [0.5] * 600
    assert server.repeated == 0


def test_a_lost_answer_repeats_one_message_only(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """The message whose answer was lost goes again just as it was, also when more events came or fewer are sent."""
    whole = batch(STARTED, *(record(f"line {i}") for i in range(10)))
    start = len(batch(STARTED).body)
    server.script(None, None, lost_reply, lost_reply)
    assert transport.send(whole) == Delivered(start)
    assert isinstance(transport.send(Batch(RUN, "w", start, whole.body[start:])), TryLater)
    shorter = Batch(RUN, "w", start, whole.body[start:]).head(events=2)
    assert isinstance(transport.send(shorter), TryLater)
    assert transport.send(shorter) == Delivered(shorter.next)
    more = Batch(RUN, "w", shorter.next, whole.body[shorter.next :] + batch(record("more")).body)
    assert transport.send(more) == Delivered(more.next)
    assert server.lines() == [*(f"line {i}" for i in range(10)), "more"]
    assert server.repeated == 2


def test_the_wish_to_wait_is_kept_after_half_a_batch(
    server: FakeHyperdashServer, transport: HyperdashTransport
) -> None:
    """When a platform takes some and then asks to wait, nothing is sent before that is handed on."""
    whole = batch(STARTED, record("one"))
    server.script(None, None, Answer(429, {"Retry-After": "7"}))
    first = transport.send(whole)
    assert isinstance(first, Delivered)
    second = transport.send(Batch(RUN, "w", first.offset, whole.body[first.offset :]))
    assert isinstance(second, TryLater)
    assert second.after == 7
    assert len(server.requests) == 3


def test_a_long_batch_is_told_in_parts(server: FakeHyperdashServer, environ: dict[str, str]) -> None:
    """After a quarter of a second send tells how far it came, and the next one goes on."""
    ticking = Clock(TIME)

    def tick() -> float:
        ticking.advance(0.05)
        return ticking.now

    transport = HyperdashTransport(f"hyperdash+{server.url}", KeySource(environ=environ), clock=tick)
    whole = batch(STARTED, *(record(metrics={"loss": float(i)}) for i in range(100)))
    first = transport.send(whole)
    assert isinstance(first, Delivered)
    assert whole.offset < first.offset < whole.next
    assert 1 < len(server.requests) < 10
    assert not deliver(transport, Batch(RUN, "w", first.offset, whole.body[first.offset :]), Retry())
    assert server.values("loss") == [float(i) for i in range(100)]
    transport.close()


def says_bad(message: dict[str, Any]) -> str | None:
    """Why a message that holds the word "bad" is refused."""
    return "bad_word" if "bad" in json.dumps(message["payload"]) else None


def test_a_malformed_message_sets_its_event_aside(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """A 400 for one of many joined texts costs that one event and none around it."""
    events = [STARTED, *(record(f"{'bad' if i in (3, 7) else 'good'} {i}") for i in range(10)), record("end")]
    server.refuse = says_bad
    whole = batch(*events)
    aside = deliver(transport, whole, Retry())
    assert [json.loads(whole.body[start:end])["message"] for start, end in aside] == ["bad 3", "bad 7"]
    assert server.lines() == [*(f"good {i}" for i in range(10) if i not in (3, 7)), "end"]


def test_a_malformed_metric_sets_its_event_aside(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """A 400 for one metric among joined events costs that event's metrics, and nothing is sent twice."""
    events = [STARTED, *(record(f"line {i}", metrics={"bad" if i == 3 else "m": float(i)}) for i in range(6)), ENDED]
    server.refuse = says_bad
    whole = batch(*events)
    ((start, end),) = deliver(transport, whole, Retry())
    assert json.loads(whole.body[start:end])["message"] == "line 3"
    assert server.values("m") == [0.0, 1.0, 2.0, 4.0, 5.0]
    assert server.lines() == [f"line {i}" for i in range(6)]
    assert server.messages()[-1]["type"] == "run_ended"


def test_a_line_that_is_no_event_is_set_aside(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """What can't be read is refused here, by its line, and what follows is sent."""
    body = batch(STARTED).body + b"{not json\n" + batch(record("after")).body
    whole = Batch(RUN, "w", 0, body)
    ((start, end),) = deliver(transport, whole, Retry())
    assert body[start:end] == b"{not json\n"
    assert server.lines() == ["after"]


def test_a_log_that_is_too_large_goes_in_parts(server: FakeHyperdashServer, transport: HyperdashTransport) -> None:
    """After a 413 text is sent in smaller logs, and nothing of it is lost; what can't be made smaller is refused."""
    server.max_bytes = 3000
    text = "".join(f"{i} {'x' * 70}\n" for i in range(1000))
    whole = batch(STARTED, record(text), record("after"))
    assert not deliver(transport, whole, Retry())
    assert "\n".join(server.lines()) == text + "after"
    large = Batch(RUN, "w", whole.next, batch(event("params", params={"p": "x" * 5000})).body)
    outcome = transport.send(large)
    assert isinstance(outcome, Refused)
    assert (outcome.too_large, outcome.line) == (True, 0)


def test_a_rotated_key_is_found_under_way(
    server: FakeHyperdashServer, transport: HyperdashTransport, environ: dict[str, str]
) -> None:
    """The old key is refused in the middle of a batch: the new one takes over in the same send."""

    def rotate(request: Request, respond: Any) -> Answer:
        server.keys[:] = ["the-second-key-for-tests"]
        environ["LOGHOOK_API_KEY"] = "the-second-key-for-tests"
        answer: Answer = respond(request)
        return answer

    server.script(None, None, None, rotate)
    whole = batch(STARTED, *(record(metrics={"loss": float(i)}) for i in range(10)))
    assert transport.send(whole) == Delivered(whole.next)
    assert server.values("loss") == [float(i) for i in range(10)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_key_trouble_is_told_by_its_code(
    server: FakeHyperdashServer, transport: HyperdashTransport, status: int
) -> None:
    """{"code": "api_key_requred"} means the key with any status; the event waits and is not set aside."""
    server.script(Answer(status, body=b'{"code": "api_key_requred"}'))
    whole = batch(STARTED)
    outcome = transport.send(whole)
    assert isinstance(outcome, TryLater)
    assert outcome.key
    assert transport.send(whole) == Delivered(whole.next)


def test_a_child_lets_the_runs_owner_begin(
    server: FakeHyperdashServer, transport: HyperdashTransport, clock: Clock
) -> None:
    """The first message of a run that is no run_started waits until it is a second old, then goes."""
    clock.now = TIME + 0.25
    child = batch(event("writer_started"), record("from the child"), writer="child")
    outcome = transport.send(child)
    assert isinstance(outcome, TryLater)
    assert outcome.after == pytest.approx(0.75)
    assert not server.requests
    server.begin(UUID)
    clock.now = TIME + 1.0
    assert transport.send(child) == Delivered(child.next)


def test_a_run_that_is_not_known_yet_is_tried_again(
    server: FakeHyperdashServer, transport: HyperdashTransport, clock: Clock
) -> None:
    """A child's first message that is called malformed waits for the run to be begun, for a minute."""
    clock.now = TIME + 2
    child = batch(record("from the child"), writer="child")
    assert isinstance(transport.send(child), TryLater)
    server.begin(UUID)
    assert transport.send(child) == Delivered(child.next)
    assert len(server.early) == 1
    orphan = Batch("orphan", "w", 0, child.body)
    assert isinstance(transport.send(orphan), TryLater)
    clock.now = TIME + 61
    assert isinstance(transport.send(orphan), Refused)


def test_an_owners_transport_sends_for_its_children_at_once(
    server: FakeHyperdashServer, transport: HyperdashTransport, clock: Clock
) -> None:
    """Where the run was begun through this transport nothing of it waits."""
    clock.now = TIME
    transport.send(batch(STARTED))
    child = batch(record("from the child"), writer="child")
    assert transport.send(child) == Delivered(child.next)


def test_heartbeats_go_only_into_silence(
    server: FakeHyperdashServer, transport: HyperdashTransport, clock: Clock
) -> None:
    """A heartbeat is sent where nothing else was for five seconds, whether an event or idleness asks for it."""
    server._clock = clock
    started = batch(STARTED, event("heartbeat"))
    transport.send(started)
    transport.idle(RUN)
    assert not server.messages("heartbeat")
    clock.advance(4.9)
    transport.idle(RUN)
    assert not server.messages("heartbeat")
    clock.advance(0.2)
    transport.idle(RUN)
    transport.idle(RUN)
    transport.send(Batch(RUN, "w", started.next, batch(event("heartbeat")).body))
    assert len(server.messages("heartbeat")) == 1
    clock.advance(5.1)
    transport.send(Batch(RUN, "w", started.next, batch(event("heartbeat")).body))
    assert len(server.messages("heartbeat")) == 2


def test_only_a_living_run_is_kept_alive(
    server: FakeHyperdashServer, transport: HyperdashTransport, clock: Clock
) -> None:
    """Idleness sends nothing for a run that was not begun here, or has ended."""
    server.begin(UUID)
    transport.idle(RUN)
    transport.send(batch(record("from a child")))
    clock.advance(60)
    transport.idle(RUN)
    transport.send(batch(STARTED, ENDED, writer="owner"))
    clock.advance(60)
    transport.idle(RUN)
    assert not server.messages("heartbeat")
    assert not server.late


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_through_trouble(
    server: FakeHyperdashServer, transport: HyperdashTransport, environ: dict[str, str], seed: int
) -> None:
    """Through 500s, cut and slow answers, resets and rotated keys all arrives, in order, each text and metric once."""
    chance = random.Random(seed)
    troubles: list[Any] = [
        None,
        lost_reply,
        Answer(500),
        Answer(503, {"Retry-After": "1"}),
        Answer(cut=0),
        Answer(cut=0, reset=True),
        Answer(200, {"Content-Type": "text/html"}, b"<html>sign in</html>"),
        Answer(body=b"{}", cut=20),
        Answer(401, body=b'{"code": "api_key_requred"}'),
        Answer(delay=0.05, status=502),
    ]
    server.script(*(chance.choice(troubles) if chance.random() < 0.4 else None for _ in range(400)))
    events: list[dict[str, Any]] = [STARTED]
    for i in range(300):
        event_time, metrics = TIME + i * 0.01, {"loss": float(i)} if chance.random() < 0.5 else {}
        level = chance.choice(["INFO", "INFO", "INFO", "ERROR"])
        events.append(record(f"line {i}", level=level, time=event_time, metrics=metrics))
    events.append(ENDED)
    stop = threading.Event()

    def rotate() -> None:
        number = 0
        while not stop.wait(0.03):
            number += 1
            server.keys[:] = [f"key-{number:016}"]
            environ["LOGHOOK_API_KEY"] = server.key

    rotating = threading.Thread(target=rotate, daemon=True)
    rotating.start()
    try:
        assert not deliver(transport, batch(*events), Retry(), most=5000)
    finally:
        stop.set()
        rotating.join(5)
    assert server.lines() == [f"line {i}" for i in range(300)]
    assert server.values("loss") == [float(next(iter(one["metrics"].values()))) for one in events if one.get("metrics")]
    kinds = [message["type"] for message in server.messages()]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
    assert not server.early
    assert not server.late


def test_a_fresh_transport_goes_on_where_another_was_acknowledged(
    server: FakeHyperdashServer, transport: HyperdashTransport, environ: dict[str, str]
) -> None:
    """After a crash only what was not acknowledged goes again."""
    whole = batch(STARTED, record("one"), record("two", level="ERROR"))
    server.script(None, None, None, Answer(500))
    first: Outcome = transport.send(whole)
    assert isinstance(first, Delivered)
    second = HyperdashTransport(f"hyperdash+{server.url}", KeySource(environ=environ))
    rest = Batch(RUN, "w", first.offset, whole.body[first.offset :])
    assert second.send(rest) == Delivered(whole.next)
    second.close()
    assert server.lines() == ["one", "two"]
    assert server.repeated == 0


def test_waiting_for_a_platform_is_what_trouble_means(
    server: FakeHyperdashServer, transport: HyperdashTransport
) -> None:
    """The retry policy waits, and sets nothing aside, for any answer but 400 and its like."""
    for status in (402, 409, 418, 500, 502, 504):
        server.script(Answer(status, body=b'{"code": "whatever"}'))
        sent = batch(STARTED)
        _, decision = Retry().after(transport.send(sent), sent)
        assert isinstance(decision, Wait)
        assert "whatever" in decision.reason
