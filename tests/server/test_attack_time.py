"""Clients that take their time, and clients that take up room: they hold up nobody, and not for ever."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

Attack = Callable[..., Any]
WaitUntil = Callable[..., None]

PATIENCE = 5.0
"""Long enough for a client of good will on a busy machine, which may be held up between any two of its steps."""
IMPATIENT = {"head": PATIENCE, "part": PATIENCE, "answer": PATIENCE}
ENOUGH = 60
"""Seconds that a test waits for what should come soon; the machine may be busy."""


def head(path: str, length: int | None, *lines: str) -> bytes:
    """Return the head of a POST."""
    body = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: 127.0.0.1", body, *lines, "", "")).encode()


def upload(key: str, length: int = 1000, run: str = "slow") -> bytes:
    """Return the head of a batch."""
    return head(f"/api/v1/runs/{run}/writers/w/events?offset=0", length, f"Authorization: Bearer {key}")


def is_open(connection: socket.socket) -> bool:
    """Tell whether a server has neither answered nor closed."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    else:
        return False
    finally:
        connection.settimeout(ENOUGH)


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server closes; what a reset throws away does not count."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    count = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            count += os.readlink(path).startswith("socket:")
    return count


@pytest.mark.slow
def test_slow_uploads_hold_nobody_up(attacked: Attack) -> None:
    """Any number of bodies that do not come leave all places to those that do, of their account and of others."""
    server = attacked()
    other = server.sign_up("other@example.org")
    with ExitStack() as stack:
        slow = [stack.enter_context(server.dial()) for _ in range(60)]
        for connection in slow:
            connection.sendall(upload(server.key) + b"{")
        for number, key in enumerate([server.key, other] * 10):
            server.send(f"quick-{number}", {"time": 1.0, "message": "quick"}, key=key)
        assert all(map(is_open, slow))
        line = json.dumps({"time": 1.0, "message": "x" * 900}).encode()
        slow[0].sendall(line[1:].ljust(998) + b"\n")
        assert slow[0].recv(12) == b"HTTP/1.1 200"


def test_heads_that_do_not_come(attacked: Attack) -> None:
    """A connection without a whole head is closed, whether nothing comes, a part of it, or always a little more."""
    server = attacked(patience=IMPATIENT)
    with ExitStack() as stack:
        silent, half, dribbling, after = (stack.enter_context(server.dial()) for _ in range(4))
        half.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        after.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert after.recv(12) == b"HTTP/1.1 200"
        for connection in (dribbling, after):
            dribbling_on(connection, b"GET / HTTP/1.1\r\nX: ")
        assert rest(silent) == rest(half) == b""
    assert server.ask("GET", "/healthz").status == 200
    assert server.said() == ""


def dribbling_on(connection: socket.socket, begin: bytes) -> None:
    """Send a byte again and again, until the server has closed."""
    connection.sendall(begin)
    connection.settimeout(0.05)
    for _ in range(20 * ENOUGH):
        try:
            connection.sendall(b"x")
            if not connection.recv(65536):
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("the server never closed")


def test_bodies_that_do_not_come(attacked: Attack) -> None:
    """A body that stops is answered 408, by every route that reads one, before any key is shown too."""
    server = attacked(patience=IMPATIENT)
    keys = [f"Authorization: Bearer {server.key}", f"X-Hyperdash-Auth: {server.key}", "Content-Type: application/json"]
    paths = ["/api/v1/users", "/api/v1/sessions", "/api/v1/keys", "/api/v1/sdk/http", "/api/v1/u/p/experiments"]
    heads = [(path, keys) for path in (*paths, "/api/v1/runs/r/writers/w/events?offset=0")]
    heads.append(("/sign-in", ["Sec-Fetch-Site: same-origin"]))
    with ExitStack() as stack:
        waiting = []
        for path, lines in heads:
            for length, begin in ((1000, b"x"), (None, b"5\r\nxxxxx\r\n")):
                connection = stack.enter_context(server.dial())
                connection.sendall(head(path, length, *lines) + begin)
                waiting.append((path, length, connection))
        for path, length, connection in waiting:
            assert rest(connection).startswith(b"HTTP/1.1 408 "), (path, length)
    assert server.said() == ""


