"""Where a run's events go: destinations made of URLs, and what of a URL or a command line may be shown."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

from loghook.threads import importing

if TYPE_CHECKING:
    from loghook.credentials import KeySource
    from loghook.listener import Destination
    from loghook.transports import Transport

__all__ = ["destination", "destination_id", "masked", "masked_arguments"]

_USERINFO = re.compile(r"(?<=//)[^/?#\s]*@")
_SECRET = re.compile(r"key|token|secret|passw|auth|cookie|dsn|credential", re.IGNORECASE)


def destination_id(url: str) -> str:
    """Return the name under which a destination's acknowledged offsets are kept: its host, and a hash of the URL."""
    from urllib.parse import urlsplit

    clean = masked(url).rstrip("/")
    host = re.sub(r"[^A-Za-z0-9.-]", "-", urlsplit(clean).netloc)[:60]
    return f"{host}-{_sha256(clean.encode())[:8]}"


def _sha256(data: bytes) -> str:
    """Return the hash in hex, without hashlib where that can be: it loads OpenSSL, 3 ms of the time `install()` takes.

    The modules are those that hashlib itself falls back on; `random` takes its hash from there too.
    """
    for module in ("_sha2", "_sha256", "hashlib"):  # of Python 3.12 and later, of those before, and of any
        try:
            return str(importlib.import_module(module).sha256(data).hexdigest())
        except (ImportError, AttributeError):
            continue
    raise RuntimeError("this Python has no SHA-256")


def destination(url: str, keys: KeySource, timeout: float) -> Destination:
    """Return the destination at `url`; its transport is made, and checked, when it is opened."""
    with importing():
        from loghook.listener import Destination

    def open_transport() -> Transport:
        from loghook import transports

        return transports.open(url, keys, timeout=timeout)

    return Destination(destination_id(url), masked(url), keys, open_transport)


def masked(text: str) -> str:
    """Return `text` without the user and password of any URL in it."""
    return _USERINFO.sub("", text)


def masked_arguments(arguments: list[str]) -> list[str]:
    """Return a command line without the values of options that sound secret, and without passwords in URLs."""
    clean: list[str] = []
    hide = False
    for argument in arguments:
        option, equals, _value = argument.partition("=")
        secret = bool(option.startswith("-") and _SECRET.search(option))
        if hide and not argument.startswith("-"):
            clean.append("***")
        elif secret and equals:
            clean.append(f"{option}=***")
        else:
            clean.append(masked(argument))
        hide = secret and not equals
    return clean
