"""Fakes for tests, ours and yours: none of them needs a network, a platform or a patched function.

    Platform             what a platform that counts offsets would hold: every event once, gaps noted
    RecordingTransport   a transport into a Platform, with a script of outcomes
    FakeLoghookServer    our server's ingest over real HTTP on 127.0.0.1, strict about every byte
    FakeHyperdashServer  Hyperdash's SDK protocol, likewise
    AwkwardServer        any HTTP server on 127.0.0.1, with a script of bad behaviour
    Clock                a clock that is moved by hand

For example, a run against a server that loses its first answer:

    with FakeLoghookServer() as server:
        server.script(lost_reply)
        loghook.install("test", url=server.url, api_key_getter=lambda: server.key)
        logging.getLogger("train").info("hello")
        loghook.flush(10)
        assert [event["message"] for event in server.platform.records()] == ["hello"]

Servers are context managers. Their threads are daemons, so one that is left open ends with the process.
"""

from __future__ import annotations

from .awkward import Answer, AwkwardServer, Request, lost_reply
from .clock import Clock
from .hyperdash import FakeHyperdashServer
from .native import FakeLoghookServer
from .platform import Platform
from .transport import RecordingTransport, reply_lost

__all__ = [
    "Answer",
    "AwkwardServer",
    "Clock",
    "FakeHyperdashServer",
    "FakeLoghookServer",
    "Platform",
    "RecordingTransport",
    "Request",
    "lost_reply",
    "reply_lost",
]
