"""Batches over real HTTP: exactly once, in order, within limits."""

from __future__ import annotations

import gzip
import http.client
import socket
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from loghook.server.ingest import MAX_LINES
from loghook.server.intake import MAX_BODY

Record = Callable[..., dict[str, Any]]
Body = Callable[[list[dict[str, Any]]], bytes]


def messages(client: Any, run: str = "run") -> list[str]:
    """Return the messages of a run's log."""
    return [line["message"] for line in client.read(f"/runs/{run}/logs", limit=5000)["logs"]]


def test_stored(client: Any, record: Record) -> None:
    """A record comes back with all its fields."""
    sent = record(
        "epoch 1",
        metrics={"loss": 0.5, "bad": "NaN"},
        step=3,
        extra={"a": [1, {"b": None}]},
        exception="Traceback\nValueError: x",
        stack="Stack",
        stream="stdout",
        thread="main",
        file="train.py:3",
    )
    client.send([sent])
    (line,) = client.read("/runs/run/logs")["logs"]
    assert line == {**sent, "id": 1, "writer": "writer"}


def test_repeat(client: Any, record: Record, body: Body) -> None:
    """A batch that comes again is answered alike and stored once."""
    batch = body([record("a"), record("b", metrics={"m": 1.0})])
    for _ in range(3):
        answer = client.post(batch)
        assert (answer.status_code, answer.json()) == (200, {"offset": len(batch)})
    assert messages(client) == ["a", "b"]
    assert client.read("/runs/run/metrics")["metrics"][0]["count"] == 1


def test_overlap(client: Any, record: Record, body: Body) -> None:
    """Of a batch that begins below the expected offset only the rest is stored."""
    first, second = body([record("a"), record("b")]), body([record("c", metrics={"m": 1.0})])
    client.post(first)
    answer = client.post(first + second + b"junk\n")
    assert answer.json()["offset"] == len(first + second) + 5
    assert answer.json()["set_aside"][0]["line"] == 3
    assert messages(client) == ["a", "b", "c"]


def test_old(client: Any, record: Record, body: Body) -> None:
    """A batch that lies below the expected offset is answered with that offset."""
    first, second = body([record("a")]), body([record("b")])
    client.post(first + second)
    assert client.post(first).json() == {"offset": len(first + second)}


def test_gap(client: Any, record: Record, body: Body) -> None:
    """A batch beyond the expected offset is refused with that offset, and nothing of it is stored."""
    first = body([record("a")])
    client.post(first)
    answer = client.post(body([record("z")]), len(first) + 10)
    assert (answer.status_code, answer.json()["offset"]) == (409, len(first))
    assert messages(client) == ["a"]


def test_gap_of_unknown_writer(client: Any, record: Record) -> None:
    """A writer that nobody knows is expected to begin at 0, and leaves no run behind when it does not."""
    answer = client.post([record("z")], 10)
    assert (answer.status_code, answer.json()["offset"]) == (409, 0)
    assert client.get("/runs/run").status_code == 404


def test_first(client: Any, record: Record, body: Body) -> None:
    """A gap is taken when the writer has nothing older, and noted on the run."""
    batch = body([record("z")])
    answer = client.post(batch, 1000, first=1000)
    assert answer.json() == {"offset": 1000 + len(batch)}
    assert client.read("/runs/run")["missing_bytes"] == 1000
    assert client.post(batch, 1000 + len(batch) + 7, first=1000).status_code == 409


def test_writers_are_apart(client: Any, record: Record) -> None:
    """Each writer of a run has its own offsets."""
    client.send([record("a")], writer="w1")
    client.send([record("b")], writer="w2")
    assert messages(client) == ["a", "b"]
    assert {writer["id"] for writer in client.read("/runs/run")["writers"]} == {"w1", "w2"}


def test_order(client: Any, record: Record) -> None:
    """A writer's lines keep their order, over batches and whatever their times."""
    offset = 0
    for batch in range(5):
        offset = client.send(
            [record(f"{batch}.{line}", time=1_000.0 - batch) for line in range(300)], offset, writer="w"
        )
    assert messages(client) == [f"{batch}.{line}" for batch in range(5) for line in range(300)]


def test_set_aside(client: Any, record: Record, body: Body) -> None:
    """A line that cannot be stored is named with its reason, and its neighbours are stored."""
    batch = body([record("a")]) + b"\n{broken\n" + body([record("b")])
    answer = client.post(batch).json()
    assert answer["offset"] == len(batch)
    ((index, reason),) = [(bad["line"], bad["reason"]) for bad in answer["set_aside"]]
    assert index == 2
    assert "not JSON" in reason
    assert messages(client) == ["a", "b"]
    assert client.read("/runs/run")["set_aside"] == 1


