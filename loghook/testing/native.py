"""Our own server's ingest over real HTTP, in memory and strict: what it does not expect it refuses and notes."""

from __future__ import annotations

import json
import re
import ssl
import zlib
from typing import Any

from ..transports.base import Batch, Delivered, Gap
from .awkward import Answer, AwkwardServer, Request, Step
from .platform import Platform

__all__ = ["FakeLoghookServer"]

_PATH = re.compile(
    r"(?P<prefix>.*)/api/v1/runs/(?P<run>[A-Za-z0-9._-]{1,128})/writers/(?P<writer>[A-Za-z0-9._-]{1,64})/events"
)


class FakeLoghookServer(AwkwardServer):
    """Speaks the ingest protocol into `platform`, a Platform. See AwkwardServer for the script.

    keys         the keys that are taken; `key` is the first
    prefix       the path that a proxy would have put before ours
    takes_gzip   whether bodies may be compressed; if not, the answer is 415
    violations   what requests did against the protocol, in words; a test should find it empty
    """

    def __init__(
        self,
        *steps: Step,
        platform: Platform | None = None,
        key: str = "a-key-for-tests-0001",
        prefix: str = "",
        takes_gzip: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.platform = Platform() if platform is None else platform
        self.keys = [key]
        self.prefix = prefix
        self.takes_gzip = takes_gzip
        self.violations: list[str] = []
        super().__init__(self._answer, *steps, tls=tls)
        self.url += prefix

    @property
    def key(self) -> str:
        """A key that is taken."""
        return self.keys[0]

    def __enter__(self) -> FakeLoghookServer:
        return self

    def _answer(self, request: Request) -> Answer:
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or key not in self.keys:
            return _json(401, error="the key is missing or unknown")
        if request.headers.get("content-encoding") == "gzip" and not self.takes_gzip:
            return _json(415, error="gzip is not understood here")
        try:
            batch = self._batch(request)
            outcome = self.platform.take(batch)
        except (ValueError, zlib.error) as error:
            self.violations.append(str(error))
            return _json(400, error=str(error))
        if isinstance(outcome, Delivered):
            aside = [{"line": line, "reason": reason} for line, reason in outcome.set_aside]
            return _json(200, offset=outcome.offset, **({"set_aside": aside} if aside else {}))
        if isinstance(outcome, Gap):
            return _json(409, offset=outcome.offset, error=f"expected offset {outcome.offset}")
        if outcome.too_large:
            return _json(413, error=outcome.reason, max_bytes=outcome.max_bytes)
        return _json(400, error=outcome.reason, **({"line": outcome.line} if outcome.line is not None else {}))

    def _batch(self, request: Request) -> Batch:
        """The batch in a request. Raises ValueError, in words, for anything against the protocol."""
        path = _PATH.fullmatch(request.path)
        if request.method != "POST" or path is None or path["prefix"] != self.prefix:
            raise ValueError(f"{request.method} {request.path} is not in the protocol")
        if request.headers.get("content-type") != "application/x-ndjson":
            raise ValueError(f"the content type is {request.headers.get('content-type')}")
        if request.headers.get("content-encoding", "gzip") != "gzip":
            raise ValueError(f"the content encoding is {request.headers['content-encoding']}")
        if not re.fullmatch(r"\d+(\.\d+)?", request.headers.get("loghook-sent", "")):
            raise ValueError("Loghook-Sent is not the time in seconds")
        query = request.query
        if not {"offset"} <= query.keys() <= {"offset", "first"} or not "".join(query.values()).isdigit():
            raise ValueError(f"the query is {query}")
        offset = int(query["offset"])
        return Batch(path["run"], path["writer"], offset, request.content, int(query.get("first", -1)))


def _json(status: int, **content: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())
