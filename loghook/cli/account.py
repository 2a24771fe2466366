"""What the commands about accounts share: the server's account routes, what was typed, and where it is stored.

A loghook server and a Hyperdash server both take an email and a password at /api/v1/users and /api/v1/sessions, and
tell an account's keys at /api/v1/users/api_keys. Making and revoking keys (/api/v1/keys) is a loghook server's alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from loghook import credentials
from loghook._version import __version__
from loghook.cli import console
from loghook.cli.api import HERE, running, unanswered
from loghook.credentials import KeySource, key_files
from loghook.transports.address import Address, scheme_of
from loghook.transports.base import TryLater
from loghook.transports.http import Http
from loghook.transports.reply import Reply

__all__ = [
    "AccountServer",
    "ask_email",
    "ask_password",
    "bound_to",
    "file_in",
    "is_bound_to",
    "keep",
    "key_of",
    "read_key",
    "token_of",
    "where",
]

SCHEMES = ("http", "https", "hyperdash+http", "hyperdash+https")
LONGEST_LINE = 8192


class AccountServer:
    """A server where one has an account.

    Args:
        url: where it is; a `hyperdash+` before http does no harm.
        timeout: seconds to wait for an answer.

    Raises:
        ConfigurationError: the URL is wrong.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self.address = Address.parse(url)
        self._http = Http(self.address, timeout=timeout, agent=f"loghook/{__version__}")

    def sign_up(self, email: str, password: str) -> None:
        """Make an account. Raises Failed."""
        self._call("POST", "/users", {"email": email, "password": password, "client": "cli"})

    def sign_in(self, email: str, password: str) -> tuple[str, str]:
        """Return an access token and the account's key. Raises Failed."""
        token = self._call("POST", "/sessions", {"email": email, "password": password}).get("access_token")
        if not isinstance(token, str):
            raise self._strange()
        keys = self.readable_keys(token)
        if not keys:
            raise console.Failed(f"{self.address}: this account has no key")
        return token, keys[0]

    def readable_keys(self, token: str) -> list[str]:
        """Return the keys that an access token lets one read. Raises Failed."""
        keys = self._call("GET", "/users/api_keys", authorization=token).get("api_keys")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self._strange()
        return keys

    def sign_out(self, token: str) -> None:
        """End the session of an access token. Raises Failed."""
        self._call("DELETE", "/sessions", authorization=token)

    def keys(self, key: str) -> dict[str, Any] | None:
        """Return the account's name and its keys; None from a server that has no such route. Raises Failed."""
        reply = self._request("GET", "/keys", None, f"Bearer {key}")
        return None if reply.status == 404 else self._content(reply)

    def create_key(self, key: str, name: str) -> dict[str, Any]:
        """Make a key and return it. Raises Failed."""
        return self._call("POST", "/keys", {"name": name}, authorization=f"Bearer {key}")

    def revoke_key(self, key: str, number: int) -> None:
        """Revoke a key by its number. Raises Failed."""
        self._call("DELETE", f"/keys/{number}", authorization=f"Bearer {key}")

    def _call(
        self, method: str, path: str, content: Mapping[str, str] | None = None, *, authorization: str = ""
    ) -> dict[str, Any]:
        return self._content(self._request(method, path, content, authorization))

    def _request(self, method: str, path: str, content: Mapping[str, str] | None, authorization: str) -> Reply:
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if authorization:
            headers["Authorization"] = authorization
        body = json.dumps(content).encode() if content is not None else b""
        reply = self._http.request(method, f"/api/v1{path}", body=body, headers=headers)
        self._http.close()
        if isinstance(reply, TryLater):
            raise console.Failed(unanswered(reply.reason))
        return reply

    def _content(self, reply: Reply) -> dict[str, Any]:
        if reply.status == 204:
            return {}
        content = reply.json()
        if reply.status in (200, 201) and content is not None:
            return content
        said = next((content[name] for name in ("message", "error") if content and content.get(name)), None)
        if not isinstance(said, str):
            raise self._strange(f"it answers {reply.status}, {reply.kind}")
        raise console.Failed(f"{self.address}: {console.clean(said)}")

    def _strange(self, why: str = "its answer makes no sense") -> console.Failed:
        return console.Failed(f"{self.address} is no server that this command can talk to: {why}")


