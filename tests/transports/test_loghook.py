"""Our own server's protocol, where it says more than the conformance suite asks of every transport."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from loghook.credentials import KeySource
from loghook.errors import ConfigurationError
from loghook.testing import Answer, FakeLoghookServer
from loghook.transports import Batch, Delivered, Gap, Outcome, Refused, TryLater
from loghook.transports.loghook import LoghookTransport, outcome_of
from loghook.transports.reply import Reply

BATCH = Batch("run", "writer", 100, b'{"a": 1}\n{"b": 2}\n', first=40)
LARGE = Batch("run", "writer", 0, b'{"time": 1, "message": "hello hello hello"}\n' * 1000)


@pytest.fixture
def server() -> Iterator[FakeLoghookServer]:
    """The strict fake."""
    with FakeLoghookServer() as running:
        yield running
    assert not running.violations
    assert not running.errors


def to(server: FakeLoghookServer, **options: Any) -> LoghookTransport:
    """A transport to the fake, with its key."""
    return LoghookTransport(server.url, KeySource(environ={"LOGHOOK_API_KEY": server.key}), timeout=1.0, **options)


def told(status: int, content: Any = None, **headers: str) -> Outcome:
    """The outcome for BATCH when the server answers so."""
    body = b"" if content is None else json.dumps(content).encode()
    return outcome_of(Reply(status, headers, body), BATCH, "http://server", 1_000_000.0)


def test_a_request_says_all_that_the_protocol_asks(server: FakeLoghookServer) -> None:
    """Run, writer, offset and first, the key, the time it was sent and the kind of body are in the request."""
    transport = to(server, clock=lambda: 1763740000.1234)
    server.platform.take(Batch("run", "writer", 0, b"\n" * 100))
    assert transport.send(BATCH) == Delivered(118)
    transport.close()
    [request] = server.requests
    assert request.target == "/api/v1/runs/run/writers/writer/events?offset=100&first=40"
    assert request.headers["authorization"] == f"Bearer {server.key}"
    assert request.headers["loghook-sent"] == "1763740000.123"
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.headers["user-agent"].startswith("loghook/")
    assert request.body == BATCH.body


def test_a_path_before_ours_is_kept() -> None:
    """A server behind a proxy's path is reached by a URL with that path."""
    with FakeLoghookServer(prefix="/team/loghook") as server:
        transport = to(server)
        assert transport.send(LARGE) == Delivered(LARGE.next)
        transport.close()


def test_a_large_body_is_compressed(server: FakeLoghookServer) -> None:
    """Bodies of a kilobyte and more travel as gzip."""
    transport = to(server)
    assert transport.send(LARGE) == Delivered(LARGE.next)
    transport.close()
    [request] = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert len(request.body) < len(LARGE.body) / 10
    assert request.content == LARGE.body


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(415),
        Answer(415, {"Content-Type": "text/html"}, b"<h1>415</h1>"),
        Answer(400, {"Content-Type": "application/json"}, b'{"error": "Content-Encoding gzip is not supported"}'),
    ],
)
def test_a_server_that_refuses_gzip_gets_plain_bodies(server: FakeLoghookServer, refusal: Answer) -> None:
    """The same send goes on without compression, and so do all later ones."""
    server.script(refusal)
    transport = to(server)
    assert transport.send(LARGE) == Delivered(LARGE.next)
    assert transport.send(Batch("run", "writer", LARGE.next, LARGE.body)) == Delivered(2 * LARGE.next)
    transport.close()
    assert ["content-encoding" in request.headers for request in server.requests] == [True, False, False]


def test_a_plain_body_that_is_refused_as_such_is_try_later(server: FakeLoghookServer) -> None:
    """415 for a body without compression is no reason to give an event up or to go round in circles."""
    server.script(Answer(415), Answer(415), Answer(415))
    transport = to(server)
    assert isinstance(transport.send(LARGE), TryLater)
    transport.close()
    assert len(server.requests) == 2


