"""What stands before every route: the Host check, the origin check, the headers that bind the browser; pure ASGI.

Host: a page of a foreign site can make its own name point to this machine (DNS rebinding); then its scripts would talk
to this server as if it were theirs. Its name stays in the Host header, so only known names are answered: addresses as
numbers, localhost, this machine's name, and what `--name` adds.

Origin: a browser sends the cookie along whoever asks. So a request that changes something and names an origin, as
browsers do, has to name this server. One that names none needs a key in the Authorization header, which no foreign page
can send. Where no cookie counts, other programs need neither: a browser would have asked before it sends JSON.

Time: a body has to come at a pace, whoever reads it and whether or not a key has been shown; see `connections` for all
else that a client can take its time over.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loghook.server.answers import Problem, problem
from loghook.server.patience import Patience

__all__ = ["MOST_HEAD", "POLICY", "Guard", "host_of"]

# Nothing is inline and nothing is evaluated, not by plotly.js either, as the pages use it (`ui/static/plot.js`).
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that a browser sends "Origin: null" with a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MOST_HEAD = 32 * 1024
"""Bytes in the head of a request."""
COOKIELESS = ("/api/v1/sdk/http", "/api/v1/users", "/api/v1/sessions")
"""Where what programs send is all that counts, and where they expect "code" and "message" in a refusal."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PATIENCE = Patience()


class Guard:
    """Middleware: refuses foreign hosts and foreign origins, and adds headers to every answer.

    Args:
        app: what it guards.
        hosts: names that this server answers to, beside its own.
        patience: how long a body may take.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), *, patience: Patience = PATIENCE) -> None:
        self._app = app
        self._patience = patience
        self._allowed = {host.lower() for host in hosts}
        self._hosts = self._allowed | {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        body = Body(receive, self._patience)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.answered = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        wrong = self._wrong(scope["method"], scope["path"], Headers(scope=scope)) or _too_long(scope)
        if wrong is not None:
            if scope["path"] in COOKIELESS:
                wrong.more.update(code="refused", message=wrong.sentence)
            await problem(wrong)(scope, receive, send_with_headers)
            return
        await self._app(scope, body.receive, send_with_headers)

    def _wrong(self, method: str, path: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if not self.answers_to(host_of(host)):
            name = host_of(host) or host
            remedy = f"if it should, start it with --name {name}"
            return Problem(403, f"this server does not answer to the name {name!r}; {remedy}")
        if method in SAFE_METHODS or self._same_origin(headers):
            return None
        # A browser would name where it comes from; a key in its header proves nothing, because it may have filled in
        # that header by itself, from `http://user:password@host/`.
        is_browser = "origin" in headers or "sec-fetch-site" in headers
        if not is_browser and (headers.get("authorization") or (path in COOKIELESS and _is_json(headers))):
            return None
        # Who sends nothing to be known by can change nothing: the route says what is missing.
        is_nobody = not is_browser and "cookie" not in headers and path.startswith("/api/v1/")
        if is_nobody and path not in COOKIELESS:
            return None
        return Problem(403, "a request from another site may change nothing here; send an API key to do so")

    def answers_to(self, name: str) -> bool:
        """Tell whether a host name, without port, is one of this server's."""
        if name in self._hosts or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _same_origin(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "same-origin"
        try:
            name = urlsplit(origin).netloc
        except ValueError:
            return False
        host = headers.get("host", "")
        # A proxy may have put its own name for this server in the place of the one that the browser sees, which then
        # is one that was allowed.
        return name == host or (host_of(name) in self._allowed and host_of(name) != host_of(host))


class Body:
    """The body of a request, which has to come at a pace.

    answered: whether the answer has begun, so that no other one can be given.
    """

    def __init__(self, receive: Receive, patience: Patience) -> None:
        self._receive = receive
        self._patience = patience
        self._began: float | None = None
        self._came = 0
        self._whole = False
        self.answered = False

    async def receive(self) -> Message:
        """Return its next part, as ASGI says. Raises Problem: 408."""
        if self._whole:
            return await self._receive()  # waits for the client to go
        now = time.monotonic()
        if self._began is None:
            self._began = now
        left = self._began + self._patience.part + self._came / self._patience.pace - now
        try:
            message = await asyncio.wait_for(self._receive(), min(left, self._patience.part))
        except asyncio.TimeoutError:
            if self.answered:
                return {"type": "http.disconnect"}
            raise Problem(408, "the body did not come in time", {"Connection": "close"}) from None
        self._came += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message


def _is_json(headers: Headers) -> bool:
    """Tell whether a request has a type that a browser sends elsewhere only if allowed."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _too_long(scope: Scope) -> Problem | None:
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    return Problem(431, f"the head of a request has at most {MOST_HEAD} bytes") if size > MOST_HEAD else None


def host_of(netloc: str) -> str:
    """Return the name or address in `name:port`, in lower case, IPv6 without brackets; "" when it makes no sense."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""
