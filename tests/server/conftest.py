"""A real server on loopback with a real database, and a client that speaks to it as a transport and a page would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server

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
        return self.session.get(f"{self.url}/api/v1{path}", params=query, headers=headers, timeout=10)

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
            timeout=30,
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
