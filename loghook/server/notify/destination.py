"""Where to tell, and in which words: an address of ntfy, of Slack or its like, or of anything that takes JSON; pure.

    https://ntfy.sh/TOPIC, ntfy+https://HOST/TOPIC       a text, with a title, a priority and a link in headers
    https://hooks.slack.com/..., slack+https://HOST/...  {"text"}, as Slack, Mattermost and Rocket.Chat take it
    any other https:// or http://                        the whole notice as JSON, with the same "text" in it

An address is as good as a password: who has it can write there, or even read. Messages name the host alone.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote

from loghook.errors import ConfigurationError
from loghook.server.notify.notice import Notice, text, title
from loghook.transports.address import Address, scheme_of

__all__ = ["MOST", "Destination", "Request", "destinations", "urls_in"]

MOST = 16
"""Addresses at most: each has a thread."""
LONGEST_TEXT = 8000
LONGEST_FOR_NTFY = 1200
"""Characters; ntfy makes a file of a message of more than 4096 bytes."""
HOSTS = {"ntfy.sh": "ntfy", "hooks.slack.com": "slack"}
SCHEMES = {"http": "", "https": ""} | {
    f"{kind}+{scheme}": kind for kind in ("ntfy", "slack") for scheme in ("http", "https")
}
PRIORITIES = {"success": "3", "stopped": "3", "failure": "4", "lost": "4"}
TAGS = {"success": "white_check_mark", "stopped": "stop_button", "failure": "x", "lost": "question"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted to a destination's address: headers and a body."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Destination:
    """An address that is told.

    kind: ntfy, slack or json. id: a digest of the address, by which the database knows it.
    """

    kind: str
    id: str
    address: Address = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, url: str) -> Destination:
        """Take an address apart. Raises ConfigurationError, which does not name its path."""
        url = url.strip()
        scheme = scheme_of(url)
        if scheme not in SCHEMES:
            raise ConfigurationError(f"notify: {scheme}:// is not known; an address begins with {', '.join(SCHEMES)}")
        base, _, query = url.partition("#")[0].partition("?")
        try:
            address = Address.parse(base)
        except ConfigurationError:
            raise ConfigurationError(f"notify: a {scheme}:// address makes no sense: it needs a host") from None
        kind = SCHEMES[scheme] or HOSTS.get(address.host.lower(), "json")
        return cls(kind, hashlib.sha256(url.encode()).hexdigest(), address, tuple(parse_qsl(query)))

    def __str__(self) -> str:
        return f"{self.kind} at {self.address.host}"

    def request(self, notice: Notice) -> Request:
        """Return what to post there for a notice."""
        request = {"ntfy": _ntfy, "slack": _slack}.get(self.kind, _json)(notice)
        request.headers["Idempotency-Key"] = notice["id"]
        if self.address.user is not None:
            pair = f"{self.address.user}:{self.address.password or ''}".encode()
            request.headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return request


def _ntfy(notice: Notice) -> Request:
    head, _, rest = text(notice, most=LONGEST_FOR_NTFY).partition("\n")
    status = notice["run"]["status"]
    # A header holds ASCII alone: RFC 2047 says how to put the rest into it.
    packed = head if head.isascii() else f"=?UTF-8?B?{base64.b64encode(head.encode()).decode()}?="
    headers = {"Title": packed, "Priority": PRIORITIES.get(status, "3"), "Tags": TAGS.get(status, "")}
    headers["Click"] = quote(notice["run"]["url"], safe=":/?#[]@!$&'()*+,;=%~")
    return Request({**headers, "Content-Type": "text/plain; charset=utf-8"}, rest.encode())


def _slack(notice: Notice) -> Request:
    # "<!channel>" would call everybody, and "<http://...|...>" lead elsewhere than it says.
    return _as_json({"text": html.escape(text(notice, most=LONGEST_TEXT), quote=False)})


def _json(notice: Notice) -> Request:
    return _as_json({**notice, "title": title(notice), "text": text(notice, most=LONGEST_TEXT)})


def _as_json(content: object) -> Request:
    return Request({"Content-Type": "application/json"}, json.dumps(content).encode())


def destinations(urls: Iterable[str]) -> tuple[Destination, ...]:
    """Return the destinations of some addresses, each once. Raises ConfigurationError."""
    found = {one.id: one for one in map(Destination.parse, urls)}
    if len(found) > MOST:
        raise ConfigurationError(f"notify: at most {MOST} addresses, not {len(found)}")
    return tuple(found.values())


def urls_in(path: Path) -> tuple[str, ...]:
    """Return the addresses under "notify" in a file of settings, a string or a list. Raises ConfigurationError."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return ()  # whether the file is sound, the key source says
    told = content.get("notify") if isinstance(content, dict) else None
    urls = [told] if isinstance(told, str) else told or []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise ConfigurationError(f'{path}: "notify" is an address or a list of addresses')
    return tuple(url for url in urls if url.strip())
