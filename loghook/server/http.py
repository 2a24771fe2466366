"""uvicorn, as this server uses it: its limits, TLS, which proxies are believed; and its thread."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from loghook.errors import ConfigurationError, ServerError
from loghook.server.connections import Connection, Connections, most_connections
from loghook.server.patience import Patience
from loghook.server.security import MOST_HEAD

__all__ = ["STOP_SECONDS", "checked_proxies", "more_descriptors", "start", "tls"]

STOP_SECONDS = 2
"""Seconds that requests under way get when the server stops."""
DESCRIPTORS = 16384


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers give up a TLS handshake that does not come to an end."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def create_server(self, *args: Any, **more: Any) -> asyncio.Server:
        """As its base."""
        if more.get("ssl") is not None:
            more.setdefault("ssl_handshake_timeout", self._seconds)
        return await super().create_server(*args, **more)


def start(
    application: ASGIApp,
    listening: socket.socket,
    *,
    context: ssl.SSLContext | None,
    proxies: Iterable[str],
    patience: Patience,
) -> Callable[[], None]:
    """Answer on a socket, on a thread; returns once it does, with a function that ends it. Raises ServerError.

    Args:
        application: what answers.
        listening: where.
        context: for TLS; None without.
        proxies: addresses and networks whose word for where a request comes from is believed.
        patience: how long clients may take.
    """
    proxies = list(proxies)
    config = uvicorn.Config(
        application,
        http=functools.partial(Connection, Connections(patience, most_connections())),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        lifespan="off",
        server_header=False,
        # By itself uvicorn believes all that comes from this machine, and those that its environment names.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        h11_max_incomplete_event_size=MOST_HEAD,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    config.load()
    config.ssl = context
    server = uvicorn.Server(config)
    loop = Loop(patience.head)
    thread = threading.Thread(
        target=_run, args=(loop, server.serve(sockets=[listening])), name="loghook-http", daemon=True
    )
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()

    waited = threading.Event()
    while not server.started and thread.is_alive():
        waited.wait(0.005)
    if not server.started:
        raise ServerError("the server did not start")
    return stop


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """As asyncio.run, which takes no loop of one's own before Python 3.12."""
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def tls(certfile: Path | None, keyfile: Path | None) -> ssl.SSLContext | None:
    """Return what TLS needs: from a certificate, and its key where that is in a file of its own; None for neither.

    Raises ConfigurationError, with the file that is the trouble.
    """
    if certfile is None:
        if keyfile is not None:
            raise ConfigurationError(f"the key {keyfile} is of no use without its certificate: give that, too")
        return None
    holder = keyfile or certfile
    for path in dict.fromkeys((certfile, holder)):
        try:
            content = path.read_bytes()
        except OSError as error:
            what = "certificate" if path == certfile else "key"
            raise ConfigurationError(f"the {what} {path} cannot be read: {error.strerror}") from None
        if path == certfile and b"-----BEGIN CERTIFICATE-----" not in content:
            raise ConfigurationError(f"{path} holds no certificate in PEM form")
        if path == holder and b"PRIVATE KEY-----" not in content:
            more = "" if keyfile else "; if it is in a file of its own, give that, too"
            raise ConfigurationError(f"{path} holds no private key in PEM form{more}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, holder, password=functools.partial(_refuse_password, holder))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"the key in {holder} is not the one of the certificate {certfile}") from None
        why = f"{certfile} and {holder} cannot be used: {error.reason or error}"
        raise ConfigurationError(f"the certificate and key in {why}") from None
    return context


def _refuse_password(path: Path) -> str:
    # Without this OpenSSL asks on the terminal, and a server without one waits for ever.
    raise ConfigurationError(f"the key in {path} needs a passphrase; give one that needs none, readable by you alone")


def checked_proxies(proxies: Iterable[str]) -> tuple[str, ...]:
    """Return addresses and networks of proxies in their usual form. Raises ConfigurationError."""
    found = []
    for text in proxies:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ConfigurationError(
                f"{text!r} is no address of a proxy; give one like 127.0.0.1, or a network like 10.0.0.0/8"
            ) from None
        found.append(str(network.network_address) if network.num_addresses == 1 else str(network))
    return tuple(found)


def more_descriptors() -> None:
    """Let this process have as many files and connections open as it may, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
