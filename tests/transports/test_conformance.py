"""What holds for every registered transport. A new one is picked up by itself; it needs a fake in `platforms/`."""

from __future__ import annotations

import functools
import importlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_origin

import pytest

from loghook import transports
from loghook.credentials import KeySource
from loghook.testing import Answer, Clock, Request, lost_reply
from loghook.transports import Batch, Delivered, Gap, Refused, Transport, TryLater

from .platforms.bench import BenchLike

MODULES = sorted({entry.value.partition(":")[0] for entry in transports.registered().values()})
OURS = [module for module in MODULES if module.startswith("loghook.")]
KEYS = ["LOGHOOK_API_KEY"]

HTML = {"Content-Type": "text/html"}
BAD_ANSWERS = {
    "no answer": Answer(cut=0),
    "reset": Answer(cut=0, reset=True),
    "cut in the head": Answer(body=b"{}", cut=12),
    "cut in the body": Answer(body=b'{"offset": 123456789}', cut=50),
    "login page": Answer(200, HTML, b"<html><body>Please sign in to the airport</body></html>"),
    "empty 200": Answer(200),
    "not HTTP": Answer(raw=b"220 smtp.example.invalid ESMTP\r\n"),
    "garbled chunks": Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "garbled headers": Answer(raw=b"HTTP/1.1 200 OK\r\n: what\r\n\x00\r\nContent-Length: 2\r\n\r\n{}"),
    "broken gzip": Answer(200, {"Content-Encoding": "gzip"}, b"not gzip at all"),
    "redirect": Answer(302, {"Location": "http://login.invalid/?next=1"}),
    "not found": Answer(404, HTML, b"<h1>404</h1>"),
    "method not allowed": Answer(405),
    "bad request of a proxy": Answer(400, HTML, b"<h1>400 The plain HTTP request was sent to HTTPS port</h1>"),
    "teapot": Answer(418),
    "timeout": Answer(408),
    "too many": Answer(429, {"Retry-After": "7"}),
    "broken": Answer(500, HTML, b"Traceback"),
    "bad gateway": Answer(502, HTML, b"<h1>502</h1>"),
    "unavailable": Answer(503, {"Retry-After": "7"}),
    "endless": Answer(200, {"Content-Type": "application/json"}, b" " * 65536, endless=True),
    "deep": Answer(200, {"Content-Type": "application/json"}, b"[" * 100_000),
}


def line(message: str, **more: Any) -> bytes:
    """One record as it lies in the spool."""
    event = {"time": 1763740000.5, "level": "INFO", "logger": "train", "message": message, **more}
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def batch(*lines: bytes, offset: int = 0) -> Batch:
    """A batch of lines that somebody waits for, by default from the beginning of the log with its first event."""
    started = b'{"time":1763740000,"event":"writer_started","writer":{"pid":7,"host":"h"}}\n' if not offset else b""
    body = started + b"".join(lines)
    return Batch("0123456789abcdef0123456789abcdef", "host-7", offset, body, urgent=True)


def test_there_are_transports() -> None:
    """The suite has something to run over."""
    assert "loghook.transports.loghook" in MODULES


def test_every_transport_module_is_registered() -> None:
    """A module in transports/ that defines a transport is registered under some scheme."""
    folder = Path(transports.__file__).parent
    modules = [f"loghook.transports.{file.stem}" for file in folder.glob("*.py") if file.stem != "__init__"]
    for name in modules:
        module = importlib.import_module(name)
        types = [one for one in vars(module).values() if isinstance(one, type) and get_origin(one) is None]
        classes = [one for one in types if issubclass(one, Transport)]
        if any(one.__module__ == name and one is not Transport for one in classes):
            assert name in MODULES, f"{name} is not registered"


@pytest.fixture(params=OURS)
def bench(request: pytest.FixtureRequest) -> Iterator[BenchLike]:
    """The strict fake of each registered transport's platform."""
    name = request.param.rpartition(".")[2]
    try:
        module = importlib.import_module(f"{__package__}.platforms.{name}")
    except ModuleNotFoundError:
        pytest.fail(f"{request.param} has no fake: write tests/transports/platforms/{name}.py with a class Bench")
    made: BenchLike = module.Bench()
    yield made
    made.close()


