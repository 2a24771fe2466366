"""Requests to a Polyaxon API with its token, and what its answers mean when they are not good.

    401, 403            the token is read again; another one is tried at once, else TryLater
    no token for the    another token serves, and it is asked for again after a minute, which is said once; without
    one of the job      another one TryLater
    405 without words   Polyaxon 2 failed inside (its page for a 500 takes no POST): TryLater; see `Refusals`
    400, 422 and JSON   Refused; with anything else TryLater, it was not the API
    413                 Refused, too large
    anything else       TryLater, by Retry-After

Nothing that is said holds the token.
"""

from __future__ import annotations

import base64
import json
import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from ..._version import __version__
from ..address import Address
from ..base import Refused, TryLater
from ..http import Http
from ..reply import Reply, printable, without
from .events import clean

if TYPE_CHECKING:
    from ...credentials import KeySource

__all__ = ["Calls", "Trouble", "is_hidden_error", "listed"]

Trouble: TypeAlias = TryLater | Refused
EXCHANGE = 60.0


class Calls:
    """One connection to one API. `needs_token`: without one nothing is sent."""

    def __init__(
        self,
        address: Address,
        keys: KeySource,
        *,
        timeout: float,
        needs_token: bool,
        exchange: Callable[[Calls], str | Trouble] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`exchange` gets a token by another one that the job was given; it is asked first, and after a refusal.

        `clock` is in epoch seconds.
        """
        self.address = address
        self._keys = keys
        self._needs_token = needs_token
        self._exchange = exchange
        self._exchanged: str | None = None
        self._not_exchanged = ""
        self._not_before = -math.inf
        self._clock = clock
        self._http = Http(address, timeout=timeout, agent=f"loghook/{__version__}")

    def now(self) -> float:
        """The time, in epoch seconds."""
        return self._clock()

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, in monotonic seconds."""
        self._keys.hurry()
        self._http.hurry(deadline)

    def close(self) -> None:
        """Closes the connection. Safe to call twice."""
        self._http.close()

    def json(self, method: str, path: str, content: Any = None) -> Reply | TryLater:
        """Sends a JSON value (None: no body), made fit for a database."""
        body = b"" if content is None else _encoded(content)
        return self.call(method, path, body, {"Content-Type": "application/json"} if body else {})

    def upload(self, path: str, name: str, data: bytes, options: Mapping[str, Any]) -> Reply | TryLater:
        """Sends a file as a form, with `options` beside it as JSON."""
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="json"\r\n\r\n{json.dumps(dict(options))}\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="upload_file"; filename="{name}"\r\n'
            "Content-Type: text/plain\r\n\r\n"
        )
        body = b"".join([head.encode(), data, f"\r\n--{mark}--\r\n".encode()])
        return self.call("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        most: int = 1 << 20,
    ) -> Reply | TryLater:
        """Sends a request; after a refusal of the token again, if there is another. 401 and 403 never come out."""
        token = self._token()
        if isinstance(token, TryLater):
            return token
        if token is None and self._needs_token and self.address.user is None:
            return TryLater(f"{self._not_exchanged or f'{self.address}: '}{self._none}", key=True)
        reply = self._send(method, path, body, headers or {}, params or {}, token, most)
        if isinstance(reply, Reply) and reply.status in (401, 403):
            another = self._another(token)
            if another is not None:
                token = another
                reply = self._send(method, path, body, headers or {}, params or {}, token, most)
        if isinstance(reply, Reply) and reply.status in (401, 403):
            return TryLater(f"{self.address}: {self._refused(reply, token)}", key=True)
        return reply

    def trouble(self, reply: Reply | TryLater, what: str) -> Trouble:
        """What an answer that is not good means; `what` names the request in the reason."""
        if isinstance(reply, TryLater):
            return reply
        reason = f"{self.address}: {what}: {reply.title}"
        if reply.status in (400, 422) and listed(reply) is not None:
            return Refused(f"{reason}: {said(reply)}")
        if reply.status == 413:
            return Refused(reason, too_large=True)
        if is_hidden_error(reply):
            return TryLater(f"{reason}, which is how Polyaxon says that it failed inside")
        if reply.status in (404, 405) or 300 <= reply.status < 400 or reply.status < 300:
            where = f" to {reply.location}" if reply.location else ""
            words = f"{where}, not as a Polyaxon API answers ({reply.kind}): is that the right URL?"
            return TryLater(f"{reason}{words}", absent=True)
        return TryLater(f"{reason}: {said(reply)}", after=reply.after(self._clock()))

    def plain(self, method: str, path: str, authorization: str) -> Reply | TryLater:
        """Sends a request without body under another authorization."""
        reply = self._http.request(method, path, headers={"Authorization": authorization})
        return self._without_secrets(reply, authorization.partition(" ")[2])

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        token: str | None,
        most: int,
    ) -> Reply | TryLater:
        full = {"Accept": "application/json", **headers}
        basic = ""
        if self.address.user is not None:
            basic = base64.b64encode(f"{self.address.user}:{self.address.password or ''}".encode()).decode()
            full["Authorization"] = f"Basic {basic}"
        elif token is not None:
            full["Authorization"] = f"Token {token}"
        reply = self._http.request(method, path, body=body, params=params, headers=full, most=most)
        return self._without_secrets(reply, token or "", basic)

    def _without_secrets(self, reply: Reply | TryLater, *more: str) -> Reply | TryLater:
        secrets = (*more, self.address.password or "", self._keys.get() or "", self._exchanged or "")
        if isinstance(reply, TryLater):
            return replace(reply, reason=without(reply.reason, *secrets))
        return reply.without(*secrets)

    def _token(self) -> str | TryLater | None:
        if self._exchange is None or self._exchanged is not None or 0 < self._not_before - self._clock() <= EXCHANGE:
            return self._exchanged or self._keys.get()
        got = self._exchange(self)
        if isinstance(got, str):
            self._exchanged, self._not_exchanged = got, ""
            self._keys.met(got)
            return got
        key = self._keys.get()
        if key is None and isinstance(got, TryLater):
            return got
        self._not_before = self._clock() + EXCHANGE
        self._not_exchanged = f"{got.reason}, and "
        if key is not None:
            self._keys.tell(got.reason)
        return key

    def _another(self, token: str | None) -> str | None:
        """Another token, now that this one was refused, None if there is none."""
        if self.address.user is not None:
            return None
        if token is not None and token == self._exchanged:
            self._exchanged = None
            other = self._token()
            return other if isinstance(other, str) and other != token else None
        return self._keys.get() if self._keys.refused() else None

    @property
    def _none(self) -> str:
        return f"there is no API key; looked in {self._keys.places}"

    def _refused(self, reply: Reply, token: str | None) -> str:
        what = f"and {self._none}"
        if self.address.user is not None:
            what = "the user and password in the URL are refused"
        elif token is not None:
            what = f"the API key from {self._keys.origin or 'the ephemeral token'} is refused"
        return f"{reply.title}, {what}: {said(reply)}"


def _encoded(content: Any) -> bytes:
    """The value as JSON. Copying it to make it fit took half as long as all the rest, so only what needs it is."""
    try:
        body = orjson.dumps(content)  # null for NaN; refuses half characters, and numbers that are too large for it
    except TypeError:
        body = b""
    return body if body and b"\\u0000" not in body else json.dumps(clean(content), allow_nan=False).encode()


def listed(reply: Reply) -> Any:
    """The JSON object or list in an answer, None for anything else."""
    if not reply.whole:
        return None
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict | list) else None


def said(reply: Reply) -> str:
    """The platform's own words, fit for a message."""
    content = listed(reply)
    if isinstance(content, dict) and isinstance(content.get("detail"), str):
        return printable(content["detail"])
    return printable(reply.body[:1000].decode("utf-8", "replace")) or "without a word"


def is_hidden_error(reply: Reply) -> bool:
    """Whether this is a 500 of Polyaxon 2 that shows as a 405: with the methods of its error page, and no body."""
    return reply.status == 405 and not reply.body.strip() and "allow" in reply.headers
