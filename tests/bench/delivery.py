"""How fast a transport takes what lies in the spool to a server on this machine that does nothing but answer.

The server is a process of its own, so that it takes no time from the sender but a core. One request for each
message over one kept-alive connection of requests, which waits for each answer, is what the joining of lines is
to be compared with.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["run"]

LINES = 50_000
METRICS = 3_000
PLAIN = 1_000

SERVER = r"""
import socket, sys
answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while block := connection.recv(65536):
            data += block
            head, ended, rest = data.partition(b"\r\n\r\n")
            if ended:
                size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                if len(rest) >= size:
                    data = rest[size:]
                    connection.sendall(answer)
"""


def run(progress: TextIO) -> list[dict[str, object]]:
    """Return a row for each kind of event: events and requests a second."""
    rows = []
    with _serving() as port:
        progress.write("delivery: requests\n")
        rows.append(_plain(port))
        for name, count, every in (("log lines", LINES, 0), ("log lines, each with a metric", METRICS, 1)):
            progress.write(f"delivery: hyperdash, {name}\n")
            rows.append(_hyperdash(port, name, count, every))
    return rows


@contextmanager
def _serving() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def _plain(port: int) -> dict[str, object]:
    import requests

    body = json.dumps({"type": "log", "payload": {"level": "INFO", "body": "step 1000: loss 0.123"}})
    with requests.Session() as session:
        session.trust_env = False
        start = time.perf_counter()
        for _ in range(PLAIN):
            session.post(f"http://127.0.0.1:{port}/api/v1/sdk/http", data=body, timeout=10)
        seconds = time.perf_counter() - start
    return _row("requests, one POST an event", PLAIN, seconds)


def _hyperdash(port: int, name: str, count: int, every: int) -> dict[str, object]:
    from loghook import transports
    from loghook.credentials import KeySource

    keys = KeySource(environ={"LOGHOOK_API_KEY": "a-key-for-benchmarks"})
    transport = transports.open(f"hyperdash+http://127.0.0.1:{port}", keys)
    body = b"".join(_line(i, bool(every)) for i in range(count))
    offset = 0
    start = time.perf_counter()
    while offset < len(body):
        end = body.find(b"\n", min(offset + (1 << 20), len(body) - 1)) + 1
        outcome = transport.send(transports.Batch("0" * 32, "writer", offset, body[offset:end]))
        if not isinstance(outcome, transports.Delivered):
            raise SystemExit(f"the benchmark's server was not enough: {outcome}")
        offset = outcome.offset
    seconds = time.perf_counter() - start
    transport.close()
    return _row(f"hyperdash, {name}", count, seconds)


def _line(number: int, with_metric: bool) -> bytes:
    event = {"time": 1763740000.5 + number * 1e-4, "level": "INFO", "logger": "train"}
    event |= {"message": f"step {number}: loss 0.123", "file": "train.py:88"}
    return json.dumps({**event, "metrics": {"loss": number / 3}} if with_metric else event).encode() + b"\n"


def _row(what: str, events: int, seconds: float) -> dict[str, object]:
    return {"what": what, "events": events, "seconds": f"{seconds:.2f}", "events/s": f"{events / seconds:,.0f}"}
