"""Where a destination is: a URL taken apart, with what is secret kept out of messages."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError

__all__ = ["Address", "scheme_of"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.+-]*)://")
_USERINFO = re.compile(r"(?<=//)[^/?#\s]*@")
_LOOPBACK = r"localhost|127\.\d+\.\d+\.\d+|::1"


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case (`https`, `hyperdash+https`). Raises ConfigurationError when it has none."""
    match = _SCHEME.match(url.strip())
    if match is None:
        raise ConfigurationError(f"{masked(url)!r} is no URL: write https://host or http://host:port")
    return match.group(1).lower()


def masked(text: str) -> str:
    """The text with the user and password of any URL in it taken out."""
    return _USERINFO.sub("", text)


class Address(NamedTuple):
    """An http or https address without its user and password, which are kept apart and out of the repr."""

    # No dataclass: making one takes three times as long, and this module is imported while `install()` is waited for.

    url: str
    host: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Address(url={self.url!r}, host={self.host!r})"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Takes a URL apart; a platform's name before the scheme (`hyperdash+https`) and a slash at the end go.

        Raises ConfigurationError, with the reason, for anything but http or https with a host and perhaps a path.
        """
        shown = masked(url)
        scheme = scheme_of(url).rpartition("+")[2]
        rest = url.strip().partition("://")[2]
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError(f"{shown!r} is no URL: {masked(str(error))}") from None
        if scheme not in ("http", "https"):
            raise ConfigurationError(f"{shown!r} must be an http or https URL")
        if not host or re.search(r"[\s\x00-\x1f\x7f]", rest):
            raise ConfigurationError(f"{shown!r} is no URL: it has no host, or a space in it")
        if parts.query or parts.fragment:
            raise ConfigurationError(f"{shown!r} must end with its path: take off what follows ? or #")
        where = f"[{host}]" if ":" in host else host
        where += f":{port}" if port is not None else ""
        user = unquote(parts.username) if parts.username is not None else None
        password = unquote(parts.password) if parts.password is not None else None
        return cls(f"{scheme}://{where}{parts.path.rstrip('/')}", host, user, password)

    @property
    def is_loopback(self) -> bool:
        """True when the host is this machine, which no proxy should stand before."""
        return re.fullmatch(_LOOPBACK, self.host, re.IGNORECASE) is not None

    def __str__(self) -> str:
        return self.url