@pytest.fixture
def environ(bench: BenchLike) -> dict[str, str]:
    """The variables that the transport's key source reads."""
    return {"LOGHOOK_API_KEY": bench.key}


@pytest.fixture
def clock() -> Clock:
    """The key source's clock."""
    return Clock()


@pytest.fixture
def transport(bench: BenchLike, environ: dict[str, str], clock: Clock) -> Iterator[Transport]:
    """The transport, opened on its fake."""
    opened = transports.open(bench.url, KeySource(environ=environ, clock=clock), timeout=1.0)
    yield opened
    opened.close()


def test_a_batch_arrives(bench: BenchLike, transport: Transport) -> None:
    """All records of a batch arrive in order, and the outcome names the end of the batch."""
    sent = batch(*(line(f"message {number}") for number in range(100)))
    assert transport.send(sent) == Delivered(sent.next)
    assert bench.messages() == [f"message {number}" for number in range(100)]
    assert not bench.violations()


def test_batches_arrive_in_order(bench: BenchLike, transport: Transport) -> None:
    """Batches that follow one another are joined without a seam."""
    first = batch(line("one"))
    second = batch(line("two"), offset=first.next)
    assert [transport.send(first), transport.send(second)] == [Delivered(first.next), Delivered(second.next)]
    assert bench.messages() == ["one", "two"]


def test_metrics_arrive(bench: BenchLike, transport: Transport) -> None:
    """The numbers of a record arrive as numbers."""
    sent = batch(line("a", metrics={"loss": 0.5}, step=1), line("b", metrics={"loss": 0.25}, step=2))
    assert isinstance(transport.send(sent), Delivered)
    assert bench.values("loss") == [0.5, 0.25]


def test_any_text_arrives(bench: BenchLike, transport: Transport) -> None:
    """Text of any script, with newlines and quotes, comes as it is; a NUL as what the platform can hold of it."""
    text = 'naïve 🎉 中文 \u202e "quoted" \\ \x00 \x1b[31m end\nnext line'
    assert isinstance(transport.send(batch(line(text))), Delivered)
    assert "\n".join(bench.messages()) == text.replace("\0", bench.nul)


def test_every_kind_of_event_is_taken(bench: BenchLike, transport: Transport) -> None:
    """Events that are no records, also unknown ones, are delivered: none blocks what follows."""
    events: list[dict[str, Any]] = [
        {"event": "run_started", "run": {"name": "digits", "host": "h", "pid": 7, "argv": ["train.py"]}},
        {"event": "params", "params": {"lr": 0.1, "deep": {"a": [1, None]}}},
        {"event": "heartbeat"},
        {"event": "dropped", "dropped": {"spool full": 3}, "since": 1763740000, "until": 1763740001},
        {"event": "not yet invented", "what": 1},
        {"event": "run_ended", "status": "failure", "exception": "Traceback"},
    ]
    lines = [json.dumps({"time": 1763740000, **event}).encode() + b"\n" for event in events]
    sent = batch(*lines, line("after"))
    assert transport.send(sent) == Delivered(sent.next)
    assert bench.messages()[-1] == "after"


def test_strange_values_are_taken(bench: BenchLike, transport: Transport) -> None:
    """NaN and the infinities, empty messages, missing and odd steps are delivered with the rest of the batch."""
    sent = batch(
        line("", metrics={"a": "NaN", "b": "Infinity", "c": "-Infinity"}),
        line("x", metrics={"a/b c%é": 1e308}, step=-1),
        line("y", step=2**53, extra={"deep": {"list": [1, "two", None]}}),
    )
    assert transport.send(sent) == Delivered(sent.next)


