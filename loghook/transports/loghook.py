"""Our own server's protocol: the spool's bytes as they are, each batch under its writer and first offset.

    POST /api/v1/runs/RUN/writers/WRITER/events?offset=N&first=F     newline-delimited JSON, gzip where it pays
    Authorization: Bearer KEY        Loghook-Sent: this machine's clock in epoch seconds

    200 {"offset": next}                Delivered, up to next; {"set_aside": [{"line", "reason"}]} may come with it
    409 {"offset": expected}            Gap
    400, 422 {"error", "line"}          Refused (without such a JSON object: TryLater, it was not our server)
    413                                 Refused, too large; TryLater if an empty body is so as well
    401, 403                            the key is read again; another one is tried at once, else TryLater
    415, or 400 about the encoding      the same again without gzip, from then on
    429, 503 and the other 5xx          TryLater, by Retry-After
    404, 3xx, a page, anything else     TryLater, with words: no loghook server is there

An answer counts only if it is what our server would say. A login page with status 200, or an offset that
cannot be, delivers nothing.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .._version import __version__
from .address import Address
from .base import Batch, Delivered, Gap, Outcome, Refused, Transport, TryLater
from .http import Http
from .reply import Reply, printable, without

if TYPE_CHECKING:
    from ..credentials import KeySource

__all__ = ["LoghookTransport", "outcome_of"]

WORTH_COMPRESSING = 1024
GZIP = 31  # zlib's name for deflate in a gzip wrapping, with the largest window


class LoghookTransport(Transport):
    """Sends batches to a loghook server at an http or https URL, which may have a path (behind a proxy).

    A user and password in the URL are sent (as HTTP Basic authentication) in place of the key, for a proxy
    that wants them and puts in the key by itself.
    """

    def __init__(
        self,
        url: str,
        keys: KeySource,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Connects to nothing yet. `timeout` in seconds, `clock` in epoch seconds. Raises ConfigurationError."""
        super().__init__(url, keys, timeout=timeout)
        self._address = Address.parse(url)
        self._keys = keys
        self._clock = clock
        self._http = Http(self._address, timeout=timeout, agent=f"loghook/{__version__}")
        self._gzip = True

    def send(self, batch: Batch) -> Outcome:
        """Posts a batch and reads what the server says; see Transport.send."""
        outcome = self._deliver(batch)
        if not _is_too_large(outcome) or batch.count > 1:
            return outcome
        if not batch.count:
            # Filler in place of an event that was too large: tell where the log goes on instead of sending it.
            return self._deliver(replace(batch, offset=batch.next, body=b"", first=batch.next))
        # An event alone is about to be given up for its size. Whoever refuses nothing at all as well is no judge of it.
        nothing = self._deliver(replace(batch, body=b""))
        if _is_too_large(nothing):
            return TryLater(f"{self._address}: 413 whatever the size: is that the right URL?", absent=True)
        return nothing if isinstance(nothing, TryLater) else outcome

    def hurry(self, deadline: float) -> None:
        """Lets no exchange go on beyond `deadline`, in monotonic seconds."""
        self._keys.hurry()
        self._http.hurry(deadline)

    def close(self) -> None:
        """Closes the connection. Safe to call twice."""
        self._http.close()

    def _deliver(self, batch: Batch) -> Outcome:
        """Posts a batch; after a refusal again, with another key if there is one, or without gzip."""
        reply = self._post(batch)
        keyed = self._address.user is None
        if isinstance(reply, Reply) and reply.status in (401, 403) and keyed and self._keys.refused():
            reply = self._post(batch)
        if isinstance(reply, Reply) and self._gzip and _encoding_refused(reply):
            self._gzip = False
            reply = self._post(batch)
        if isinstance(reply, TryLater):
            return reply
        if reply.status in (401, 403):
            return TryLater(f"{self._address}: {self._refused_key(reply)}", key=True)
        return outcome_of(reply, batch, str(self._address), self._clock())

    def _post(self, batch: Batch) -> Reply | TryLater:
        authorization = self._authorization()
        if authorization is None:
            return TryLater(f"{self._address}: there is no API key; looked in {self._keys.places}", key=True)
        headers = {
            "Authorization": authorization,
            "Content-Type": "application/x-ndjson",
            "Accept": "application/json",
            "Loghook-Sent": f"{self._clock():.3f}",
        }
        body = batch.body
        if self._gzip and len(body) >= WORTH_COMPRESSING:
            headers["Content-Encoding"] = "gzip"
            body = _gzipped(body)
        path = f"/api/v1/runs/{batch.run}/writers/{batch.writer}/events"
        params = {"offset": str(batch.offset), "first": str(batch.first)}
        reply = self._http.request("POST", path, body=body, params=params, headers=headers)
        secrets = (authorization.partition(" ")[2], self._address.password or "", self._keys.get() or "")
        if isinstance(reply, TryLater):
            return replace(reply, reason=without(reply.reason, *secrets))
        return reply.without(*secrets)

    def _authorization(self) -> str | None:
        if self._address.user is not None:
            pair = f"{self._address.user}:{self._address.password or ''}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        key = self._keys.get()
        return None if key is None else f"Bearer {key}"

    def _refused_key(self, reply: Reply) -> str:
        what = "the user and password in the URL"
        if self._address.user is None:
            what = f"the API key from {self._keys.origin}"
        return f"{reply.title}, {what} is refused{_said(reply)}"


