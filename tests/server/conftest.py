"""A real server on loopback with a real database, and a client that speaks to it as a transport and a page would."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server

ATTACKED = Path(__file__).with_name("attacked.py")
NOW = 1_763_740_000.0


class Client:
    """Speaks to a server with a key."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self.url = server.url
        self.key = server.key if key is None else key
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str, **query: Any) -> requests.Response:
        """Return the answer to a GET below /api/v1."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return self.session.get(f"{self.url}/api/v1{path}", params=query, headers=headers, timeout=60)

    def read(self, path: str, **query: Any) -> Any:
        """Return what a GET below /api/v1 answers, which must be good."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(
        self,
        events: bytes | list[dict[str, Any]],
        offset: int = 0,
        *,
        run: str = "run",
        writer: str = "writer",
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> requests.Response:
        """Send events, or a body as it is, and return the answer."""
        body = events if isinstance(events, bytes) else lines(events)
        return self.session.post(
            f"{self.url}/api/v1/runs/{run}/writers/{writer}/events",
            params={"offset": offset, **query},
            data=body,
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/x-ndjson", **(headers or {})},
            timeout=60,
        )

    def send(self, events: list[dict[str, Any]], offset: int = 0, **more: Any) -> int:
        """Send events, which must be taken, and return the next offset."""
        answer = self.post(events, offset, **more)
        assert answer.status_code == 200, answer.text
        assert "set_aside" not in answer.json(), answer.text
        return int(answer.json()["offset"])


def lines(events: list[dict[str, Any]]) -> bytes:
    """Return events as a body."""
    return "".join(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n" for event in events).encode()


def make_record(message: str = "hello", **more: Any) -> dict[str, Any]:
    """Return a record."""
    return {"time": NOW, "level": "INFO", "logger": "train", "message": message, **more}


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server on a free port of loopback."""
    with Server(home, port=0) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client with the local account's key."""
    made = Client(server)
    with made.session:
        yield made


@pytest.fixture
def as_client() -> Callable[..., Client]:
    """Make a client of a server."""
    return Client


@pytest.fixture
def body() -> Callable[[list[dict[str, Any]]], bytes]:
    """Make a body of events."""
    return lines


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """Make a record."""
    return make_record


class Attacked:
    """A server in a process of its own, and ways to ill-treat it: nothing of what is sent is tidied up.

    Args:
        home: its home folder.
        options: see `attacked.py`.
    """

    def __init__(self, home: Path, options: dict[str, Any]) -> None:
        self.home = home
        self.errors = home.parent / f"{home.name}.stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(ATTACKED), str(home), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate(timeout=60)
            raise AssertionError(self.said())
        about = json.loads(line)
        self.url: str = about["url"]
        self.link: str = about["link"]
        self.key: str = about["key"]
        self.routes: list[tuple[str, str]] = [tuple(route) for route in about["routes"]]
        self.port = int(self.url.rpartition(":")[2])
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def stop(self) -> None:
        """End it, as the end of its input does."""
        self.hang_up()
        self.process.communicate(timeout=60)

    def hang_up(self) -> None:
        """Close the connection that `ask` keeps, so that it makes a new one."""
        self._connection.close()

    def said(self) -> str:
        """Return what it said on stderr."""
        return self.errors.read_text(errors="replace")

    def memory(self, name: str = "VmHWM") -> int:
        """Return the most memory that it ever held, in KiB; `VmRSS` for what it holds now."""
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1])

    def dial(self, buffer: int = 0) -> socket.socket:
        """Return a connection; with a receive buffer of so many bytes."""
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(60)
        made.connect(("127.0.0.1", self.port))
        return made

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request with a path as it stands, and return the answer."""
        given = {"Authorization": f"Bearer {key}"} if key is not None else {}
        reused = self._connection.sock is not None
        try:
            self._connection.request(method, path, body=body, headers={**given, **(headers or {})})
            answer = self._connection.getresponse()
        except ConnectionError:
            self._connection.close()
            if not reused:
                raise
            return self.ask(method, path, key=key, body=body, headers=headers)  # it had been idle for too long
        found = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        if body is not None:
            self._connection.close()  # the server does so as well where it has not read all of the body
        return found

    def send(self, run: str, *events: dict[str, Any], key: str | None = None) -> None:
        """Store events of a run that has none yet."""
        path = f"/api/v1/runs/{run}/writers/w/events?offset=0"
        answer = self.ask("POST", path, key=key or self.key, body=lines(list(events)))
        assert answer.status == 200, answer

    def sign_up(self, email: str) -> str:
        """Make an account and return its key."""
        body = json.dumps({"email": email, "password": "correct horse"}).encode()
        answer = self.ask("POST", "/api/v1/users", body=body, headers={"Content-Type": "application/json"})
        assert answer.status == 200, answer
        return str(answer.json()["api_key"])

    def sign_in(self) -> str:
        """Return a cookie that the printed link gives."""
        answer = self.ask("GET", self.link.removeprefix(self.url))
        assert answer.status == 303, answer
        return answer.headers["set-cookie"].partition(";")[0]


@dataclass(frozen=True)
class Reply:
    """An answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The JSON in its body."""
        return json.loads(self.body)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A server as it is by default, for all tests of a module: each uses names of its own."""
    made = Attacked(tmp_path_factory.mktemp("victim") / "home", {})
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def attacked(home: Path) -> Iterator[Callable[..., Attacked]]:
    """Start a server with options of one's own, see `attacked.py`."""
    made = []

    def start(**options: Any) -> Attacked:
        made.append(Attacked(home, options))
        return made[-1]

    yield start
    for one in made:
        one.stop()