def test_filler_is_delivered(transport: Transport) -> None:
    """A batch of blank lines alone counts as delivered."""
    sent = Batch("run", "writer", 0, b"\n" * 5000)
    assert transport.send(sent) == Delivered(5000)


def test_a_batch_can_be_sent_again(bench: BenchLike, transport: Transport) -> None:
    """After a lost answer the same batch is delivered; a platform that counts stores it once."""
    sent = batch(line("one"), line("two"))
    bench.server.script(lost_reply)
    assert isinstance(transport.send(sent), TryLater)
    for _ in range(10):
        outcome = transport.send(sent)
        if isinstance(outcome, Delivered):
            break
    assert outcome == Delivered(sent.next)
    assert bench.messages()[-2:] == ["one", "two"]
    if bench.exactly_once:
        assert bench.messages() == ["one", "two"]


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_is_no_delivery_and_no_refusal(bench: BenchLike, transport: Transport, answer: Answer) -> None:
    """Whatever comes back that the platform itself would not say means: later, with words, and nothing is lost."""
    sent = batch(line("one"))
    bench.server.script(answer)
    began = time.monotonic()
    outcome = transport.send(sent)
    assert isinstance(outcome, TryLater)
    assert outcome.reason
    assert not outcome.key
    assert time.monotonic() - began < 10
    assert isinstance(transport.send(sent), Delivered)
    assert bench.messages()[-1] == "one"


@pytest.mark.parametrize("status", [429, 503])
def test_the_platforms_wish_to_wait_is_handed_on(bench: BenchLike, transport: Transport, status: int) -> None:
    """Retry-After of a 429 or 503 becomes the outcome's `after`, in seconds."""
    bench.server.script(Answer(status, {"Retry-After": "7"}))
    outcome = transport.send(batch(line("one")))
    assert isinstance(outcome, TryLater)
    assert outcome.after == 7