@pytest.mark.parametrize(("offset", "expected"), [(118, 118), (109, 109), (112, 109), (100, 100), (9999, 118)])
def test_delivered_is_what_the_server_says_within_the_batch(offset: int, expected: int) -> None:
    """The offset is taken at a line's end at most at the batch's end: never is an event skipped that was not sent."""
    assert told(200, {"offset": offset}) == Delivered(expected)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        [118],
        118,
        {"offset": "118"},
        {"offset": 118.0},
        {"offset": True},
        {"offset": None},
        {"offset": -1},
        {"offset": 99},
        {"offset": 2**63},
        {"error": "no"},
    ],
)
def test_a_200_without_a_sane_offset_delivers_nothing(content: Any) -> None:
    """Anything but a whole number from the batch's offset on is TryLater."""
    assert isinstance(told(200, content), TryLater)


def test_true_is_no_offset() -> None:
    """JSON's true does not pass for 1."""
    first = Batch("run", "writer", 0, b"\n\n")
    assert isinstance(outcome_of(Reply(200, {}, b'{"offset": true}'), first, "http://server", 0.0), TryLater)
    assert outcome_of(Reply(200, {}, b'{"offset": 1}'), first, "http://server", 0.0) == Delivered(1)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_only_200_delivers(status: int) -> None:
    """Other statuses of success are not our server's."""
    assert isinstance(told(status, {"offset": 118}), TryLater)


def test_lines_that_the_server_set_aside_are_handed_on() -> None:
    """They come with the delivery, and nonsense among them is passed over."""
    listed = [{"line": 1, "reason": "not\nJSON"}, {"line": "x"}, 7, {"line": 0}]
    assert told(200, {"offset": 118, "set_aside": listed}) == Delivered(118, ((1, "not JSON"), (0, "")))
    assert told(200, {"offset": 118, "set_aside": "all"}) == Delivered(118)


def test_409_is_a_gap() -> None:
    """The offset that the server expects is handed on; without one it is not our server."""
    assert told(409, {"offset": 40}) == Gap(40)
    assert isinstance(told(409, {"offset": "40"}), TryLater)
    assert isinstance(told(409), TryLater)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_names_the_line(status: int) -> None:
    """A JSON error of our server is a refusal, with the line where it names one."""
    outcome = told(status, {"error": "no such\nthing", "line": 1})
    assert isinstance(outcome, Refused)
    assert (outcome.line, outcome.too_large) == (1, False)
    assert outcome.reason.endswith(": no such thing")
    refused = told(status, {"error": "bad", "line": -1})
    assert isinstance(refused, Refused)
    assert refused.line is None


@pytest.mark.parametrize("content", [None, [], {"detail": "x"}, {"error": 7}])
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_by_someone_else_is_try_later(status: int, content: Any) -> None:
    """Without our server's {"error"} it was a proxy or another program, and no event is given up."""
    assert isinstance(told(status, content), TryLater)


@pytest.mark.parametrize(("limit", "handed"), [(9, 9), ("9", None), (None, None), (0, None), (-3, None)])
def test_413_is_a_refusal_of_the_size(limit: Any, handed: int | None) -> None:
    """It says so with and without a limit, whoever answers."""
    outcome = told(413, {"error": "too large", "max_bytes": limit})
    assert isinstance(outcome, Refused)
    assert (outcome.too_large, outcome.max_bytes) == (True, handed)
    assert isinstance(told(413), Refused)


def test_a_redirect_names_where_to() -> None:
    """The words show the target without its secrets and doubt the URL."""
    outcome = told(301, location="https://me:pw@elsewhere/x?token=1")
    assert isinstance(outcome, TryLater)
    assert "https://elsewhere/x" in outcome.reason
    assert "pw" not in outcome.reason
    assert "token" not in outcome.reason


@pytest.mark.parametrize("status", [404, 405])
def test_no_loghook_server_is_said_so(status: int) -> None:
    """A wrong host or path is TryLater, in words that say what is not there."""
    outcome = told(status)
    assert isinstance(outcome, TryLater)
    assert "http://server" in outcome.reason
    assert "no loghook server" in outcome.reason


