"""The fakes do what they say, so that a test that uses them proves something."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import textwrap
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

import loghook
import loghook.testing
from loghook.testing import (
    Answer,
    AwkwardServer,
    Clock,
    FakeLoghookServer,
    Platform,
    RecordingTransport,
    Request,
    lost_reply,
    reply_lost,
)
from loghook.transports import Batch, Delivered, Gap, Outcome, Refused, TryLater

A, B, C = b'{"message":"a"}\n', b'{"message":"b"}\n', b'{"message":"c"}\n'


def batch(body: bytes, offset: int = 0, first: int = 0, writer: str = "writer") -> Batch:
    """A batch of one run."""
    return Batch("run", writer, offset, body, first)


def messages(platform: Platform) -> list[str]:
    """What a platform holds, in order."""
    return [event["message"] for event in platform.events()]


def test_every_fake_is_named_in_the_head() -> None:
    """The package's head docstring tells of each class."""
    for name in loghook.testing.__all__:
        if name[0].isupper() and name not in ("Answer", "Request"):
            assert name in (loghook.testing.__doc__ or "")


# ------------------------------------------------------------------ Platform


def test_a_platform_stores_each_event_once() -> None:
    """A repeated batch is skipped, and of an overlapping one only what is new is stored."""
    platform = Platform()
    assert platform.take(batch(A + B)) == Delivered(32)
    assert platform.take(batch(A + B)) == Delivered(32)
    assert platform.take(batch(B + C, 16)) == Delivered(48)
    assert platform.take(batch(A)) == Delivered(48)
    assert messages(platform) == ["a", "b", "c"]
    assert platform.repeated == 32 + 16 + 16
    assert platform.expected("run", "writer") == 48


def test_a_platform_refuses_a_gap_unless_nothing_older_is_left() -> None:
    """A gap is answered with the expected offset; from the oldest byte on it is taken and noted as lost."""
    platform = Platform()
    platform.take(batch(A))
    assert platform.take(batch(C, 32)) == Gap(16)
    assert platform.take(batch(C, 32, first=32)) == Delivered(48)
    assert platform.lost == [("run", "writer", 16, 32)]
    assert messages(platform) == ["a", "c"]


def test_a_platform_counts_each_writer_apart() -> None:
    """Two writers of a run have an offset each."""
    platform = Platform()
    platform.take(batch(A, writer="one"))
    assert platform.take(batch(B, writer="two")) == Delivered(16)
    assert [event["message"] for event in platform.events(writer="two")] == ["b"]


def test_a_platform_sets_aside_what_is_no_event() -> None:
    """Lines that are no strict JSON object are named and the rest is stored; blank lines are filler."""
    platform = Platform()
    body = A + b"\n" + b"not json\n" + b"[1]\n" + b'{"x": NaN}\n' + b'{"x": "\xff"}\n' + B
    outcome = platform.take(batch(body))
    assert isinstance(outcome, Delivered)
    assert [line for line, _ in outcome.set_aside] == [2, 3, 4, 5]
    assert messages(platform) == ["a", "b"]


def test_a_platform_wants_whole_lines() -> None:
    """A body that ends within a line, or a batch that begins within one, is an error of the sender."""
    platform = Platform()
    with pytest.raises(ValueError, match="newline"):
        platform.take(batch(b'{"message"'))
    platform.take(batch(A))
    with pytest.raises(ValueError, match="end of a line"):
        platform.take(batch(A + B, 5))


@pytest.mark.parametrize("named", [True, False])
def test_a_platform_can_refuse_an_event(named: bool) -> None:
    """The whole batch is refused because of it, with or without the line, and nothing of it is stored."""
    platform = Platform(refuse=lambda event: "no b" if event["message"] == "b" else None, names_lines=named)
    assert platform.take(batch(A + b"\n" + B)) == Refused("no b", line=2 if named else None)
    assert messages(platform) == []
    assert platform.expected("run", "writer") == 0


def test_a_platform_can_bound_the_body() -> None:
    """A larger body is refused with the limit."""
    outcome = Platform(max_bytes=20).take(batch(A + B))
    assert isinstance(outcome, Refused)
    assert (outcome.too_large, outcome.max_bytes) == (True, 20)


def test_a_platform_can_forget() -> None:
    """After a restore from a backup it expects an earlier offset again."""
    platform = Platform()
    platform.take(batch(A + B))
    platform.forget("run", "writer")
    assert platform.take(batch(C, 32)) == Gap(0)