def test_nobody_listening_is_try_later(bench: BenchLike, environ: dict[str, str]) -> None:
    """A refused connection is an outcome, not an exception."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = bench.url.replace(str(bench.server.port), str(free.getsockname()[1]))
        outcome = transports.open(url, KeySource(environ=environ), timeout=1.0).send(batch(line("one")))
    assert isinstance(outcome, TryLater)
    assert "refused" in outcome.reason


def test_an_unknown_host_is_try_later(bench: BenchLike, environ: dict[str, str]) -> None:
    """A host name that no resolver knows is an outcome, not an exception."""
    url = bench.url.replace("127.0.0.1", "nobody.invalid")
    outcome = transports.open(url, KeySource(environ=environ), timeout=1.0).send(batch(line("one")))
    assert isinstance(outcome, TryLater)
    assert "host name" in outcome.reason


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_from_other_trouble(bench: BenchLike, transport: Transport, status: int) -> None:
    """A refused key means later, and says that it is the key, where it is from and no more than its end."""
    bench.server.script(Answer(status), Answer(status))
    outcome = transport.send(batch(line("one")))
    assert isinstance(outcome, TryLater)
    assert outcome.key
    assert "LOGHOOK_API_KEY" in outcome.reason
    assert bench.key not in outcome.reason
    assert not bench.messages()


def test_a_rotated_key_is_found_at_once(bench: BenchLike, transport: Transport, environ: dict[str, str]) -> None:
    """When the platform refuses the old key and a new one is there, the same send delivers with it."""
    first = batch(line("one"))
    assert isinstance(transport.send(first), Delivered)
    bench.rotate("another-key-for-tests")
    environ["LOGHOOK_API_KEY"] = "another-key-for-tests"
    second = batch(line("two"), offset=first.next)
    assert transport.send(second) == Delivered(second.next)
    assert bench.messages() == ["one", "two"]


def test_without_a_key_nothing_is_sent(bench: BenchLike, transport: Transport, environ: dict[str, str]) -> None:
    """A missing key means later, names the places to put one, and sends no request where the platform needs one."""
    key = environ.pop("LOGHOOK_API_KEY")
    outcome = transport.send(batch(line("one")))
    assert isinstance(outcome, TryLater)
    assert outcome.key
    assert "LOGHOOK_API_KEY" in outcome.reason
    assert not (bench.needs_key and bench.server.requests)
    environ["LOGHOOK_API_KEY"] = key


def always(answer: Answer, request: Request) -> Answer:
    """The same answer to every request."""
    return answer


def test_no_secret_is_told(bench: BenchLike, environ: dict[str, str]) -> None:
    """Neither the key nor a password in the URL is in an outcome or a repr, even if the platform repeats it."""
    url = bench.url.replace("://", "://someone:pass-word-0815@")
    transport = transports.open(url, KeySource(environ=environ), timeout=0.3)
    told = [repr(transport), transport.where]
    echo = json.dumps({"error": f"bad key {bench.key} pass-word-0815"}).encode()
    answers = [
        *(Answer(status, body=echo) for status in (200, 400, 401, 404, 413, 422, 500, 503)),
        Answer(302, {"Location": f"http://a:pass-word-0815@x.invalid/{bench.key}?key={bench.key}"}),
        Answer(200, {"Content-Type": f"text/{bench.key}"}),
        Answer(raw=f"220 {bench.key} pass-word-0815\r\n".encode()),
        Answer(cut=0),
        Answer(delay=2.0),
    ]
    for answer in answers:
        bench.server.respond = functools.partial(always, answer)
        told.append(repr(transport.send(batch(line("one")))))
    transport.close()
    bench.server.close()
    told.append(repr(transport.send(batch(line("one")))))
    assert len(told) == len(answers) + 3
    for text in told:
        assert bench.key not in text
        assert "pass-word-0815" not in text
        assert "c29tZW9uZTpwYXNz" not in text


def test_too_large_is_a_refusal_of_the_size(bench: BenchLike, transport: Transport) -> None:
    """A batch over the platform's limit is refused as too large, or goes in smaller parts; a smaller one is taken."""
    bench.too_large()
    large = batch(*(line(f"{number} {'x' * 100}") for number in range(500)))
    outcome = transport.send(large)
    while isinstance(outcome, Delivered) and outcome.offset < large.next:  # as much as it had time for
        rest = replace(large, offset=outcome.offset, body=large.body[outcome.offset :])
        outcome = transport.send(rest)
    if outcome == Delivered(large.next):
        assert bench.messages() == [f"{number} {'x' * 100}" for number in range(500)]
        return
    assert isinstance(outcome, Refused)
    assert outcome.too_large
    assert isinstance(transport.send(large.head(size=5000)), Delivered)


def test_silence_ends_with_the_timeout(bench: BenchLike, environ: dict[str, str]) -> None:
    """A platform that says nothing is given up after the timeout."""
    transport = transports.open(bench.url, KeySource(environ=environ), timeout=0.2)
    bench.server.script(Answer(delay=30))
    began = time.monotonic()
    outcome = transport.send(batch(line("one")))
    assert 0.1 < time.monotonic() - began < 25
    assert isinstance(outcome, TryLater)
    assert "0.2 s" in outcome.reason
    transport.close()


def test_a_trickle_ends_with_the_deadline(bench: BenchLike, environ: dict[str, str]) -> None:
    """An answer that comes a byte at a time, each in time, is given up all the same."""
    transport = transports.open(bench.url, KeySource(environ=environ), timeout=0.2)
    bench.server.script(Answer(headers={"X-Long": "x" * 1000}, pace=0.05))
    began = time.monotonic()
    outcome = transport.send(batch(line("one")))
    assert 0.2 < time.monotonic() - began < 25
    assert isinstance(outcome, TryLater)
    transport.close()


def test_closing_twice_is_fine(transport: Transport) -> None:
    """close() may be called again, and before anything was sent."""
    transport.close()
    transport.close()


def test_an_outcome_is_one_of_four(bench: BenchLike, transport: Transport) -> None:
    """send() returns nothing but the four outcomes."""
    assert isinstance(transport.send(batch(line("one"))), Delivered | TryLater | Refused | Gap)
