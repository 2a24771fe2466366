"""One HTTP connection to one platform: the only module that imports requests.

A request ends in a Reply, or in a TryLater that says in words what was in the way: every error of requests,
urllib3, http.client, ssl and the socket is turned into one here and nowhere else. No reply may take for ever
or fill the memory:

- `timeout` bounds the wait for a connection and each silence of the other side;
- a deadline (six times that) bounds the whole exchange, so also a body that is taken, or an answer that
  comes, a byte at a time: the body is handed out, and the socket read, against the clock;
- at most 1 MiB of an answer is read, where no more is asked for; after that the connection is dropped.

Looking up a host name is the one thing that the system bounds and not we.

Proxies (HTTP_PROXY and the like, NO_PROXY) and CA files (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE) are taken from
the environment as requests does; SSL_CERT_FILE and SSL_CERT_DIR serve when those are not set. A loopback
address is always reached directly. Redirects are not followed, cookies not kept, ~/.netrc not asked.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import io
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.response import assert_header_parsing

from .address import Address, masked
from .base import DEADLINE_TIMES, TryLater
from .reply import Reply, printable
from .tls import speaks_tls

__all__ = ["Http"]

LARGEST_REPLY = 1024 * 1024
BLOCK = 64 * 1024
LONGEST_PROBE = 1.0
CA_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method")
SURROUNDINGS = (*CA_FILES, *PROXIES, *map(str.upper, PROXIES))

# What the network, the libraries below and a wrong environment raise. InvalidURL and the like are ValueErrors,
# a host that no resolver takes is a UnicodeError, a missing CA file an OSError.
FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
HUNG_UP = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS that ended with its connection, as any exchange may."""


