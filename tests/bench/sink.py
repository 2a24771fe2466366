"""A server that takes what any peer sends, answers as each one's own platform would, and counts records by number.

It is a process of its own, so that it takes no time from the sender but a core. Bodies are kept as they came; they are
unpacked and searched for "record 0000123" when the count is asked for, which is not while time is taken.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["RECORD", "Sink"]

RECORD = "record %07d"
"""What every measured record says; by its number the sink knows it."""

_NUMBER = re.compile(rb"record (\d{7})")

# What a peer's platform answers: the beginning of the path, the status, the type and the body.
_JSON = "application/json"
_ANSWERS: list[tuple[str, int, str, bytes]] = [
    ("/v1/logs", 200, "application/x-protobuf", b""),
    ("/loki", 204, "", b""),
    ("/logtail", 202, _JSON, b"{}"),
    (
        "/api/2.0/mlflow/experiments",
        200,
        _JSON,
        b'{"experiment":{"experiment_id":"1","name":"bench","lifecycle_stage":"active"}}',
    ),
    (
        "/api/2.0/mlflow/runs/create",
        200,
        _JSON,
        b'{"run":{"info":{"run_id":"r1","run_uuid":"r1","experiment_id":"1","status":"RUNNING","start_time":1,'
        b'"artifact_uri":"file:///tmp/none","lifecycle_stage":"active"},"data":{}}}',
    ),
    (
        "/api/2.0/mlflow/runs",
        200,
        _JSON,
        b'{"run":{"info":{"run_id":"r1","run_uuid":"r1","experiment_id":"1","status":"RUNNING","start_time":1,'
        b'"artifact_uri":"file:///tmp/none","lifecycle_stage":"active"},"data":{}},"run_info":{"run_id":"r1",'
        b'"run_uuid":"r1","experiment_id":"1","status":"FINISHED","start_time":1,"lifecycle_stage":"active"}}',
    ),
]


class Sink:
    """The sink, as who measures sees it. Ends with the `with` block."""

    def __enter__(self) -> Sink:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._ask("port")["port"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def down(self) -> None:
        """Refuse connections, and close those that are open, from now on."""
        self._ask("down")

    def up(self) -> None:
        """Take connections again, on the same port."""
        self._ask("up")

    def clear(self) -> None:
        """Forget what came."""
        self._ask("clear")

    def count(self, pattern: str = "") -> dict[str, Any]:
        """Return what came: {"numbers": different records, "again": repeated ones, "bytes" on the wire, "requests"}.

        And "last", when the last request was answered (`time.time()`), and "ids" as a list of ranges. `pattern` finds
        a record's number where it is not "record 0000123".
        """
        return self._ask(f"count {pattern}".strip())

    def lines(self) -> dict[str, Any]:
        """Return {"bytes": what the bodies hold once unpacked}."""
        return self._ask("lines")

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class _Server:
    """The process itself: a thread for each connection, commands on standard input."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.bytes = 0
        self.last = 0.0
        self.open: set[socket.socket] = set()
        self.port = 0
        self.listening: socket.socket | None = None

    def listen(self) -> None:
        listening = self.listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def down(self) -> None:
        listening, self.listening = self.listening, None
        if listening is not None:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed by the other side this moment

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.open.add(connection)
        file = connection.makefile("rb", 1 << 16)
        try:
            while self._request(connection, file):
                pass
        except (OSError, ValueError):
            pass  # the sender went away, or we are down
        finally:
            self.open.discard(connection)
            connection.close()

    def _request(self, connection: socket.socket, file: Any) -> bool:
        line = file.readline()
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (header := file.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b"".join(iter(lambda: _chunk(file), b""))
        else:
            length = int(headers.get("content-length") or 0)
            body = file.read(length)
            if len(body) < length:
                return False
        status, kind, answer = _answer(method, target, headers, body)
        words = "No Content" if status == 204 else "OK"
        head = f"HTTP/1.1 {status} {words}\r\n"
        if kind:
            head += f"Content-Type: {kind}\r\n"
        if status != 204:
            head += f"Content-Length: {len(answer)}\r\n"
        connection.sendall(head.encode() + b"\r\n" + answer)
        self.bodies.append((headers.get("content-encoding", ""), body))
        self.bytes += len(body)
        self.last = time.time()
        return True

    def count(self, pattern: str) -> dict[str, Any]:
        number = re.compile(pattern.encode()) if pattern else _NUMBER
        seen: set[int] = set()
        total = 0
        for encoding, body in list(self.bodies):
            found = [int(float(one)) for one in number.findall(_unpacked(encoding, body))]
            total += len(found)
            seen.update(found)
        answer = {"numbers": len(seen), "again": total - len(seen), "bytes": self.bytes, "last": self.last}
        return {**answer, "requests": len(self.bodies), "ids": _ranges(seen)}

    def run(self) -> None:
        self.listen()
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            answer: dict[str, Any] = {}
            if command == "port":
                answer = {"port": self.port}
            elif command == "count":
                answer = self.count(rest)
            elif command == "lines":
                answer = {"bytes": sum(len(_unpacked(encoding, body)) for encoding, body in self.bodies)}
            elif command == "down":
                self.down()
            elif command == "up":
                self.listen()
            elif command == "clear":
                self.bodies.clear()
                self.bytes = 0
            print(json.dumps(answer), flush=True)


def _chunk(file: Any) -> bytes:
    size = int(file.readline().split(b";")[0], 16)
    data: bytes = file.read(size)
    file.readline()
    return data


def _answer(method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
    url = urlsplit(target)
    if url.path.startswith("/api/v1/runs/") and url.path.endswith("/events"):
        offset = int(parse_qs(url.query)["offset"][0])
        length = len(_unpacked(headers.get("content-encoding", ""), body))
        return 200, _JSON, b'{"offset":%d}' % (offset + length)
    if url.path.startswith("/api/v1/user/project/experiments"):
        made = method == "POST" and url.path.endswith("/experiments/")
        return 200, _JSON, b'{"id":1}' if made else b'{"results":[],"count":0}'
    for beginning, status, kind, answer in _ANSWERS:
        if url.path.startswith(beginning):
            return status, kind, answer
    return 200, _JSON, b"{}"


def _unpacked(encoding: str, body: bytes) -> bytes:
    try:
        if encoding == "gzip":
            return gzip.decompress(body)
        if encoding == "deflate":
            return zlib.decompress(body)
    except (OSError, EOFError, zlib.error):
        return b""
    return body


def _ranges(numbers: set[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges[:1000]


if __name__ == "__main__":
    _Server().run()