def test_a_platform_can_be_waited_for() -> None:
    """`wait` returns as soon as the condition holds, or false at its timeout."""
    platform = Platform()
    assert platform.wait(platform.events, timeout=0.01) is False
    thread = threading.Thread(target=platform.take, args=(batch(A),))
    thread.start()
    assert platform.wait(platform.events, timeout=60) is True
    thread.join(10)


def test_records_leave_out_the_other_events() -> None:
    """`records` are the events that are log records."""
    platform = Platform()
    platform.take(batch(b'{"event":"heartbeat"}\n' + A))
    assert platform.records() == [{"message": "a"}]


# ------------------------------------------------------------------ RecordingTransport


def test_a_recording_transport_follows_its_script() -> None:
    """Outcomes are returned, exceptions raised, functions called, and then all is delivered; every batch is kept."""
    transport = RecordingTransport(script=(TryLater("down"), RuntimeError("broken"), reply_lost))
    sent = batch(A)
    assert transport.send(sent) == TryLater("down")
    with pytest.raises(RuntimeError, match="broken"):
        transport.send(sent)
    assert transport.platform.events() == []
    assert isinstance(transport.send(sent), TryLater)
    assert messages(transport.platform) == ["a"]
    transport.script(None, Gap(7))
    outcomes: list[Outcome] = [transport.send(sent), transport.send(sent), transport.send(sent)]
    assert outcomes == [Delivered(16), Gap(7), Delivered(16)]
    assert transport.sent == [sent] * 6
    transport.close()
    assert transport.closed


def test_a_clock_moves_by_hand() -> None:
    """It stands still until it is advanced."""
    clock = Clock(10.0)
    assert (clock(), clock()) == (10.0, 10.0)
    clock.advance(2.5)
    assert clock() == 12.5


# ------------------------------------------------------------------ AwkwardServer


@pytest.fixture
def server() -> Iterator[AwkwardServer]:
    """A server that repeats what it gets."""
    with AwkwardServer(lambda request: Answer(body=request.body)) as running:
        yield running


def ask(server: AwkwardServer, body: bytes = b"x") -> tuple[int, bytes]:
    """Sends one request, returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", "/p?a=1", body, {"X-Y": "z"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_server_records_requests(server: AwkwardServer) -> None:
    """Method, path, query, headers and body are kept."""
    assert ask(server, b"hello") == (200, b"hello")
    [request] = server.requests
    assert (request.method, request.path, request.query, request.body) == ("POST", "/p", {"a": "1"}, b"hello")
    assert request.headers["x-y"] == "z"


def test_a_server_follows_its_script(server: AwkwardServer) -> None:
    """Each step serves one request; a function sees the request; then the usual answers come again."""
    server.script(Answer(503), None, lambda request, respond: Answer(body=request.body * 2))
    assert [ask(server) for _ in range(4)] == [(503, b""), (200, b"x"), (200, b"xx"), (200, b"x")]


def test_a_lost_reply_was_handled() -> None:
    """The request reaches `respond`, the client gets no answer."""
    handled: list[Request] = []

    def respond(request: Request) -> Answer:
        handled.append(request)
        return Answer()

    with AwkwardServer(respond, lost_reply) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server)
        assert len(handled) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(cut=0), http.client.RemoteDisconnected),
        (Answer(cut=0, reset=True), ConnectionResetError),
        (Answer(body=b"12345", cut=40), http.client.IncompleteRead),
        (Answer(raw=b"nonsense\r\n"), http.client.BadStatusLine),
    ],
)
def test_a_server_can_break_off(server: AwkwardServer, answer: Answer, error: type[Exception]) -> None:
    """The connection ends where the script says, in an orderly way or by a reset."""
    server.script(answer)
    with pytest.raises(error):
        ask(server)
    assert ask(server) == (200, b"x")


def test_a_server_can_be_slow(server: AwkwardServer) -> None:
    """The delay comes before the answer, the pace between its bytes."""
    server.script(Answer(delay=0.1), Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", pace=0.005))
    for least in (0.1, 0.15):
        began = time.monotonic()
        assert ask(server)[0] == 200
        assert time.monotonic() - began >= least


def test_a_server_can_go_on_for_ever(server: AwkwardServer) -> None:
    """An endless body comes for as long as it is read."""
    server.script(Answer(body=b"x" * 1000, endless=True))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = 0
        while got < 1_000_000:
            got += len(client.recv(65536))


def test_closing_a_server_ends_what_is_under_way() -> None:
    """A client in the middle of a slow answer sees the end at once, and no thread is left."""
    server = AwkwardServer(lambda request: Answer(delay=60))
    ended = threading.Event()

    def wait_for_it() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(server)
        ended.set()

    client = threading.Thread(target=wait_for_it)
    client.start()
    assert server.wait(lambda: server.requests)
    server.close()
    server.close()
    assert ended.wait(10)
    client.join(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "loghook-testing"]
    assert not server.errors


def test_a_server_tells_its_own_errors() -> None:
    """When `respond` itself fails that is in `errors`, not on the terminal."""

    def respond(request: Request) -> Answer:
        raise RuntimeError("broken test")

    with AwkwardServer(respond) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server)
        assert server.errors == ["RuntimeError: broken test"]


# ------------------------------------------------------------------ FakeLoghookServer

GOOD = {"Content-Type": "application/x-ndjson", "Loghook-Sent": "1763740000.5"}
PATH = "/api/v1/runs/run/writers/writer/events?offset=0&first=0"


def post(
    server: FakeLoghookServer, path: str = PATH, body: bytes = A, method: str = "POST", **headers: str
) -> tuple[int, object]:
    """Sends one request, returns status and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {server.key}", **GOOD, **named})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_fake_server_takes_what_the_protocol_says() -> None:
    """Plain and compressed bodies are stored, and the next offset is answered."""
    with FakeLoghookServer() as server:
        assert post(server) == (200, {"offset": 16})
        squeeze = zlib.compressobj(wbits=31)
        packed = squeeze.compress(B) + squeeze.flush()
        assert post(server, PATH.replace("offset=0", "offset=16"), packed, Content_Encoding="gzip")[0] == 200
        assert messages(server.platform) == ["a", "b"]
        assert post(server, PATH.replace("offset=0", "offset=99"))[1] == {"offset": 32, "error": "expected offset 32"}
        assert not server.violations


