"""Requests that are too large, too long, too deep, or much larger than they look: refused, and memory stays flat."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from loghook.server.app import PUBLIC

Attack = Callable[..., Any]

MIB = 1 << 20
LIMIT = 16 * MIB
EVENTS = "/api/v1/runs/r/writers/w/events?offset=0"
FLAT = 96 * 1024
"""KiB that a server may need beyond what it has at rest: a body that comes, and what it becomes."""


def bomb(size: int) -> bytes:
    """Return gzip that unpacks to so many zero bytes; a tenth of a percent of that."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream.compress(bytes(MIB))
    stream.flush(zlib.Z_FULL_FLUSH)
    block = stream.compress(bytes(MIB)) + stream.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08" + bytes(7)
    return head + block * (size // MIB) + stream.flush() + struct.pack("<II", 0, size & 0xFFFFFFFF)


@pytest.mark.slow
def test_a_bomb_of_ten_gigabytes(attacked: Attack) -> None:
    """A body that would unpack to ten gigabytes is refused by every route that unpacks, and memory stays flat."""
    server = attacked()
    packed = bomb(10 << 30)
    assert 9 * MIB < len(packed) < LIMIT
    assert len(zlib.decompressobj(31).decompress(packed, 3 * MIB)) == 3 * MIB
    server.send("first", {"time": 1.0, "message": "one"})
    before = server.memory()
    gzip = {"Content-Encoding": "gzip", "Content-Type": "application/json", "X-Hyperdash-Auth": server.key}
    for _ in range(3):
        answer = server.ask("POST", EVENTS, key=server.key, body=packed, headers=gzip)
        assert (answer.status, answer.json()["max_bytes"]) == (413, LIMIT)
    twice = {**gzip, "Content-Encoding": "gzip, gzip"}
    assert server.ask("POST", EVENTS, key=server.key, body=packed, headers=twice).status == 415
    many = bomb(MIB) * 2000
    assert server.ask("POST", EVENTS, key=server.key, body=many, headers=gzip).status in (400, 413)
    answer = server.ask("POST", "/api/v1/u/p/experiments/7/logs", key=server.key, body=packed, headers=gzip)
    assert answer.status == 413
    with suppress(ConnectionError):  # larger than any message of the SDK: refused before it is read
        assert server.ask("POST", "/api/v1/sdk/http", body=packed, headers=gzip).status == 400
    server.hang_up()
    # Where nothing is unpacked, it is a body that is no JSON.
    for path in ("/api/v1/users", "/api/v1/sessions", "/api/v1/keys"):
        assert server.ask("POST", path, key=server.key, body=packed[:4000], headers=gzip).status == 400
    assert server.memory() - before < FLAT
    assert server.said() == ""


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_without_end(attacked: Attack, chunked: bool) -> None:
    """No route reads more of a body than it has use for, however that is sent, and memory stays flat."""
    server = attacked()
    before = server.memory()
    for method, path in server.routes:
        if method not in ("POST", "PATCH", "DELETE"):
            continue
        path = re.sub(r"\{[^}]+\}", "7", path)
        head = [f"{method} {path}?offset=0 HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {server.key}"]
        head += [f"X-Hyperdash-Auth: {server.key}", "Content-Type: application/json"]
        head += ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {200 * MIB}", "", ""]
        part = b"%x\r\n%s\r\n" % (MIB, b"[" * MIB) if chunked else b"[" * MIB
        with server.dial() as connection, suppress(ConnectionError):
            connection.sendall("\r\n".join(head).encode())
            for _ in range(40):
                connection.sendall(part)
            assert not connection.recv(12).startswith(b"HTTP/1.1 5"), path
    assert server.memory() - before < FLAT
    assert server.said() == ""


def heads() -> Iterator[tuple[str, bytes]]:
    """Yield heads of requests that are too long, each in another way."""
    end = b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n"
    yield "path", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + end
    yield "query", b"GET /healthz?" + b"a" * 100_000 + b" HTTP/1.1\r\n" + end
    yield "method", b"G" * 100_000 + b" / HTTP/1.1\r\n" + end
    yield "header", b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n" + end
    yield "name", b"GET /healthz HTTP/1.1\r\n" + b"X" * 100_000 + b": a\r\n" + end
    yield "headers", b"GET /healthz HTTP/1.1\r\n" + b"X: a\r\n" * 20_000 + end
    yield "cookies", b"GET / HTTP/1.1\r\nCookie: " + b"a=b; " * 20_000 + b"\r\n" + end
    yield (
        "trailers",
        b"POST /sign-in HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + end + b"0\r\n" + b"X: a\r\n" * 20_000,
    )
    yield "chunk", b"POST /sign-in HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + end + b"1;" + b"a" * 100_000


def test_long_heads(attacked: Attack) -> None:
    """A head that is too long is refused, whichever part of it is, and so is what is longer than it says."""
    server = attacked()
    for name, sent in heads():
        with server.dial() as connection:
            status = b""
            with suppress(ConnectionError):
                connection.sendall(sent)
                status = connection.recv(12)
            assert status in (b"", b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 431"), name
    assert server.ask("GET", "/healthz").status == 200
    assert server.said() == ""


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_deep_json(victim: Any, kind: str) -> None:
    """No body is nested too deeply for the server, whichever route reads it."""
    deep = [b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000, b"[" * 90 + b"]" * 90]
    deep += [b'{"metrics":' + b'{"a":' * 500 + b"1" + b"}" * 501, b'{"email":' + b"[" * 20_000, b"a[" * 9_000]
    for method, path in victim.routes:
        if method not in ("POST", "PATCH"):
            continue
        for body in deep:
            headers = {"Content-Type": kind, "X-Hyperdash-Auth": victim.key}
            if path in PUBLIC:
                headers["Origin"] = victim.url
            target = re.sub(r"\{[^}]+\}", "7", path) + "?offset=0"
            answer = victim.ask(method, target, key=victim.key, body=body + b"\n", headers=headers)
            assert answer.status < 500, (path, body[:20], answer)
    assert "Traceback" not in victim.said()


def test_long_lines(victim: Any) -> None:
    """A line that is too long is set aside; a shorter one behind it is stored."""
    line = json.dumps({"time": 1.0, "message": "x" * 5 * MIB}).encode()
    fine = json.dumps({"time": 1.0, "message": "fine"}).encode()
    answer = victim.ask("POST", EVENTS.replace("/r/", "/long/"), key=victim.key, body=line + b"\n" + fine + b"\n")
    assert [one["line"] for one in answer.json()["set_aside"]] == [0]
    (kept,) = victim.ask("GET", "/api/v1/runs/long/logs", key=victim.key).json()["logs"]
    assert kept["message"] == "fine"


@pytest.mark.slow
def test_runs_that_grow(attacked: Attack) -> None:
    """A run has only so many params, a list only so many bytes, and an answer only so many points."""
    server = attacked()
    before = server.memory()
    for number in range(12):
        event = {"time": 1.0, "event": "params", "params": {f"p{number}": "x" * 3_000_000}}
        server.send(f"large-{number}", event)
        path = f"/api/v1/runs/growing/writers/w{number}/events?offset=0"
        answer = server.ask("POST", path, key=server.key, body=json.dumps(event).encode() + b"\n")
        assert ("set_aside" in answer.json()) == (number >= 2)
    reason = answer.json()["set_aside"][0]["reason"]
    assert "params" in reason
    for path in ("/api/v1/runs?limit=1000", "/api/v1/overview?limit=1000"):
        found: list[str] = []
        cursor = ""
        while True:
            answer = server.ask("GET", path + cursor, key=server.key)
            assert len(answer.body) < 20 * MIB
            page = answer.json()
            found += [run["id"] for run in page["runs"]]
            if page["next"] is None:
                break
            cursor = f"&before={page['next']}"
        assert sorted(found) == sorted([*(f"large-{number}" for number in range(12)), "growing"])
    assert server.memory() - before < 3 * FLAT
    assert server.said() == ""


def test_many_names(victim: Any) -> None:
    """A line, and a batch, has metrics of only so many names; a batch can be sent in parts."""
    names = {f"n{number}": 1.0 for number in range(100_001)}
    line = json.dumps({"time": 1.0, "message": "", "metrics": names}).encode() + b"\n"
    answer = victim.ask("POST", EVENTS.replace("/r/", "/names/"), key=victim.key, body=line)
    assert "names" in answer.json()["set_aside"][0]["reason"]
    nested = json.dumps({"time": 1.0, "message": "", "metrics": {"a": {"b": names}}}).encode() + b"\n"
    answer = victim.ask("POST", EVENTS.replace("/r/", "/names2/"), key=victim.key, body=nested)
    assert "names" in answer.json()["set_aside"][0]["reason"]
    halves = [{"time": 1.0, "message": "", "metrics": dict.fromkeys(list(names)[part::3], 1.0)} for part in range(3)]
    body = b"".join(json.dumps(half).encode() + b"\n" for half in halves)
    answer = victim.ask("POST", EVENTS.replace("/r/", "/names3/"), key=victim.key, body=body)
    assert answer.status == 413
    assert "names" in answer.json()["error"]
