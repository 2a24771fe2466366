"""What can be wrong between a program and its platform: each a fault for a `Proxy`, by the name that README uses."""

from __future__ import annotations

import random
import time
from email.utils import formatdate

from .proxy import REFUSED, SWALLOWED, Conversation, Fault

__all__ = ["LOST_REPLY", "TROUBLES"]

PAGE = b"<!doctype html><html><title>Sign in</title><form action=/login>Welcome to the airport's network</form></html>"
STORM = (b"500 Internal Server Error", b"502 Bad Gateway", b"503 Service Unavailable", b"504 Gateway Timeout")
LONG_TIME = 3600.0


def _never_answers(conversation: Conversation) -> None:
    conversation.wait(LONG_TIME)


def _reads_and_never_answers(conversation: Conversation) -> None:
    while conversation.request():
        conversation.wait(LONG_TIME)


def _drips(conversation: Conversation) -> None:
    while conversation.request():
        conversation.drip(_answer(b"200 OK", b'{"offset": 1}', b"application/json"))


def _resets(conversation: Conversation) -> None:
    conversation.read_head()
    conversation.read(64)
    conversation.reset()


def LOST_REPLY(conversation: Conversation) -> None:
    """The platform gets the request, and the connection is reset before its answer comes."""
    if request := conversation.request():
        conversation.upstream(request)
        conversation.reset()


def _answer(status: bytes, body: bytes = b"", kind: bytes = b"text/html", *more: bytes) -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join([*head, b"", body])


def _always(answer: bytes) -> Fault:
    def fault(conversation: Conversation) -> None:
        while conversation.request():
            conversation.send(answer)

    return fault


def _storm(conversation: Conversation) -> None:
    chance = random.Random(time.time_ns())
    while conversation.request():
        conversation.send(_answer(chance.choice(STORM), PAGE if chance.random() < 0.5 else b""))


def _until(conversation: Conversation) -> None:
    while conversation.request():
        date = formatdate(time.time() + 2, usegmt=True).encode()
        conversation.send(_answer(b"429 Too Many Requests", b"", b"text/plain", b"Retry-After: " + date))


TROUBLES: dict[str, Fault] = {
    "nobody listens: the connection is refused": REFUSED,
    "a black hole: nothing comes back": SWALLOWED,
    "accepts, and never reads nor answers": _never_answers,
    "reads, and never answers": _reads_and_never_answers,
    "answers one byte a second": _drips,
    "resets in the middle of the body": _resets,
    "takes each batch, and its answer is lost": LOST_REPLY,
    "a storm of 500, 502, 503 and 504": _storm,
    "429 with Retry-After in seconds": _always(
        _answer(b"429 Too Many Requests", b"", b"text/plain", b"Retry-After: 2")
    ),
    "429 with Retry-After as a date": _until,
    "413, whatever the size": _always(_answer(b"413 Request Entity Too Large", PAGE)),
    "a redirect to a login page": _always(_answer(b"302 Found", b"", b"text/html", b"Location: /login")),
    "200 of another content type": _always(_answer(b"200 OK", b"accepted", b"text/plain")),
    "200 with JSON of something else": _always(_answer(b"200 OK", b'{"status": "ok"}', b"application/json")),
    "a captive portal: 200 with a page": _always(_answer(b"200 OK", PAGE)),
}
"""All that a proxy can do without help; names and certificates need more (see `outage`)."""
