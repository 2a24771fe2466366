"""Transports: one module for each platform's wire protocol, found by the scheme of a URL.

    address.py   a URL taken apart, without its secrets
    base.py      Batch in, Outcome out: what every transport is
    http.py      one connection kept alive; the only module that imports requests
    loghook.py   our own server
    hyperdash.py Hyperdash's SDK protocol; hyperdash_messages.py and hyperdash_words.py make its messages

A transport is registered under a name: the scheme of its URLs (`https`) or what stands before the plus
(`hyperdash` for `hyperdash+https://`). Another package registers one by an entry point of the group
`loghook.transports`, whose name is that scheme and whose value is the class; the built-in ones are entries of
the same kind. Importing this package imports neither requests nor any transport, nor base.py before its names are
asked for: `install()` only wants to know whether a URL is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .address import Address, masked, scheme_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ..credentials import KeySource
    from .base import Batch, Delivered, Gap, Outcome, Refused, Transport, TryLater

__all__ = [
    "GROUP",
    "Batch",
    "Delivered",
    "Gap",
    "Outcome",
    "Refused",
    "Transport",
    "TryLater",
    "check",
    "open",
    "registered",
]

GROUP = "loghook.transports"

_BUILT_IN = {
    "http": "loghook.transports.loghook:LoghookTransport",
    "https": "loghook.transports.loghook:LoghookTransport",
    "hyperdash": "loghook.transports.hyperdash:HyperdashTransport",
    "polyaxon": "loghook.transports.polyaxon:PolyaxonTransport",
    "polyaxon0": "loghook.transports.polyaxon.generation0:Polyaxon0Transport",
    "polyaxon2": "loghook.transports.polyaxon.generation2:Polyaxon2Transport",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'loghook.transports' has no attribute {name!r}")
    from . import base

    return getattr(base, name)


def registered() -> dict[str, EntryPoint]:
    """All registered transports: scheme to entry point, the built-in ones first. Loads none of them.

    A built-in name cannot be taken by another package, and of two packages the first that is found wins.
    """
    from importlib.metadata import EntryPoint, entry_points

    entries = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    for entry in entry_points(group=GROUP):
        entries.setdefault(entry.name.lower(), entry)
    return entries


def check(url: str) -> None:
    """Raise ConfigurationError for a URL that `open` would not take; reads no entry points for a built-in scheme."""
    scheme = scheme_of(url)
    if not _is_ours(scheme) and _entry(scheme) is None:
        raise ConfigurationError(_unknown(url, scheme, registered()))
    if scheme.partition("+")[0] in _BUILT_IN or scheme.rpartition("+")[2] in ("http", "https"):
        Address.parse(url)


def _is_ours(scheme: str) -> bool:
    """Whether a transport of this package serves a scheme: no other package is asked then."""
    name, plus, below = scheme.partition("+")
    return name in _BUILT_IN and (not plus or below in ("http", "https"))


def _entry(scheme: str) -> EntryPoint | None:
    """The entry point for a scheme, or for the name before its `+`."""
    from importlib.metadata import EntryPoint

    name, plus, _ = scheme.partition("+")
    if _is_ours(scheme):
        return EntryPoint(name, _BUILT_IN[name], GROUP)
    entries = registered()  # reads the metadata of each package that is installed
    return entries.get(scheme) or entries.get(name if plus else "")


def _unknown(url: str, scheme: str, entries: dict[str, EntryPoint]) -> str:
    known = ", ".join(f"{name}://" if name in ("http", "https") else f"{name}+https://" for name in entries)
    return f"{masked(url)!r} has the unknown scheme {scheme!r}; known are {known}"


def open(url: str, keys: KeySource, *, timeout: float = 10.0) -> Transport:
    """The transport for a URL, chosen by its scheme. Connects to nothing yet.

    `timeout` is in seconds: the longest silence of the network that is waited out. Raises ConfigurationError
    when the URL is wrong, its scheme is unknown, or the package that registered it fails to load.
    """
    from .base import Transport

    scheme = scheme_of(url)
    entry = _entry(scheme)
    if entry is None:
        raise ConfigurationError(_unknown(url, scheme, registered()))
    try:
        loaded = entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"the transport for {scheme!r}, {entry.value}, fails to load: {reason}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Transport)):
        raise ConfigurationError(f"the transport for {scheme!r}, {entry.value}, is no subclass of Transport")
    transport: Transport = loaded(url, keys, timeout=timeout)
    return transport
