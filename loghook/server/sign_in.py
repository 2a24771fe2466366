"""Signing in with email and password, and signing up: the one door for the pages, the commands and other protocols.

Each try is slowed down by account and by address, and costs as much for an account that does not exist. Few passwords
are checked at once, because each check takes memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TypeVar

from starlette.requests import Request

from loghook.server import passwords
from loghook.server.accounts import Accounts, Taken
from loghook.server.answers import Problem
from loghook.server.brake import Brake

__all__ = ["SignIn", "email_of"]

T = TypeVar("T")

EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
LONGEST_EMAIL = 254
AT_ONCE = 2
WAITING = 32
"""Checks that may wait for their turn."""
FREE_FOR_ACCOUNT, FREE_FOR_ADDRESS = 5, 20
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
WRONG = "the email or the password is wrong"


class SignIn:
    """The door. `close` it at the end.

    Args:
        accounts: who there is.
        open_to: tells whether an address may sign up.
        clock: seconds, monotonic.
    """

    def __init__(
        self, accounts: Accounts, open_to: Callable[[str], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._accounts = accounts
        self._open_to = open_to
        self._by_account = Brake(FREE_FOR_ACCOUNT, clock)
        self._by_address = Brake(FREE_FOR_ADDRESS, clock)
        self._pool = ThreadPoolExecutor(AT_ONCE, "loghook-password")
        self._waiting = 0
        self._nobody = ""

    async def sign_in(self, request: Request, email: str, password: str) -> int:
        """Return the account with this email and password. Raises Problem: 401, 429."""
        name, address = email_of(email), _address(request)
        self._slow_down((self._by_account, name), (self._by_address, address))
        account = await self._run(lambda: self._checked(name, password))
        if account is None:
            raise Problem(401, WRONG)
        self._by_account.succeeded(name, all_of_it=True)
        self._by_address.succeeded(address, all_of_it=False)
        return account

    async def sign_up(self, request: Request, email: str, password: str) -> int:
        """Make an account and return it. Raises Problem: 400 (unfit), 403 (not here), 409 (taken), 429."""
        address = _address(request)
        # What a proxy on this machine passes on comes from anywhere, whatever address the proxy has itself.
        is_direct = not any(name in request.headers for name in FORWARDED)
        if not self._open_to(address if is_direct else ""):
            raise Problem(403, "this server makes no new accounts; whoever runs it can allow it with --sign-up")
        name = email_of(email)
        if len(name) > LONGEST_EMAIL or not EMAIL.fullmatch(name):
            raise Problem(400, "this is no email address")
        if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
            raise Problem(400, f"a password has {passwords.SHORTEST} to {passwords.LONGEST} characters")
        # Not taken back when it succeeds: so many accounts are as bad as so many guesses.
        self._slow_down((self._by_address, address))
        try:
            return await self._run(lambda: self._accounts.sign_up(name, passwords.hashed(password)))
        except Taken:
            raise Problem(409, "there is an account with this email already; sign in instead") from None

    def close(self) -> None:
        """Wait for the checks under way."""
        self._pool.shutdown()

    def _checked(self, name: str, password: str) -> int | None:
        account, kept = self._accounts.password_of(name) or (None, self._nobody)
        if not kept:
            kept = self._nobody = passwords.nobody()
        return account if passwords.matches(password[: passwords.LONGEST + 1], kept) else None

    def _slow_down(self, *brakes: tuple[Brake, str]) -> None:
        wait = max(brake.wait(name) for brake, name in brakes)
        if wait > 0:
            seconds = ceil(wait)
            sentence = f"too many tries; the next one is possible in {seconds} s"
            raise Problem(429, sentence, {"Retry-After": str(seconds)})
        for brake, name in brakes:
            brake.failed(name)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Problem(429, "this server is busy; try again in a few seconds", {"Retry-After": "5"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def email_of(text: str) -> str:
    """Return an email as accounts are named by it: without white space around, in lower case."""
    return text.strip().casefold()


def _address(request: Request) -> str:
    """Where a request comes from; of IPv6 the network, because one machine has very many addresses of it."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)  # as a socket for both kinds tells it
    if address.version == 6 and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
