"""What the routes answer with: JSON, errors as one sentence, compressed where it pays."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from math import isfinite, isnan

import orjson
from starlette.requests import Request
from starlette.responses import Response

from loghook.server.store.points import Columns

__all__ = ["JSONAnswer", "Problem", "accepts_gzip", "encoded", "number", "points", "problem"]

WORTH_COMPRESSING = 2048
FASTEST = 1
LARGEST_WHOLE = 2.0**53
REFUSED = re.compile(r";q=0(\.0*)?$")


class Problem(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        sentence: what is wrong, and what to do about it.
        headers: more headers of the answer.
        more: more members of the JSON object beside "error".
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})
        self.more = more


class JSONAnswer(Response):
    """JSON that no cache keeps; given as bytes, which `encoded` makes on a thread where it may be much."""

    media_type = "application/json"

    def __init__(
        self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, compressed: bool = False
    ) -> None:
        super().__init__(body, status, {"Cache-Control": "no-store", "Vary": "Accept-Encoding", **(headers or {})})
        if compressed:
            self.headers["Content-Encoding"] = "gzip"


def encoded(request: Request, value: object) -> JSONAnswer:
    """Return an answer with a value as JSON, compressed when it is long and the client can take it."""
    body = orjson.dumps(value)
    if len(body) >= WORTH_COMPRESSING and accepts_gzip(request):
        return JSONAnswer(gzip.compress(body, FASTEST), compressed=True)
    return JSONAnswer(body)


def accepts_gzip(request: Request) -> bool:
    """Tell whether the client takes gzip."""
    offers = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(REFUSED.search(offer) is None and offer.split(";")[0] in ("gzip", "*") for offer in offers)


def problem(error: Problem) -> JSONAnswer:
    """Return the answer for a problem."""
    body = orjson.dumps({"error": error.sentence, **error.more}, option=orjson.OPT_NON_STR_KEYS)
    return JSONAnswer(body, error.status, error.headers)


def number(value: float | None) -> float | str | None:
    """Return a value as JSON has it: NaN and the infinities are strings."""
    if value is None or isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def points(columns: Columns) -> list[list[float | str | None]]:
    """Return points as `[step, time, value]`; a whole step is an integer."""
    return [
        [
            int(step) if step.is_integer() and abs(step) < LARGEST_WHOLE else step,
            time,
            value if isfinite(value) else number(value),
        ]
        for step, time, value in columns
    ]
