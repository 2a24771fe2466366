"""Who is asking: a key in the Authorization header, or a session in a cookie.

Every route but the public ones asks here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from loghook.server.accounts import SESSION_SECONDS, Accounts
from loghook.server.answers import Problem

__all__ = ["Access"]

Handler = Callable[[Request], Awaitable[Response]]
Private = Callable[[Request, int], Awaitable[Response]]

SCHEMES = ("bearer", "token")
"""How a key may be given; "Token" is how Polyaxon's clients give it."""


class Access:
    """Tells accounts apart.

    Args:
        accounts: the accounts.
        cookie: name of the cookie; of this server's own, because cookies of all ports of a host share one jar.
    """

    def __init__(self, accounts: Accounts, cookie: str) -> None:
        self.accounts = accounts
        self.cookie = cookie

    def account(self, request: Request, also: str = "") -> int | None:
        """Return the number of the account that asks; None for an unknown key, and for nobody.

        `also` is one more scheme, in lower case, by which this request may give a key.
        """
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, key = header.partition(" ")
            key = key.strip() if scheme.lower() in (*SCHEMES, also) else ""
            # The token of a session serves as well: commands have one when they sign in for a key.
            return (self.accounts.of_key(key) or self.accounts.of_session(key)) if key else None
        token = request.cookies.get(self.cookie)
        return self.accounts.of_session(token) if token else None

    def api(self, handler: Private, also: str = "") -> Handler:
        """A route of the API, for accounts only: 401 to others. `also` as for `account`."""

        async def guarded(request: Request) -> Response:
            account = self.account(request, also)
            if account is None:
                what = "this key is not known here" if "authorization" in request.headers else "no key was sent"
                sentence = f"{what}; send an API key of this server as 'Authorization: Bearer KEY'"
                raise Problem(401, sentence, {"WWW-Authenticate": "Bearer"})
            return await handler(request, account)

        return guarded

    def page(self, handler: Private, sign_in: Callable[[Request], str]) -> Handler:
        """A page, for accounts only: others are led to the page at the relative URL that `sign_in` returns."""

        async def guarded(request: Request) -> Response:
            account = self.account(request)
            if account is None:
                return RedirectResponse(sign_in(request), 303, {"Cache-Control": "no-store"})
            return await handler(request, account)

        return guarded

    def begin(self, request: Request, response: Response, account: int, key: str | None = None) -> None:
        """Begin a session of an account, with a key perhaps, and set its cookie. Raises Revoked.

        Blocks for a commit: call it on a thread.
        """
        # Lax: a link that leads here from another site finds one signed in; a request that changes something and comes
        # from another site carries no cookie.
        response.set_cookie(
            self.cookie,
            self.accounts.new_session(account, key),
            max_age=int(SESSION_SECONDS),
            httponly=True,
            samesite="lax",
            secure=_is_secure(request),
        )

    def end(self, request: Request, response: Response) -> None:
        """End the session of a request and clear its cookie. Blocks for a commit: call it on a thread."""
        token = request.cookies.get(self.cookie)
        if token:
            self.accounts.end_session(token)
        response.delete_cookie(self.cookie, httponly=True, samesite="lax")


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS: with this server, or with something before it, which anybody may say.

    Who says so without cause keeps their own cookie from themselves.
    """
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").strip().lower())
