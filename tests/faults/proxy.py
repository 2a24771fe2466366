"""A proxy on loopback, in front of a real server, that does to connections and requests what a fault says.

A fault is a function of a `Conversation`, called for each connection on a thread of its own; `Refused` and `Swallowed`
are not even that: nobody listens, or nobody accepts. Without a fault every request is passed on. Changing the fault
ends all connections, so that it is felt at once, by a connection that was kept alive too.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["REFUSED", "SWALLOWED", "Conversation", "Fault", "Proxy", "free_port"]

_NOW = struct.pack("ii", 1, 0)
_SILENCE = 60.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Conversation:
    """One connection of a client, seen from the server's side."""

    def __init__(self, client: socket.socket, upstream: int, going_on: Callable[[], bool]) -> None:
        self.client = client
        self.head = b""
        self.going_on = going_on
        """Whether the fault that this began with still holds."""
        self._reader = client.makefile("rb")
        self._upstream = upstream
        self._server: socket.socket | None = None

    def request(self) -> bytes | None:
        """Return the next request, whole; None when there is none."""
        return _message(self._reader)

    def read_head(self) -> bytes:
        """Return the next request's head alone; its body stays unread."""
        return _head(self._reader)

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes of what is unread."""
        return self._reader.read(count)

    def upstream(self, request: bytes) -> bytes:
        """Hand a request to the real server, and return what it answers; b"" if it is not there."""
        try:
            if self._server is None:
                self._server = socket.create_connection(("127.0.0.1", self._upstream), _SILENCE)
            self._server.sendall(request)
            with self._server.makefile("rb") as reader:
                return _message(reader) or b""
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.client.sendall(data)

    def drip(self, data: bytes, pause: float = 1.0) -> None:
        """Send bytes to the client, one every `pause` seconds."""
        for number in range(len(data)):
            if not self.going_on():
                return
            self.send(data[number : number + 1])
            self.wait(pause)

    def wait(self, seconds: float) -> None:
        """Do nothing for so long, or until the fault is over."""
        deadline = time.monotonic() + seconds
        while self.going_on() and time.monotonic() < deadline:
            time.sleep(min(0.05, seconds))

    def reset(self) -> None:
        """End the connection by a reset."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)

    def close(self) -> None:
        """End both connections."""
        for end in (self._reader, self.client, self._server):
            if end is not None:
                with contextlib.suppress(OSError, ValueError):
                    end.close()


Fault = Callable[[Conversation], None]


def REFUSED(conversation: Conversation) -> None:
    """Stands for nobody listening: a connection is refused."""


def SWALLOWED(conversation: Conversation) -> None:
    """Stands for a black hole: what is sent to it is not even refused."""


def _pass_on(conversation: Conversation) -> None:
    while request := conversation.request():
        if not (answer := conversation.upstream(request)):
            return
        conversation.send(answer)


class Proxy:
    """Listens on a port of its own and passes requests on to `upstream`, a port of this machine.

    `tls` is its certificate, where it speaks TLS; `wrong_tls` the one that it shows while `is_impostor` is set.
    """

    def __init__(
        self, upstream: int, *, tls: ssl.SSLContext | None = None, wrong_tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = free_port()
        self.connections = 0
        """How many there ever were."""
        self.requests = 0
        self.is_impostor = False
        self._upstream = upstream
        self._contexts = (tls, wrong_tls)
        self._fault: Fault | None = None
        self._turn = 0
        self._open: set[socket.socket] = set()
        self._fillers: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._guard = threading.Lock()
        self._listen()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection, and listen no more."""
        self.set(REFUSED)

    def set(self, fault: Fault | None) -> None:
        """Do this from now on; None: pass everything on."""
        with self._guard:
            self._turn += 1
            self._fault = fault
            listener, self._listener = self._listener, None
            ended = [*self._open, *self._fillers]
            self._open.clear()
            self._fillers.clear()
        if listener is not None:
            _end(listener)
        for connection in ended:
            _end(connection)
        if fault is SWALLOWED:
            self._swallow()
        elif fault is not REFUSED:
            self._listen()

    # ---------------------------------------------------------------- inside

    def _listen(self) -> None:
        self._listener = listener = self._bound(64)
        threading.Thread(target=self._accept, args=(listener, self._turn), name="faults-proxy", daemon=True).start()

    def _bound(self, backlog: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + 10
        while True:
            try:
                listener.bind(("127.0.0.1", self.port))
                break
            except OSError:  # a connection that goes out from this machine may have taken the port for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        listener.listen(backlog)
        return listener

    def _swallow(self) -> None:
        """Listen, accept nobody, and fill the queue: the system then drops who comes, without a word."""
        self._listener = self._bound(0)
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def _accept(self, listener: socket.socket, turn: int) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._guard:
                if turn != self._turn:
                    _end(client)
                    return
                self._open.add(client)
                self.connections += 1
                fault = self._fault
            threading.Thread(
                target=self._converse, args=(client, turn, fault), name="faults-proxy", daemon=True
            ).start()

    def _converse(self, plain: socket.socket, turn: int, fault: Fault | None) -> None:
        client = plain
        conversation = None
        context = self._contexts[self.is_impostor]
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                client = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                self._replace(plain, client, turn)  # the plain one is none any more
                client.do_handshake()
            conversation = Conversation(client, self._upstream, lambda: turn == self._turn)
            (fault or _pass_on)(conversation)
        except (OSError, ValueError):
            pass  # the client is gone, or the fault is over
        finally:
            with self._guard:
                self._open.discard(client)
            if conversation is not None:
                conversation.close()
            client.close()

    def _replace(self, old: socket.socket, new: socket.socket, turn: int) -> None:
        with self._guard:
            self._open.discard(old)
            if turn != self._turn:
                raise OSError("the fault has changed")
            self._open.add(new)


def _end(connection: socket.socket) -> None:
    """Wake the thread that waits for a socket, and close it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _head(reader: Any) -> bytes:
    lines = []
    while line := reader.readline(65536):
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _message(reader: Any) -> bytes | None:
    """Read one HTTP message whose head gives its length."""
    head = _head(reader)
    if not head:
        return None
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    body = reader.read(length) if length else b""
    return head + body if len(body) == length else None