def test_torn_body(client: Any, record: Record, body: Body) -> None:
    """A body that ends within a line is refused whole."""
    answer = client.post(body([record("a")])[:-1])
    assert answer.status_code == 400
    assert "no newline" in answer.json()["error"]


def test_empty_body(client: Any) -> None:
    """An empty body asks for the expected offset."""
    assert client.post(b"").json() == {"offset": 0}


@pytest.mark.parametrize("offset", ["", "-1", "x", "1e3", "9" * 30, "٣"])
def test_bad_offset(client: Any, offset: str) -> None:
    """An offset that is no number of bytes is refused."""
    assert client.post(b"{}\n", offset).status_code == 400


@pytest.mark.parametrize(
    ("run", "writer"), [("a b", "w"), ("x" * 129, "w"), ("r", "w" * 65), ("r", "ä"), ("r;--", "w")]
)
def test_bad_ids(client: Any, record: Record, run: str, writer: str) -> None:
    """Ids of other characters, or too long ones, are refused."""
    assert client.post([record()], run=run, writer=writer).status_code == 400


def test_gzip(client: Any, record: Record, body: Body) -> None:
    """A compressed body counts as what it was before."""
    batch = body([record("x" * 1000)])
    halves = gzip.compress(batch[:500]) + gzip.compress(batch[500:])
    assert client.post(halves, headers={"Content-Encoding": "gzip"}).json() == {"offset": len(batch)}


@pytest.mark.parametrize(
    "packed",
    [
        b"no gzip",
        gzip.compress(b"x\n" * 999)[:-12],
        zlib.compress(b"x\n"),
        gzip.compress(b"") * 1000,
        gzip.compress(b"a\n") + b"z",
    ],
    ids=["plain", "cut", "zlib", "many empty", "more behind"],
)
def test_bad_gzip(client: Any, packed: bytes) -> None:
    """A body that is not whole gzip is refused."""
    assert client.post(packed, headers={"Content-Encoding": "gzip"}).status_code == 400


def test_unknown_encoding(client: Any) -> None:
    """An encoding that is not known is refused with the one that is."""
    answer = client.post(b"x", headers={"Content-Encoding": "br"})
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "gzip")


def test_bomb(client: Any) -> None:
    """A body that unpacks to more than the limit is refused; the answer says what the limit is."""
    stream = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    packed = b"".join(stream.compress(zeros) for _ in range(512)) + stream.flush()
    assert len(packed) < 1 << 20
    answer = client.post(packed, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["max_bytes"]) == (413, MAX_BODY)


def test_too_large(client: Any) -> None:
    """A body over the limit is refused before it has come."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.putrequest("POST", "/api/v1/runs/r/writers/w/events?offset=0")
    connection.putheader("Authorization", f"Bearer {client.key}")
    connection.putheader("Content-Length", str(MAX_BODY + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"max_bytes" in answer.read()
    connection.close()


def test_too_many_lines(client: Any) -> None:
    """More lines than a batch may have are refused, blank ones do not count."""
    assert client.post(b"{}\n" * (MAX_LINES + 1)).status_code == 413
    blank = b"\n" * (MAX_LINES + 1)
    assert client.post(blank).json() == {"offset": len(blank)}


def test_broken_off(client: Any, record: Record) -> None:
    """A body that breaks off stores nothing and harms nothing."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as raw:
        head = f"POST /api/v1/runs/r/writers/w/events?offset=0 HTTP/1.1\r\nHost: {host}\r\n"
        head += f"Authorization: Bearer {client.key}\r\nContent-Length: 1000\r\n\r\n"
        raw.sendall(head.encode() + b'{"time":1,"message":"half"}\n')
    client.send([record("whole")])
    assert client.get("/runs/r").status_code == 404


def test_missing_steps(client: Any, record: Record) -> None:
    """A metric without steps counts by itself, from one more than the largest step."""
    steps = [None, None, 5, None, 3, None]
    events = [
        record(metrics={"m": float(index)}, **({} if step is None else {"step": step}))
        for index, step in enumerate(steps)
    ]
    offset = client.send(events)
    client.send([record(metrics={"m": 6.0})], offset)
    points = client.read("/runs/run/metrics/m")["points"]
    assert [(step, value) for step, _, value in points] == [(0, 0), (1, 1), (3, 4), (5, 2), (6, 3), (7, 5), (8, 6)]


def test_repeated_steps(client: Any, record: Record) -> None:
    """Points of one step are all kept, by time and then in the order in which they came."""
    events = [
        record(time=time, metrics={"m": value}, step=5)
        for time, value in [(2.0, 1.0), (1.0, 2.0), (2.0, 3.0), (1.0, 4.0)]
    ]
    client.send(events)
    assert [value for _, _, value in client.read("/runs/run/metrics/m")["points"]] == [2.0, 4.0, 1.0, 3.0]