class Http:
    """Requests to one address over one connection that is kept alive. Used by one thread."""

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 10.0,
        deadline: float | None = None,
        agent: str = "loghook",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout` and `deadline` (by default six timeouts) are in seconds; connects to nothing yet."""
        self._address = address
        self._timeout = timeout
        self._watch = _Watch(DEADLINE_TIMES * timeout if deadline is None else deadline, clock)
        self._session = requests.Session()
        self._seen: tuple[str | None, ...] = ()
        self._settings: dict[str, Any] = {}
        self._was_answered = False
        self._session.headers.update({"User-Agent": agent, "Accept-Encoding": "identity"})
        adapter = _Adapter(self._watch)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = LARGEST_REPLY,
    ) -> Reply | TryLater:
        """Sends one request and reads its answer, `most` bytes of it; `path` begins with a slash, after the address.

        Returns TryLater when there was no complete HTTP answer. Raises nothing that the network can cause.
        """
        try:
            self._watch.start()
            with self._send(method, path, body, params, headers) as response:
                reply = _read(response, most)
        except FOREIGN as error:
            return self._trouble(error)
        self._was_answered = True
        return reply

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, by the clock, whatever the timeout says."""
        self._watch.latest = deadline

    def stream(
        self,
        path: str,
        take: Callable[[bytes], object],
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | TryLater:
        """Sends a GET and hands the body of a 200 to `take`, block by block; the reply that is returned has none then.

        Any other answer is returned as by `request`; TryLater also where the answer broke off, after what was taken.
        The whole takes as long as it takes, where the deadline is infinite.
        """
        self._watch.start()
        with contextlib.ExitStack() as stack:
            try:
                response = stack.enter_context(self._send("GET", path, b"", params, headers))
                if response.status_code != 200:
                    return _read(response, LARGEST_REPLY)
                response.raw.enforce_content_length = True
            except FOREIGN as error:
                return TryLater(f"{self._address}: {self._words(error)}")
            blocks = response.iter_content(BLOCK)
            while True:
                try:
                    block = next(blocks, None)
                except FOREIGN as error:
                    return TryLater(f"{self._address}: {self._words(error)}")
                if block is None:
                    break
                take(block)  # what goes wrong with that is the caller's
        return Reply(200, {name.lower(): value for name, value in response.headers.items()}, b"", True)

    def close(self) -> None:
        """Closes the connection. Safe to call twice."""
        self._session.close()

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        """Sends a request, without what a session does around that: most of a small request's time goes there.

        No redirect is followed, no cookie kept and no ~/.netrc asked, since it is the session that does all that.
        """
        request = requests.PreparedRequest()
        data = _Body(body, self._watch) if body else None
        request.prepare(
            method,
            self._address.url + path,
            headers=CaseInsensitiveDict({**self._session.headers, **(headers or {})}),
            data=data,
            params=dict(params or {}),
        )
        adapter = self._session.get_adapter(self._address.url)
        patience = self._watch.within(self._timeout)
        return adapter.send(request, timeout=(patience, patience), **self._surroundings())

    def _surroundings(self) -> dict[str, Any]:
        """Proxies and CA files of the environment, worked out anew when one of its variables has changed."""
        seen = tuple(map(os.environ.get, SURROUNDINGS))
        if seen != self._seen:
            proxies = dict.fromkeys(("http", "https", "all"), "") if self._address.is_loopback else {}
            ca = _ca_of(os.environ)
            settings = self._session.merge_environment_settings(self._address.url, proxies, True, ca, None)
            self._seen, self._settings = seen, dict(settings)
        return self._settings

    def _trouble(self, error: Exception) -> TryLater:
        """What it means that a request has no answer."""
        causes = _causes(error)
        if not self._was_answered and self._is_direct and any(isinstance(cause, HUNG_UP) for cause in causes):
            parts = urlsplit(self._address.url)
            if speaks_tls(self._address.host, parts.port or 80, self._watch.within(min(self._timeout, LONGEST_PROBE))):
                return TryLater(f"{self._address}: TLS is spoken there: the URL must begin with https", absent=True)
        return TryLater(f"{self._address}: {self._words(error)}", absent=_is_absent(error))

    @property
    def _is_direct(self) -> bool:
        """Whether plain HTTP is spoken to the address itself, and not to a proxy."""
        url = self._address.url
        return url.startswith("http:") and not requests.utils.select_proxy(url, self._settings.get("proxies"))

    def _words(self, error: BaseException) -> str:
        """What went wrong, in words that hold no key and no password."""
        causes = _causes(error)
        root = _line(causes[-1])
        for kinds, words in WORDS:
            for cause in causes:
                if isinstance(cause, kinds):
                    silence, whole = self._timeout, self._watch.seconds
                    return words.format(cause=_line(cause), root=root, timeout=silence, deadline=whole)
        if _lacks_authorities(error):
            return f"{_line(error)} (from {_variable_of_ca(os.environ)})"
        return root


class _DeadlinePassed(TimeoutError):
    """The whole exchange took too long."""


# What is said of an error, or of one that it was made from; the first that fits. InvalidHeader quotes the header.
WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (_DeadlinePassed, "the exchange was not over after {deadline:g} s"),
    (requests.exceptions.InvalidHeader, "a header cannot be sent"),
    (requests.exceptions.ProxyError, "the proxy is in the way: {root}"),
    (socket.gaierror, "the host name is not known here"),
    (requests.exceptions.ConnectTimeout, "no connection within {timeout:g} s"),
    (requests.exceptions.SSLError, "TLS: {root}"),
    ((requests.exceptions.ReadTimeout, TimeoutError), "no answer within {timeout:g} s"),
    (requests.exceptions.ContentDecodingError, "the answer's content encoding is broken"),
    (http.client.RemoteDisconnected, "the connection ended without an answer"),
    (http.client.BadStatusLine, "the answer is no HTTP: {cause}"),
    ((http.client.HTTPException, urllib3.exceptions.HeaderParsingError), "the answer is cut off or garbled: {cause}"),
    (requests.exceptions.ChunkedEncodingError, "the answer is cut off or garbled: {root}"),
)


class _Watch:
    """The clock of one exchange."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self.latest = math.inf
        """When it has to be over, whenever it began."""
        self._clock = clock
        self._end = clock() + seconds

    def start(self) -> None:
        self._end = min(self._clock() + self.seconds, self.latest)
        self.left()

    def within(self, seconds: float) -> float:
        """So many seconds, or fewer when it has to be over sooner."""
        return min(seconds, max(self.latest - self._clock(), 0.01))

    def left(self) -> float:
        """Seconds that are left. Raises _DeadlinePassed when none are."""
        left = self._end - self._clock()
        if left <= 0:
            raise _DeadlinePassed(f"not over after {self.seconds:g} s")
        return left


class _Body(io.BytesIO):
    """A body that is handed out in blocks, none of them after the deadline."""

    def __init__(self, body: bytes, watch: _Watch) -> None:
        super().__init__(body)
        self._watch = watch

    def read(self, size: int | None = -1, /) -> bytes:
        self._watch.left()
        return super().read(size)


class _TimedSocketFile(io.RawIOBase):
    """The reading side of a socket, which stops at the deadline."""

    def __init__(self, sock: socket.socket, file: io.BufferedReader, watch: _Watch) -> None:
        self._sock = sock
        self._raw = file.detach()
        self._watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._watch.left()
        silence = self._sock.gettimeout()
        if silence is None or left < silence:
            self._sock.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            self._watch.left()
            raise

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer whose headers and body come before the deadline, or not at all."""

    def __init__(self, watch: _Watch, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedSocketFile(sock, self.fp, watch))

    def begin(self) -> None:
        super().begin()
        assert_header_parsing(self.msg)  # else urllib3 would log garbled headers, with a traceback


class _Adapter(HTTPAdapter):
    """An adapter of one connection, whose answers are timed."""

    def __init__(self, watch: _Watch) -> None:
        timed = staticmethod(functools.partial(_TimedResponse, watch))
        plain = type("_Connection", (HTTPConnection,), {"response_class": timed})
        tls = type("_TlsConnection", (HTTPSConnection,), {"response_class": timed})
        self._pools = {
            "http": type("_Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("_TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # a SOCKS proxy's own pools do the dialling
            manager.pool_classes_by_scheme = self._pools
        return manager


def _read(response: requests.Response, most: int) -> Reply:
    response.raw.enforce_content_length = True  # urllib3 1 would take half a body for the whole
    body = bytearray()
    whole = True
    for block in response.iter_content(BLOCK):
        body += block
        if len(body) > most:
            whole = False
            break
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, bytes(body[:most]), whole)


def _ca_of(environ: Mapping[str, str]) -> str | None:
    """A CA file or folder that requests would not find by itself; None leaves the choice to it."""
    if any(environ.get(name) for name in CA_FILES[:2]):
        return None
    return next((environ[name] for name in CA_FILES[2:] if environ.get(name)), None)


def _variable_of_ca(environ: Mapping[str, str]) -> str:
    return next((name for name in CA_FILES if environ.get(name)), "the certifi package")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was made from, outermost first; the libraries wrap in three different ways."""
    chain = [error]
    while len(chain) < 12:
        last = chain[-1]
        inner = [getattr(last, "reason", None), *last.args, last.__cause__, last.__context__]
        found = next((one for one in inner if isinstance(one, FOREIGN) and one not in chain), None)
        if found is None:
            break
        chain.append(found)
    return chain


def _is_absent(error: BaseException) -> bool:
    """Whether nobody is there who can be talked to, and not a proxy that may know more."""
    causes = _causes(error)
    if any(isinstance(cause, requests.exceptions.ProxyError) for cause in causes):
        return False
    return _lacks_authorities(error) or any(
        isinstance(cause, (ConnectionRefusedError, socket.gaierror))
        or (isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH))
        or (isinstance(cause, ssl.SSLError) and not isinstance(cause, CUT_OFF))
        for cause in causes
    )


def _lacks_authorities(error: BaseException) -> bool:
    """Whether the file of certificates to trust is not there, of which requests tells in words alone."""
    return isinstance(error, OSError) and "CA certificate" in str(error)


def _line(error: BaseException) -> str:
    """The text of an error in one short line without secrets."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return printable(masked(text))