def where(url: str | None, home: Path) -> str:
    """Return the server that a command is about: the one that was named, that scripts send to, or on this machine."""
    if url is not None:
        if scheme_of(url) not in SCHEMES:
            raise console.Failed(
                f"{scheme_of(url)}:// has no accounts; the URL begins with one of {', '.join(SCHEMES)}"
            )
        return url
    named = (part.strip() for part in console.settings_in_force(home).url.split(","))
    found = next((part for part in named if part and scheme_of(part) in SCHEMES), None)
    return found or os.environ.get("HYPERDASH_SERVER") or running(home) or HERE


def file_in(home: Path) -> Path:
    """Return the file where credentials are stored."""
    return home / "loghook.json"


def key_of(home: Path, url: str) -> str:
    """Return the key in force for the server at `url`; another server's is none. Raises Failed where there is none."""
    named = [part.strip() for part in console.settings_in_force(home).url.split(",") if part.strip()]
    number = next((number for number, one in enumerate(named) if credentials.same_place(one, url)), None)
    share = (0, 1) if number is None else (number, len(named))
    key = KeySource(files=key_files(None, home), warn=console.note, url=url, share=share).get()
    if key is None:
        raise console.Failed(f"no key for {url} is stored; sign in first: loghook login")
    return key


def token_of(home: Path, url: str) -> str | None:
    """Return the access token that `loghook login` stored for the server at `url`, else HYPERDASH_ACCESS_TOKEN."""
    stored = None
    if not bound_to(home) or is_bound_to(home, url):
        with contextlib.suppress(OSError, credentials.Unusable):
            stored = credentials.key_in(file_in(home).read_bytes(), ("access_token",))
    return stored or os.environ.get("HYPERDASH_ACCESS_TOKEN")


def bound_to(home: Path) -> list[str]:
    """Return the servers that the stored key and token are for; none where the file does not say."""
    try:
        content = json.loads(file_in(home).read_bytes())
    except (OSError, ValueError):
        return []  # what is wrong with the file, the key source says
    found = content.get("api_key_url") if isinstance(content, dict) else None
    return [url for url in (found if isinstance(found, list) else [found]) if url and isinstance(url, str)]


def is_bound_to(home: Path, url: str) -> bool:
    """Tell whether the stored key and token are for the server at `url`."""
    return any(credentials.same_place(one, url) for one in bound_to(home))


def keep(home: Path, *, key: str, token: str | None, url: str | None) -> None:
    """Store a key, a token, and a URL if one was named, and say so."""
    path = file_in(home)
    more = {"url": url} if url is not None else {}
    credentials.store(path, api_key=key, api_key_url=where(url, home), access_token=token, **more)
    for name in credentials.VARIABLES:
        if os.environ.get(name):
            console.note(f"{name} is set, and wins over what is stored in {path}")
            break


def ask_email(given: str | None) -> str:
    """Return the email: the one that was given, or else typed."""
    if given is not None:
        return given
    return str(click.prompt("Email", err=True)) if sys.stdin.isatty() else line()


def ask_password(*, twice: bool = False) -> str:
    """Return a password, typed without an echo; where standard input is no terminal, its next line."""
    if not sys.stdin.isatty():
        password = line()
        if twice and line(default=password) != password:
            raise console.Failed("standard input: the two passwords are not equal")
        return password
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=twice, err=True))


def read_key() -> str:
    """Return the key on standard input. Raises Failed where it is none."""
    try:
        return credentials.usable(line())
    except credentials.Unusable as problem:
        raise console.Failed(f"standard input: {problem}") from None


def line(default: str | None = None) -> str:
    """Return the next line of standard input, without its end; `default`, or Failed raised, where there is none."""
    text = sys.stdin.readline(LONGEST_LINE)
    if not text and default is not None:
        return default
    if not text:
        raise console.Failed("standard input has ended before everything was given")
    return text.rstrip("\r\n")
