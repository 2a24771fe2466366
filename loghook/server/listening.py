"""The socket that a server listens on, or words for why it can't be had."""

from __future__ import annotations

import errno
import socket

from loghook.errors import ConfigurationError, ServerError

__all__ = ["bind"]


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port of an address (0: a free one). Raises ServerError, ConfigurationError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        listening = socket.socket(family, kind)
    except (OSError, UnicodeError):
        raise ConfigurationError(f"{host!r} is no address of this machine") from None
    try:
        # A port whose last server has just ended is free; one that is listened to is not, with this option either.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. asyncio sets it only where the socket names its protocol; else each answer that goes
        # in two parts waits 40 ms for the client's delayed acknowledgement of the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise _cannot_bind(host, port, error) from None
    return listening


def _cannot_bind(host: str, port: int, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return ServerError(f"port {port} of {host} is in use; stop what uses it, or choose another with --port")
    if error.errno == errno.EACCES:
        return ServerError(f"port {port} of {host} may not be used by this user; choose one above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigurationError(f"{host!r} is no address of this machine")
    return ServerError(f"cannot listen on port {port} of {host}: {error.strerror}")