@pytest.mark.parametrize(
    ("path", "body", "method", "headers"),
    [
        (PATH.replace("v1", "v2"), A, "POST", {}),
        (PATH.replace("/run/", "/r%20n/"), A, "POST", {}),
        (PATH, A, "PUT", {}),
        (PATH.partition("?")[0], A, "POST", {}),
        (PATH + "&more=1", A, "POST", {}),
        (PATH.replace("offset=0", "offset=-1"), A, "POST", {}),
        (PATH, A[:-1], "POST", {}),
        (PATH, A, "POST", {"Content_Type": "application/json"}),
        (PATH, A, "POST", {"Content_Encoding": "br"}),
        (PATH, A, "POST", {"Content_Encoding": "gzip"}),
        (PATH, A, "POST", {"Loghook_Sent": "now"}),
    ],
)
def test_the_fake_server_notes_all_else(path: str, body: bytes, method: str, headers: dict[str, str]) -> None:
    """A request outside the protocol is answered 400 and kept as a violation; nothing is stored."""
    with FakeLoghookServer() as server:
        assert post(server, path, body, method, **headers)[0] == 400
        assert len(server.violations) == 1
        assert not server.platform.events()


def test_the_fake_server_knows_its_keys() -> None:
    """Another key, another scheme and none are answered 401."""
    with FakeLoghookServer() as server:
        for value in ("Bearer other", f"Basic {server.key}", server.key, ""):
            assert post(server, Authorization=value)[0] == 401


def test_the_fake_server_may_refuse_gzip_and_sizes() -> None:
    """415 for a compressed body, 413 with the limit for a large one, 400 with the line for a refused event."""
    platform = Platform(max_bytes=20, refuse=lambda event: "no" if event.get("message") == "b" else None)
    with FakeLoghookServer(platform=platform, takes_gzip=False) as server:
        assert post(server, Content_Encoding="gzip")[0] == 415
        status, content = post(server, body=A + B)
        assert isinstance(content, dict)
        assert (status, content["max_bytes"]) == (413, 20)
        assert post(server, body=B) == (400, {"error": "no", "line": 0})


def test_the_example_in_the_head_works() -> None:
    """What the package's docstring shows does as it says, with a real run."""
    _, _, rest = (loghook.testing.__doc__ or "").partition("For example")
    lines = rest.splitlines()[1:]
    example = "\n".join(line for line in lines if line.startswith("    "))
    assert "install" in example
    try:
        exec(textwrap.dedent(example), {"loghook": loghook, "logging": logging, **vars(loghook.testing)})
    finally:
        loghook.uninstall()
