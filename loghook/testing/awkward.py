"""An HTTP server on a free port of 127.0.0.1 that behaves as badly as a script tells it to.

Each request uses up one step of the script, then `respond` answers. A step is an Answer, or a function of the
request and `respond` that returns one, or None for a good answer. All requests are kept in `requests`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Answer", "AwkwardServer", "Request", "lost_reply"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. Header names are in lower case, `target` is the path and query as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's names and values."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def content(self) -> bytes:
        """The body, unpacked where it was sent with gzip. Raises zlib.error when it is not gzip."""
        return zlib.decompress(self.body, 31) if self.headers.get("content-encoding") == "gzip" else self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, good or bad. Times are in seconds.

    status, headers, body   what is answered; Content-Length is added unless the headers frame the body
    raw        these bytes instead, whatever they are
    delay      the silence before the first byte
    pace       the time between two bytes
    cut        the connection ends after so many bytes of the whole answer; 0: without an answer
    reset      it ends by a reset (RST) and not in an orderly way
    endless    the body is repeated for as long as the client reads
    unread     the answer comes before the request's body is read
    reading    the time between two kilobytes of the request's body that are read
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    delay: float = 0.0
    pace: float = 0.0
    cut: int | None = None
    reset: bool = False
    endless: bool = False
    unread: bool = False
    reading: float = 0.0

    def encoded(self) -> bytes:
        """The bytes of the answer, head and body."""
        if self.raw is not None:
            return self.raw
        headers = dict(self.headers)
        if not self.endless and not {"content-length", "transfer-encoding"} & {name.lower() for name in headers}:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"HTTP/1.1 {self.status} {self.status}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


Respond = Callable[[Request], Answer]
Step = Answer | Callable[[Request, Respond], Answer] | None


def lost_reply(request: Request, respond: Respond) -> Answer:
    """A step: the request is handled in full, and the connection ends without an answer."""
    return replace(respond(request), cut=0)


class AwkwardServer:
    """A server in threads of its own; use it in a `with` statement, or call `close`.

    respond   answers a request for which the script has no step; by default 200 without a body
    tls       serve https with this context
    """

    def __init__(
        self,
        respond: Respond = lambda request: Answer(),
        *steps: Step,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.respond = respond
        self.requests: list[Request] = []
        self.connections = 0
        self.errors: list[str] = []
        self._steps: deque[Step] = deque(steps)
        self._stopping = threading.Event()
        self._arrived = threading.Condition()
        self._server = _Server(self, tls)
        self.port: int = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="loghook-testing", daemon=True
        )
        self._thread.start()

    def script(self, *steps: Step) -> None:
        """Adds steps to what the next requests will meet."""
        self._steps.extend(steps)

    def close(self) -> None:
        """Ends all connections, the answers that are under way included, and waits for the threads."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._server.shutdown()
        self._server.end_all()
        self._thread.join(5.0)

    def pause(self, seconds: float) -> bool:
        """Waits, but not beyond `close`; returns whether the server goes on."""
        return not self._stopping.wait(seconds)

    def wait(self, condition: Callable[[], object], timeout: float = 10.0) -> bool:
        """Waits until a condition on the requests holds, at most `timeout` seconds; returns whether it does."""
        with self._arrived:
            return bool(self._arrived.wait_for(condition, timeout))

    def arrived(self, request: Request) -> None:
        """Keeps a request."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def next_step(self) -> Step:
        """Takes the next step off the script; None when it is over."""
        try:
            return self._steps.popleft()
        except IndexError:
            return None

    def __enter__(self) -> AwkwardServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(HTTPServer):
    """Accepts connections and gives each a thread."""

    def __init__(self, owner: AwkwardServer, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self._tls = tls
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Conversation)

    def server_bind(self) -> None:
        """Binds without looking up the machine's name, which HTTPServer would do."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._converse, args=(request, client_address), name="loghook-testing", daemon=True
        )
        with self._guard:
            self._open[request] = thread
        self.owner.connections += 1
        thread.start()

    def end_all(self) -> None:
        self.server_close()
        with self._guard:
            conversations = dict(self._open)
        for connection in conversations:
            _end(connection)
        for thread in conversations.values():
            thread.join(5.0)

    def _converse(self, plain: socket.socket, client_address: Any) -> None:
        connection = plain
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                connection.settimeout(10.0)
                with self._guard:
                    self._open[connection] = self._open.pop(plain)
            _Conversation(connection, client_address, self)
        except OSError:
            pass  # the client went away, which is its right
        except Exception as error:
            self.owner.errors.append(f"{type(error).__name__}: {error}")
        finally:
            with self._guard:
                self._open.pop(connection, None)
                self._open.pop(plain, None)
            connection.close()


class _Conversation(BaseHTTPRequestHandler):
    """The requests and answers on one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        """Serves every method alike: BaseHTTPRequestHandler looks for do_GET, do_POST and so on."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the owner keeps the requests."""

    def _serve(self) -> None:
        owner = self.server.owner
        step = owner.next_step()
        bad = step if isinstance(step, Answer) else Answer()
        body = b"" if bad.unread else self._body(bad.reading)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        owner.arrived(request)
        if step is None:
            answer = owner.respond(request)
        else:
            answer = step if isinstance(step, Answer) else step(request, owner.respond)
        self._write(answer)
        if answer.cut is not None or answer.raw is not None or answer.endless or answer.unread:
            self.close_connection = True
            if answer.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _body(self, reading: float) -> bytes:
        left = int(self.headers.get("Content-Length") or 0)
        if not reading:
            return self.rfile.read(left)
        body = bytearray()
        while len(body) < left and self.server.owner.pause(reading):
            body += self.rfile.read(min(1024, left - len(body)))
        return bytes(body)

    def _write(self, answer: Answer) -> None:
        owner = self.server.owner
        data = answer.encoded()[: answer.cut]
        if answer.delay and not owner.pause(answer.delay):
            return
        if not answer.pace:
            self.connection.sendall(data)
        for start in range(len(data) if answer.pace else 0):
            if start and not owner.pause(answer.pace):
                return
            self.connection.sendall(data[start : start + 1])
        while answer.endless and owner.pause(0):
            self.connection.sendall(answer.body)


def _end(connection: socket.socket) -> None:
    """Wakes the thread that reads from or writes to a connection."""
    with contextlib.suppress(OSError):  # it may have ended already
        connection.shutdown(socket.SHUT_RDWR)
