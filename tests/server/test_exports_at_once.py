"""Exports are work: an account has a few at the same time, and whoever goes away leaves room for the next."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loghook.server import Server

AT_ONCE = 4
ROUNDS = 6
ENOUGH = 60.0
"""Seconds that a test waits for what should come soon; the machine may be busy."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is tidied up by the collector of garbage meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ask(stack: ExitStack, client: Any) -> socket.socket:
    """Ask for the export of the run, reading nothing of it."""
    address = urlsplit(client.url)
    connection = stack.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(ENOUGH)
    connection.connect((address.hostname, address.port))
    head = f"GET /api/v1/runs/run/export HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client.key}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def status(connection: socket.socket) -> int:
    """Return the status of an answer, reading nothing else."""
    with connection.makefile("rb", buffering=0) as answer:
        return int(answer.readline().split()[1])


def databases_open() -> int:
    """Return how many files of databases this process has open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += "loghook.db" in os.readlink(entry)
        except FileNotFoundError:
            continue
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + ENOUGH
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("uncollected")
def test_clients_that_leave_make_room_for_others(
    server: Server, client: Any, as_client: Callable[..., Any], record: Callable[..., dict[str, Any]]
) -> None:
    """Of many at the same moment a few are served, other accounts beside them, and others again once they left."""
    offset = 0
    for _ in range(3):
        offset = client.send([record("x" * 20_000)] * 200, offset)
    body = {"email": "a@example.org", "password": "correct horse"}
    answer = client.session.post(f"{server.url}/api/v1/users", json=body, timeout=ENOUGH)
    other = as_client(server, answer.json()["api_key"])
    other.send([record("one")])
    before = databases_open()

    def is_full() -> bool:
        """Whether as many as may be are served; they leave without having read it."""
        with ExitStack() as stack:
            asked = [ask(stack, client) for _ in range(3 * AT_ONCE)]
            answers = sorted(map(status, asked))
            assert set(answers) <= {200, 429}
            assert answers.count(200) <= AT_ONCE
            assert other.get("/runs/run/export").status_code == 200
            return answers.count(200) == AT_ONCE

    assert is_full()
    for _ in range(ROUNDS):  # those of the last round may not have been missed yet
        wait_for(is_full)
    # The server's own readers may have come to life meanwhile: those are fewer.
    wait_for(lambda: databases_open() < before + ROUNDS * AT_ONCE)


def test_what_cannot_be_exported_takes_no_room(client: Any, record: Callable[..., dict[str, Any]]) -> None:
    """Refused exports, of runs that are not there say, count no longer than they take."""
    client.send([record("one")])
    for _ in range(2 * AT_ONCE):
        assert client.get("/runs/none/export").status_code == 404
        assert client.get("/runs/run/export", format="pdf").status_code == 400
    assert client.get("/runs/run/export").status_code == 200
