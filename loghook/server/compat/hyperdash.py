"""POST /api/v1/sdk/http: Hyperdash's SDK, version 0.15.3, answered as its own server answered.

The SDK posts one message at a time and looks at the status and, unless that is 200, at the JSON's "code". After
`api_key_requred` (spelt so) it sends nothing more; a 400 makes it drop the message; after anything else, and after no
answer, it sends the same message again. So whatever can never be taken, one that is too large say, is a 400 here.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from loghook.server.access import Access
from loghook.server.answers import JSONAnswer, Problem
from loghook.server.compat.hyperdash_messages import Malformed, read
from loghook.server.events import MAX_LINE
from loghook.server.ingest import Ingest, TooLarge
from loghook.server.ingest import Malformed as MalformedBatch
from loghook.server.intake import Intake
from loghook.server.store import Closed

__all__ = ["SOURCE", "Hyperdash", "refusal", "speaking"]

SOURCE = "hyperdash"
"""What runs that come this way have as their source, and the id of the one writer that each has here."""
KEY_HEADER = "x-hyperdash-auth"


def refusal(status: int, code: str, sentence: str, **headers: str) -> Response:
    """Return an answer that the SDK (`code`), its command line (`message`) and our own clients (`error`) understand."""
    body = orjson.dumps({"code": code, "message": sentence, "error": sentence})
    return JSONAnswer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


Handler = Callable[[Request], Awaitable[Response]]


def speaking(handler: Handler) -> Handler:
    """A route whose every failure is answered in the protocol's words."""

    @functools.wraps(handler)
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as error:
            answer = refusal(error.status, "refused", error.sentence)
            answer.headers.update(error.headers)
            return answer
        except (sqlite3.Error, Closed):
            return refusal(503, "unavailable", "the database takes nothing now", Retry_After="5")

    return guarded


class Hyperdash:
    """The route that takes the SDK's messages.

    Args:
        access: whose keys are known.
        ingest: where events go.
        intake: reads bodies, and bounds how many at once.
    """

    def __init__(self, access: Access, ingest: Ingest, intake: Intake) -> None:
        self._access = access
        self._ingest = ingest
        self._intake = intake

    async def post(self, request: Request) -> Response:
        """Answer a POST of one message."""
        key = request.headers.get(KEY_HEADER, "").strip()
        account = self._access.accounts.of_key(key) if key else None
        if account is None:
            sentence = "this server does not know the key" if key else f"the header {KEY_HEADER} has no key"
            return refusal(401, "api_key_requred", sentence, WWW_Authenticate="Bearer")
        try:
            await self._intake.take(request, account, lambda body: self._store(account, body), most=MAX_LINE)
        except Problem as error:
            if error.status in (413, 415):
                return refusal(400, "malformed", error.sentence)
            raise
        except (Malformed, MalformedBatch, TooLarge) as error:
            return refusal(400, "malformed", str(error))
        return JSONAnswer(b"{}")

    def _store(self, account: int, body: bytes) -> None:
        message = read(body)
        self._ingest.append(
            account, message.run, SOURCE, message.lines, digest=message.digest, source=SOURCE, time=message.time
        )