@pytest.mark.parametrize("status", [100, 102, 304, 402, 407, 408, 410, 418, 425, 429, 451, 500, 501, 503, 599, 999])
def test_every_other_status_is_try_later(status: int) -> None:
    """No status that our server does not mean as a refusal gives an event up."""
    assert isinstance(told(status), TryLater)
    assert isinstance(told(status, {"offset": 118}), TryLater)


@pytest.mark.parametrize(("status", "after"), [(408, 7.0), (429, 7.0), (500, 7.0), (503, 7.0), (404, None)])
def test_retry_after_counts_where_waiting_helps(status: int, after: float | None) -> None:
    """The wish to wait is handed on with statuses that pass."""
    outcome = told(status, **{"retry-after": "7"})
    assert isinstance(outcome, TryLater)
    assert outcome.after == after


def test_filler_that_is_too_large_is_stepped_over(server: FakeLoghookServer) -> None:
    """When the blanked place of a huge event is itself too large, the server is told where the log goes on."""
    server.platform.max_bytes = 500
    transport = to(server)
    huge = Batch("run", "writer", 0, b'{"message": "' + b"x" * 1000 + b'"}\n')
    refused = transport.send(huge)
    assert isinstance(refused, Refused)
    assert (refused.too_large, refused.max_bytes) == (True, 500)
    assert transport.send(huge.without([(0, huge.next)])) == Delivered(huge.next)
    after = Batch("run", "writer", huge.next, b'{"message": "next"}\n', first=0)
    assert transport.send(after) == Delivered(after.next)
    transport.close()
    assert server.platform.lost == [("run", "writer", 0, huge.next)]
    assert [event["message"] for event in server.platform.events()] == ["next"]


def test_a_user_and_password_in_the_url_are_sent_in_place_of_the_key(server: FakeLoghookServer) -> None:
    """They go as HTTP Basic authentication, for a proxy that puts in the key."""
    url = server.url.replace("://", "://me:p%2Fw@")
    transport = LoghookTransport(url, KeySource(environ={}), timeout=1.0)
    outcome = transport.send(BATCH)
    transport.close()
    assert server.requests[0].headers["authorization"] == "Basic bWU6cC93"
    assert isinstance(outcome, TryLater)
    assert outcome.key
    assert "password in the URL" in outcome.reason


def test_a_refused_key_is_tried_once(server: FakeLoghookServer) -> None:
    """Without another key there is one request for each send."""
    transport = LoghookTransport(server.url, KeySource(environ={"LOGHOOK_API_KEY": "wrong"}), timeout=1.0)
    assert isinstance(transport.send(BATCH), TryLater)
    transport.close()
    assert len(server.requests) == 1


def test_a_wrong_url_is_a_mistake_of_the_configuration() -> None:
    """What can never be sent to is refused when the transport is made."""
    with pytest.raises(ConfigurationError, match="no host"):
        LoghookTransport("http:///path", KeySource(environ={}))


def test_a_megabyte_goes_through(server: FakeLoghookServer) -> None:
    """A batch of 15,000 events that hardly compress is sent and answered in one request."""
    transport = to(server)
    body = b"".join(b'{"time": %d, "message": "%s"}\n' % (n, os.urandom(20).hex().encode()) for n in range(15_000))
    assert transport.send(Batch("run", "writer", 0, body)) == Delivered(len(body))
    transport.close()
    assert len(server.requests) == 1


def test_who_refuses_any_size_is_no_judge_of_an_event(server: FakeLoghookServer) -> None:
    """A 413 for an event alone counts only if nothing at all is not too large as well."""
    transport = to(server)
    alone = Batch("run", "writer", 0, b'{"a": 1}\n')
    server.script(Answer(413), Answer(413))
    outcome = transport.send(alone)
    assert isinstance(outcome, TryLater)
    assert "413 whatever the size" in outcome.reason
    server.script(Answer(413))
    outcome = transport.send(alone)
    assert isinstance(outcome, Refused)
    assert outcome.too_large
    transport.close()
