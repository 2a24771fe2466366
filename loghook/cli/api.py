"""What the commands ask a server for: requests to its API, with the key, answered as JSON."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

from loghook._version import __version__
from loghook.cli.console import Failed, note, settings_in_force
from loghook.credentials import KeySource, key_files
from loghook.transports.address import Address
from loghook.transports.base import TryLater
from loghook.transports.http import Http
from loghook.transports.reply import Reply

__all__ = ["HERE", "Refused", "Server", "Unanswered", "find", "unanswered"]

LONGEST_NOTE = 8192
HERE = "http://127.0.0.1:7707"
"""Where `loghook serve` listens unless told otherwise."""
STREAM_TIMEOUT = 60.0
"""Seconds without a byte after which a long answer is given up."""
UNTRUSTED = "certificate verify failed: "


class Unanswered(Failed):
    """No server answers at an address; `reason` says which, and why."""

    def __init__(self, reason: str) -> None:
        todo = "" if UNTRUSTED in reason else "; start one on this machine with: loghook serve"
        super().__init__(unanswered(reason) + todo)
        self.reason = reason


class Refused(Failed):
    """The server will not do it as things are."""


class Server:
    """A loghook server that is asked.

    Args:
        url: where it is, `http://host:port` with or without a path.
        key: the API key, if there is one.
        timeout: seconds to wait for an answer.

    Raises:
        ConfigurationError: the URL is wrong.
    """

    def __init__(self, url: str, key: str | None, *, timeout: float = 10.0) -> None:
        self._address = Address.parse(url)
        self._http = Http(self._address, timeout=timeout, agent=f"loghook/{__version__}")
        self._key = key

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Return the JSON that the API answers for a path below /api/v1.

        Raises:
            Unanswered: no server answers there.
            Failed: it refuses the key, or the answer is no JSON; the text says what to do.
        """
        return self._answer(self._ask("GET", path, query))

    def find(self, path: str, **query: object) -> dict[str, Any] | None:
        """Return as `get` does; None where the server has no such thing."""
        reply = self._ask("GET", path, query)
        return None if _is_missing(reply) else self._answer(reply)

    def delete(self, path: str, **query: object) -> dict[str, Any]:
        """Delete what is at a path below /api/v1; raises as `get`, and Refused where the server says 409."""
        reply = self._ask("DELETE", path, query)
        if isinstance(reply, Reply) and reply.status == 409:
            raise Refused(str((reply.json() or {}).get("error", "it is in use")))
        return self._answer(reply)

    def stream(self, path: str, take: Callable[[bytes], object], **query: object) -> None:
        """Hand the answer for a path below /api/v1 to `take`, block by block. Raises as `get`."""
        params = {name: str(value) for name, value in query.items()}
        patient = Http(self._address, timeout=STREAM_TIMEOUT, deadline=inf, agent=f"loghook/{__version__}")
        reply = patient.stream(f"/api/v1{path}", take, params=params, headers=self._headers())
        patient.close()
        if isinstance(reply, TryLater):
            raise Failed(f"the answer broke off ({reply.reason})")
        if reply.status != 200:
            raise Failed(self._refusal(reply))

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Accept": "application/json", **key}

    def _ask(self, method: str, path: str, query: Mapping[str, object]) -> Reply | TryLater:
        params = {name: str(value) for name, value in query.items()}
        return self._http.request(method, f"/api/v1{path}", params=params, headers=self._headers())

    def _answer(self, reply: Reply | TryLater) -> dict[str, Any]:
        if isinstance(reply, TryLater):
            raise Unanswered(reply.reason)
        if reply.status != 200:
            raise Failed(self._refusal(reply))
        answer = reply.json()
        if answer is None:
            raise Failed(f"{self._address.url} is no loghook server: it answers {reply.kind}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _refusal(self, reply: Reply) -> str:
        if reply.status in (401, 403):
            what = "refuses the API key" if self._key else "wants an API key"
            return f"{self._address.url} {what}; set LOGHOOK_API_KEY to one that it knows"
        said = (reply.json() or {}).get("error", "it is no loghook server, or one of another version")
        return f"{self._address.url} answered {reply.status}: {said}"


def _is_missing(reply: Reply | TryLater) -> bool:
    """Whether a server answers that there is no such thing, rather than that it is no loghook server."""
    return isinstance(reply, Reply) and reply.status == 404 and "error" in (reply.json() or {})


def find(url: str | None, home: Path) -> list[Server]:
    """Return the servers that a command reads from: the first that answers counts.

    Args:
        url: where it is, or None: the loghook servers in LOGHOOK_URL, or the one on this machine.
        home: the folder with the key of the server on this machine.

    Raises:
        ConfigurationError: a URL is wrong.
        Failed: none is named, and the one on this machine has ended.
    """
    settings = settings_in_force(home)
    named = settings.url.split(",") if url is None else [url]
    urls = [part.strip() for part in named if url is not None or part.strip().startswith(("http://", "https://"))]
    files = key_files(None, home)
    for one in urls:
        Address.parse(one)
    if urls:
        every = [part.strip() for part in settings.url.split(",") if part.strip()]
        shares = [(every.index(place), len(every)) if place in every else (0, 1) for place in urls]
        sources = [
            (place, KeySource(files=files, warn=note, url=place, share=share))
            for place, share in zip(urls, shares, strict=True)
        ]
    else:
        # The server on this machine keeps its key in its own folder where the settings have another server's, and in
        # the settings else; LOGHOOK_API_KEY may belong to another one too.
        place = running(home)
        if place is None and (home / "server" / "lock").exists():
            # Whoever listens at its old address now, another user of this machine say, must not get its key.
            raise Failed(f"the server of {home} does not run; start it with: loghook serve, or name another with --url")
        place = place or HERE
        own = home / "server" / "loghook.json"
        sources = [(place, KeySource(environ={}, files=(own, *files), warn=note, url=place))]
    return [Server(place, keys.get(), timeout=settings.timeout) for place, keys in sources]


def unanswered(reason: str) -> str:
    """Return what a command says where no server answered; `reason` begins with the address."""
    if UNTRUSTED in reason:
        address, _, words = reason.partition(": ")
        why = words.partition(UNTRUSTED)[2].partition(" (_ssl")[0]
        return f"the certificate of {address} is not trusted here ({why}); name its file in REQUESTS_CA_BUNDLE"
    return f"no server answers ({reason})"


def running(home: Path) -> str | None:
    """Return where the server of a home folder answers, as its lock file says; None if none holds that lock."""
    try:
        with open(home / "server" / "lock", encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read(LONGEST_NOTE)
            else:
                return None  # what it says was true of a server that is gone
    except OSError:
        return None
    url = text.rpartition(", ")[2].strip()
    return url if url.startswith(("http://", "https://")) else None