def outcome_of(reply: Reply, batch: Batch, where: str, now: float) -> Outcome:
    """What an answer of the server means for the batch; pure. `now` is in epoch seconds, `where` names the server."""
    content = reply.json()
    match reply.status:
        case 200:
            return _delivered(content, reply, batch, where)
        case 409 if (expected := _offset(content)) is not None:
            return Gap(expected)
        case 413:
            limit = (content or {}).get("max_bytes")
            reason = f"{reply.title}, {len(batch.body)} bytes are too many{_said(reply)}"
            return Refused(reason, too_large=True, max_bytes=_count(limit) or None)
        case 400 | 422 if content is not None and isinstance(content.get("error"), str):
            line = content.get("line")
            return Refused(f"{reply.title}{_said(reply)}", line=_count(line))
        case 404 | 405:
            words = f"no loghook server is at this address{_said(reply)}"
        case 407:
            words = "the proxy wants a user and password (http://USER:PASSWORD@proxy)"
        case status if 300 <= status < 400:
            words = f"it redirects to {reply.location or 'nowhere'}: is that the right URL?"
        case status if status in (408, 425, 429) or status >= 500:
            return TryLater(f"{where}: {reply.title}{_said(reply)}", after=reply.after(now))
        case _:
            words = f"which no loghook server answers here ({reply.kind}){_said(reply)}"
    return TryLater(f"{where}: {reply.title}, {words}", absent=True)


def _delivered(content: dict[str, object] | None, reply: Reply, batch: Batch, where: str) -> Outcome:
    offset = _offset(content)
    if content is None or offset is None:
        reason = f"{where}: 200, but not as a loghook server answers ({reply.kind}): a login page, another program?"
        return TryLater(reason, absent=True)
    if offset < batch.offset:
        return TryLater(f"{where}: 200 with offset {offset}, but {batch.offset} was sent")
    # Beyond the batch: someone else delivered more of this writer. The rest is sent again and skipped there.
    return Delivered(batch.line_end(offset), _set_aside(content.get("set_aside")))


def _is_too_large(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.too_large


def _set_aside(listed: object) -> tuple[tuple[int, str], ...]:
    """The lines that the server could not store, read leniently: they only go into a count and a message."""
    entries = listed if isinstance(listed, list) else []
    return tuple(
        (line, printable(str(entry.get("reason", ""))))
        for entry in entries
        if isinstance(entry, dict) and (line := _count(entry.get("line"))) is not None
    )


def _offset(content: dict[str, object] | None) -> int | None:
    return _count((content or {}).get("offset"))


def _count(value: object) -> int | None:
    """A whole number that can count bytes or lines, None for anything else (true is no number)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _encoding_refused(reply: Reply) -> bool:
    if reply.status == 415:
        return True
    words = str((reply.json() or {}).get("error", "")).lower() or reply.body[:1000].decode("utf-8", "replace").lower()
    return reply.status == 400 and any(word in words for word in ("gzip", "encoding", "compress"))


def _said(reply: Reply) -> str:
    """The server's own words after a colon, if it gave any."""
    error = (reply.json() or {}).get("error")
    return f": {printable(error)}" if isinstance(error, str) and error.strip() else ""


def _gzipped(body: bytes) -> bytes:
    """The body in gzip's format, lightly compressed; in one call, which lets other threads run meanwhile."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    return squeeze.compress(body) + squeeze.flush()