def test_not_finite(client: Any, record: Record) -> None:
    """NaN and infinities come back as they are written, and take no part in the extremes."""
    values = [1.0, "NaN", "Infinity", "-Infinity", 3, True]
    client.send([record(metrics={"m": value}, step=step) for step, value in enumerate(values)])
    assert [value for _, _, value in client.read("/runs/run/metrics/m")["points"]] == [
        1.0, "NaN", "Infinity", "-Infinity", 3.0, 1.0,
    ]  # fmt: skip
    (total,) = client.read("/runs/run/metrics")["metrics"]
    assert total == {"name": "m", "count": 6, "last": 1.0, "min": 1.0, "max": 3.0}


def test_only_nan(client: Any, record: Record) -> None:
    """A metric that was only NaN has a last value and no extremes."""
    client.send([record(metrics={"m": "NaN"})])
    (total,) = client.read("/runs/run/metrics")["metrics"]
    assert total == {"name": "m", "count": 1, "last": "NaN", "min": None, "max": None}


@pytest.mark.parametrize(
    "name", ["MAP@k", "a b,c=1", "损失", "x/y/z", "a?b#c%d&e", "'; DROP TABLE runs; --", "__proto__", "."]
)
def test_names(client: Any, record: Record, name: str) -> None:
    """A metric may have any name."""
    client.send([record(metrics={name: 1.0}, step=1)])
    assert client.read("/runs/run/metrics")["metrics"][0]["name"] == name
    assert client.read("/runs/run/series", name=name)["series"][name]["points"] == [[1, record()["time"], 1.0]]


def test_many_names(client: Any, record: Record) -> None:
    """Ten thousand names in one record are ten thousand metrics."""
    metrics = {f"layer{index}/weight": float(index) for index in range(10_000)}
    offset = client.send([record(metrics=metrics, step=0)])
    client.send([record(metrics=metrics, step=1)], offset)
    found = client.read("/runs/run/metrics")["metrics"]
    assert len(found) == 10_000
    assert {metric["count"] for metric in found} == {2}
    assert len(client.read("/runs/run/metrics", q="R77/W")["metrics"]) == 1
    assert client.read("/runs/run")["counts"] == {"logs": 2, "metrics": 10_000}


NASTY = [
    {"event": "dropped", "dropped": {"a": 2**64 - 1, "b": -5, "c": True, "d": "x", "e": 1e300}},
    {
        "event": "run_started",
        "run": {"name": "\0", "pid": 2**64 - 1, "rank": -(2**63), "argv": [2**64 - 1], "host": "\0"},
    },
    {"event": "writer_started", "writer": {"pid": 1e300, "host": 5, "rank": 2**64 - 1}},
    {"event": "params", "params": {"": None, "\0": {"x": [1e308]}, "n": 2**64 - 1}},
    {"event": "run_ended", "status": "failure", "exception": 5, "reason": []},
    {
        "message": "\0 \ufeff \u2028",
        "logger": "\0",
        "level": "\0",
        "step": 2**64 - 1,
        "metrics": {"\0": 1e308, "": -1e308},
    },
    {"message": "m", "step": -1e308, "metrics": {"\0": -1e308, "": 1e308}, "level": -5},
    {"message": "m", "metrics": {"\0": 2**64 - 1, "": 5e-324}, "level": 2**64 - 1},
    {"message": "m", "time": -1e308},
    {"message": "m", "time": 1e308, "metrics": {"": 1}},
    {"message": "m", "metrics": {"": 1}},
]


def test_nasty(client: Any) -> None:
    """Extreme values of every kind are stored or set aside, and everything can still be read, time after time."""
    offset = 0
    for _ in range(3):
        for event in NASTY:
            answer = client.post([{"time": 1.0, **event}], offset)
            assert answer.status_code == 200, answer.text
            offset = answer.json()["offset"]
    for path in ("/runs", "/overview", "/runs/run", "/runs/run/logs", "/runs/run/metrics"):
        client.read(path)
    assert len(client.read("/runs/run/series", name=["", "\0"])["series"]) == 2


@pytest.mark.parametrize("depth", range(230, 270, 3))
def test_deep(client: Any, depth: int) -> None:
    """Deep nesting is stored or set aside, and everything can still be read."""
    deep = b"[" * depth + b"]" * depth
    body = b'{"time":1,"event":"params","params":{"a":' + deep + b"}}\n"
    body += b'{"time":1,"event":"run_started","run":{"params":{"b":' + deep + b'},"argv":' + deep + b"}}\n"
    body += b'{"time":1,"message":"m","extra":{"a":' + deep + b"}}\n"
    assert client.post(body).status_code == 200
    for path in ("/runs", "/overview", "/runs/run", "/runs/run/logs"):
        client.read(path)