@pytest.mark.slow
def test_bodies_that_come_too_slowly(attacked: Attack) -> None:
    """A body of which always a little more comes has to come at a pace."""
    server = attacked(patience={**IMPATIENT, "pace": 10_000.0})
    with server.dial() as connection:
        dribbling_on(connection, upload(server.key, 1_000_000))
    assert server.said() == ""


@pytest.mark.slow
def test_bodies_that_nobody_reads(attacked: Attack) -> None:
    """The rest of a body, after an answer that did not need it, is waited for only so long."""
    server = attacked(patience=IMPATIENT)
    with server.dial() as connection:
        connection.sendall(head("/api/v1/keys", 1_000_000, "Authorization: Bearer wrong"))
        assert connection.recv(12) == b"HTTP/1.1 401"
        dribbling_on(connection, b"")


@pytest.mark.slow
def test_answers_that_nobody_takes(attacked: Attack, wait_until: WaitUntil) -> None:
    """A client that asks for much and reads nothing is left, and what was kept for it is free."""
    server = attacked(patience=IMPATIENT)
    before = sockets(server.process.pid)
    server.send("long", *({"time": 1.0, "message": "x" * 2000} for _ in range(4000)))
    request = "GET /api/v1/runs/long/logs?limit=4000 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
    with ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(server.dial(4096))
            connection.sendall(request.encode() + server.key.encode() + b"\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: sockets(server.process.pid) <= before, ENOUGH, "the end of all connections")
        assert len(rest(connection)) < 8_000_000
    assert server.ask("GET", "/healthz").status == 200
    assert server.said() == ""


@pytest.mark.slow
def test_a_slow_reader_gets_all(attacked: Attack) -> None:
    """A client that reads slowly, but reads, gets the whole answer, though it takes twice as long as any may wait."""
    server = attacked(patience=IMPATIENT)
    server.send("long", *({"time": 1.0, "message": "x" * 1000} for _ in range(2000)))
    request = "GET /api/v1/runs/long/logs?limit=4000 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    with server.dial(4096) as connection:
        connection.sendall(f"{request}Authorization: Bearer {server.key}\r\n\r\n".encode())
        found = bytearray()
        pause = threading.Event()
        began = time.monotonic()
        while part := connection.recv(65536):
            found += part
            while len(found) > (time.monotonic() - began) * 200_000:
                pause.wait(0.01)
        assert time.monotonic() - began > 2 * PATIENCE
    assert len(json.loads(found.partition(b"\r\n\r\n")[2])["logs"]) == 2000


@pytest.mark.slow
def test_too_many_connections(attacked: Attack) -> None:
    """Whoever opens more connections than there may be loses their own, and all others are answered."""
    server = attacked(descriptors=300)
    with ExitStack() as stack:
        held = [stack.enter_context(server.dial()) for _ in range(90)]
        for number in range(400):
            connection = server.dial()
            stack.enter_context(connection)
            if number % 2:
                connection.sendall(head("/sign-in", 1000, f"Origin: {server.url}") + b"x")
            if number % 20 == 0:
                server.hang_up()
                assert server.ask("GET", "/healthz").status == 200
        assert rest(held[0]) == b""
        assert sockets(server.process.pid) < 300
    server.send("after", {"time": 1.0, "message": "after"})
    assert server.said() == ""


@pytest.mark.slow
def test_bodies_have_their_room(attacked: Attack, home: Path) -> None:
    """Bodies that never end take memory from each other, not from other accounts nor without bound."""
    server = attacked()
    other = server.sign_up("other@example.org")
    before = server.memory()
    part = b"x" * (1 << 20)
    with ExitStack() as stack:
        for _ in range(45):
            connection = stack.enter_context(server.dial())
            with suppress(ConnectionError):  # it was the one that had to go
                connection.sendall(upload(server.key, 16 * len(part)))
                for _ in range(15):
                    connection.sendall(part)
        line = json.dumps({"time": 1.0, "message": "y" * 1000}).encode() + b"\n"
        path = "/api/v1/runs/other/writers/w/events?offset=0"
        assert server.ask("POST", path, key=other, body=line * 5000).status == 200
        assert server.memory() - before < 400 * 1024
    assert server.said() == ""
