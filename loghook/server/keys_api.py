"""The API of an account's keys.

    GET /api/v1/keys              {"account": name, "keys": [{"id", "name", "tail", "created", "current"}]}
    POST /api/v1/keys {"name"}    201 {"id", "name", "tail", "created", "key"}: the only answer that ever holds the key
    DELETE /api/v1/keys/{id}      204; from then on the key opens nothing, nor does a session that it began

`tail` is the key's last four characters, `created` epoch seconds; `current` is true for the key that asks.
"""

from __future__ import annotations

import asyncio

import orjson
from starlette.requests import Request
from starlette.responses import Response

from loghook.server.accounts import Accounts
from loghook.server.answers import JSONAnswer, Problem, encoded
from loghook.server.keys import TAIL, Key, Keys, TooMany

__all__ = ["KeysAPI"]

LARGEST_BODY = 4 * 1024


class KeysAPI:
    """The routes."""

    def __init__(self, accounts: Accounts, keys: Keys) -> None:
        self._accounts = accounts
        self._keys = keys

    async def listed(self, request: Request, account: int) -> Response:
        """GET /api/v1/keys."""
        keys = await asyncio.to_thread(self._keys.listed, account)
        name = await asyncio.to_thread(self._accounts.name_of, account)
        asking = request.headers.get("authorization", "").strip()[-TAIL:]
        listed = [{**_fields(key), "current": bool(asking) and key.tail == asking} for key in keys]
        return encoded(request, {"account": name, "keys": listed})

    async def create(self, request: Request, account: int) -> Response:
        """POST /api/v1/keys."""
        name = await _name(request)
        try:
            key, text = await asyncio.to_thread(self._keys.create, account, name)
        except TooMany as error:
            raise Problem(409, str(error)) from None
        return JSONAnswer(orjson.dumps({**_fields(key), "key": text}), 201)

    async def revoke(self, request: Request, account: int) -> Response:
        """DELETE /api/v1/keys/{id}."""
        text = request.path_params["id"]
        is_number = text.isascii() and text.isdigit() and len(text) < 18
        if not is_number or not await asyncio.to_thread(self._keys.revoke, account, int(text)):
            raise Problem(404, "there is no such key")
        return Response(status_code=204)


def _fields(key: Key) -> dict[str, object]:
    return {"id": key.id, "name": key.name, "tail": key.tail, "created": key.created}


async def _name(request: Request) -> str:
    """The name in a body, which may be empty."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise Problem(413, f"the body has at most {LARGEST_BODY} bytes", {"Connection": "close"})
    try:
        content = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        content = None
    name = content.get("name", "") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise Problem(400, 'send a JSON object with the string "name", or nothing')
    return name.strip()
