"""The route that takes events: reads a body within limits, unpacks it, and hands it to `Ingest`.

Bodies are read side by side, as slowly as they come (`security.Guard` ends those that hardly come at all), within the
room that there is for all (`room`). Only what has come in full takes one of the few places where it is worked at.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from loghook.server.answers import Problem, encoded
from loghook.server.ingest import MAX_LINES, Gap, Ingest, Malformed, Stored, TooLarge
from loghook.server.room import Full, Room, Upload
from loghook.server.store import Closed

__all__ = ["MAX_BODY", "Intake"]

T = TypeVar("T")

MAX_BODY = 16 * 1024 * 1024
"""Bytes in a body, as it comes and unpacked."""
AT_ONCE = 8
"""Batches that are unpacked and stored at the same time; more wait."""
ROOM = 256 * 1024 * 1024
"""Bytes of bodies, as they come, that are under way at the same time; with more, clients are asked to come again."""
UNPACKED_AT_ONCE = 256 * 1024
MEMBERS = 64
"""Parts that a gzip body may be made of; each costs a copy of what comes behind it."""


class Intake:
    """Takes batches over HTTP. One for each server; `close` it at the end."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._pool = ThreadPoolExecutor(AT_ONCE, "loghook-intake")
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._room = Room(ROOM)

    async def post(self, request: Request, account: int) -> Response:
        """Answer a POST of events. Raises Problem."""
        run, writer = request.path_params["run"], request.path_params["writer"]
        offset = _integer(request, "offset")
        if offset is None:
            raise Problem(400, "offset is missing: the place of the body's first byte in the writer's log")
        first, sent = _integer(request, "first"), _sent(request)

        def store(body: bytes) -> Stored:
            return self._store(account, run, writer, offset, body, first, sent)

        stored = await self.take(request, account, store)
        answer: dict[str, object] = {"offset": stored.offset}
        if stored.set_aside:
            answer["set_aside"] = [{"line": line, "reason": reason} for line, reason in stored.set_aside]
        return encoded(request, answer)

    async def take(self, request: Request, account: int, store: Callable[[bytes], T], *, most: int = MAX_BODY) -> T:
        """Read a body of at most `most` bytes and return what `store` makes of it, unpacked, on a thread.

        Raises Problem, and what `store` raises.
        """
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        loop = asyncio.get_running_loop()
        try:
            with self._room.upload(account) as upload:
                await _read(request, upload, most)
                async with self._slots:
                    parts = upload.work()
                    return await loop.run_in_executor(self._pool, lambda: store(unpacked(b"".join(parts), encoding)))
        except Full:
            sentence = "this server is busy with other batches of yours; come again in a second"
            raise Problem(429, sentence, {"Retry-After": "1", "Connection": "close"}) from None

    def _store(
        self,
        account: int,
        run: str,
        writer: str,
        offset: int,
        body: bytes,
        first: int | None,
        sent: float | None,
    ) -> Stored:
        try:
            return self._ingest.events(account, run, writer, offset, body, first=first, sent=sent)
        except Malformed as error:
            raise Problem(400, str(error)) from None
        except TooLarge as error:
            raise Problem(413, str(error), max_bytes=MAX_BODY, max_lines=MAX_LINES) from None
        except Gap as gap:
            raise Problem(409, f"offset {gap.expected} was expected", offset=gap.expected) from None
        except Closed:
            raise Problem(503, "this server is stopping", {"Retry-After": "5"}) from None
        except sqlite3.Error as error:
            raise Problem(503, f"the database takes nothing now: {error}", {"Retry-After": "10"}) from None

    def close(self) -> None:
        """Wait for the batches under way."""
        self._pool.shutdown()


def _integer(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Problem(400, f"{name} must be a number of bytes, 0 or more")
    return int(text)


def _sent(request: Request) -> float | None:
    try:
        sent = float(request.headers.get("loghook-sent", ""))
    except ValueError:
        return None
    return sent if 0.0 < sent < 1e11 else None


def _too_large(most: int = MAX_BODY) -> Problem:
    # The rest of the body is not read, so the connection cannot be used again.
    sentence = f"a batch has at most {most} bytes; send it in smaller parts"
    return Problem(413, sentence, {"Connection": "close"}, max_bytes=most)


async def _read(request: Request, upload: Upload, most: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise _too_large(most)
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise _too_large(most)
            upload.add(part)
    except ClientDisconnect:
        raise Problem(400, "the body broke off") from None


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before its Content-Encoding; never makes more than the limit. Raises Problem."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Problem(415, f"Content-Encoding {encoding!r} is not known here; gzip is", {"Accept-Encoding": "gzip"})
    parts: list[bytes] = []
    room = MAX_BODY
    try:
        for _ in range(MEMBERS):
            body, room = _unpack_member(body, parts, room)
            if not body:
                return b"".join(parts)
    except zlib.error:
        raise Problem(400, "the body is not gzip, though Content-Encoding says so") from None
    raise Problem(400, f"a gzip body has at most {MEMBERS} members")


def _unpack_member(body: bytes, parts: list[bytes], room: int) -> tuple[bytes, int]:
    """Appends a gzip member's content to `parts`; returns what comes behind it and the room that is left."""
    stream = zlib.decompressobj(wbits=31)
    while not stream.eof:
        part = stream.decompress(body, UNPACKED_AT_ONCE)
        body = stream.unconsumed_tail
        room -= len(part)
        if room < 0:
            raise _too_large()
        if not part and not body and not stream.eof:
            raise Problem(400, "the gzip body breaks off")
        parts.append(part)
    return stream.unused_data, room
