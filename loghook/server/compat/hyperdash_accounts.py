"""What Hyperdash's command line signs up and in with, and our own commands too.

    POST /api/v1/users {"email", "password", "client"}    200 {"user_uuid", "api_key"}
    POST /api/v1/sessions {"email", "password"}           200 {"access_token"}
    DELETE /api/v1/sessions                               204; ends the session whose token is in Authorization
    GET /api/v1/users/api_keys                            200 {"api_keys": [...]}, for a token in Authorization

A failure is another status and {"message"}, which the command line prints. The token comes as it is; "Bearer " before
it does no harm.
"""

from __future__ import annotations

import asyncio
import json
import uuid

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from loghook.server.accounts import Accounts
from loghook.server.answers import Problem, encoded
from loghook.server.compat.hyperdash import refusal
from loghook.server.keys import Keys, TooMany
from loghook.server.sign_in import SignIn

__all__ = ["HyperdashAccounts"]

LARGEST_BODY = 16 * 1024


class HyperdashAccounts:
    """The routes.

    Args:
        accounts: who there is.
        keys: their keys.
        sign_in: the door.
        server: an id of this server, by which it names its users apart from all other servers'.
    """

    def __init__(self, accounts: Accounts, keys: Keys, sign_in: SignIn, server: str) -> None:
        self._accounts = accounts
        self._keys = keys
        self._sign_in = sign_in
        self._server = server

    async def users(self, request: Request) -> Response:
        """POST /api/v1/users: sign up."""
        email, password = await _credentials(request)
        account = await self._sign_in.sign_up(request, email, password)
        keys = await self._readable(account)
        user = uuid.uuid5(uuid.NAMESPACE_URL, f"loghook:{self._server}/{account}")
        return encoded(request, {"user_uuid": str(user), "api_key": keys[0]})

    async def sessions(self, request: Request) -> Response:
        """POST /api/v1/sessions: sign in."""
        email, password = await _credentials(request)
        account = await self._sign_in.sign_in(request, email, password)
        return encoded(request, {"access_token": await asyncio.to_thread(self._accounts.new_session, account)})

    async def end_session(self, request: Request) -> Response:
        """DELETE /api/v1/sessions: sign out."""
        token = _token(request)
        if self._accounts.of_session(token) is None:
            return _signed_out()
        await asyncio.to_thread(self._accounts.end_session, token)
        return Response(status_code=204)

    async def api_keys(self, request: Request) -> Response:
        """GET /api/v1/users/api_keys: the keys that can be read again."""
        account = self._accounts.of_session(_token(request))
        if account is None:
            return _signed_out()
        return encoded(request, {"api_keys": await self._readable(account)})

    async def _readable(self, account: int) -> list[str]:
        try:
            return await asyncio.to_thread(self._keys.readable, account)
        except TooMany as error:
            raise Problem(409, str(error)) from None


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").strip()


def _signed_out() -> Response:
    sentence = "this server does not know the access token, or it has expired; log in again"
    return refusal(401, "unauthorized", sentence, WWW_Authenticate="Bearer")


async def _credentials(request: Request) -> tuple[str, str]:
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                raise Problem(413, f"the body has at most {LARGEST_BODY} bytes", {"Connection": "close"})
    except ClientDisconnect:
        raise Problem(400, "the body broke off") from None
    try:
        content = json.loads(body)
        email, password = content["email"], content["password"]
    except (ValueError, KeyError, TypeError, RecursionError):
        email = password = None
    if not isinstance(email, str) or not isinstance(password, str):
        raise Problem(400, 'send a JSON object with the strings "email" and "password"')
    return email, password
