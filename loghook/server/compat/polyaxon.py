"""Polyaxon's clients of the 0.x servers, polyaxon-helper 0.0.9 and polyaxon-client 0.5 and 0.6, answered unchanged.

    GET   users/                                  who the key belongs to
    POST  USER/PROJECT/experiments/               a new experiment; jobs/ and builds/ likewise
    GET, PATCH  USER/PROJECT/experiments/ID/      it
    POST  .../ID/metrics, logs, statuses, coderef, _heartbeat, ephemeraltoken

All lie below /api/v1. The helper sends no slash at the end and the client does, so both are answered. What is posted
becomes events of one writer (`polyaxon_messages`), whose offset is counted here, because these clients repeat nothing.

A token is a key of this server, as `Authorization: Token KEY`. In a job of a real platform the client begins by giving
its short-lived token (`Authorization: EphemeralToken T`) for a longer one, which it keeps in a file below /tmp. This
server makes no tokens of either kind: a T that is one of its keys is answered with that same key, so that nobody gets
what they did not have; any other T is refused, and the client goes on with its user token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loghook.server.access import Access
from loghook.server.answers import JSONAnswer, Problem, encoded
from loghook.server.compat import polyaxon_messages as messages
from loghook.server.compat.lines import lines
from loghook.server.compat.polyaxon_answers import entity, posted
from loghook.server.compat.polyaxon_names import FIRST_OWN, KINDS, Address, group_in, slug
from loghook.server.ingest import Ingest, TooLarge
from loghook.server.intake import Intake
from loghook.server.store import Closed, Store, views
from loghook.server.store.numbers import next_number

__all__ = ["SOURCE", "Polyaxon"]

SOURCE = "polyaxon"
"""What runs that come this way have as their source, and the id of the one writer that each has here."""
MADE = 201

Event = dict[str, Any]
Convert = Callable[[Any, float], Iterable[Event]]
Work = Callable[[int, Address, Any, float], Event]
Private = Callable[[Request, int], Awaitable[Response]]


class Polyaxon:
    """The routes that answer Polyaxon's clients.

    Args:
        access: whose keys are known.
        store: what is read, and where numbers are given out.
        ingest: where events go.
        intake: reads bodies, and bounds how many at once.
        clock: epoch seconds.
    """

    def __init__(
        self, access: Access, store: Store, ingest: Ingest, intake: Intake, clock: Callable[[], float] = time.time
    ) -> None:
        self._access = access
        self._store = store
        self._ingest = ingest
        self._intake = intake
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes, each with and without a slash at the end, for accounts only."""
        # Without the slash, a POST makes an account: another protocol's.
        found = [Route("/api/v1/users/", self._access.api(self.user))]
        for kind in KINDS:
            every = f"/api/v1/{{user}}/{{project}}/{kind}"
            one = f"{every}/{{id}}"
            table: list[tuple[str, str, Private]] = [
                (every, "POST", self._with_body(kind, self._create, MADE)),
                (one, "GET", self._reading(kind)),
                (one, "PATCH", self._with_body(kind, self._patch)),
                (f"{one}/metrics", "POST", self._with_body(kind, self._taking(messages.metrics), MADE)),
                (f"{one}/logs", "POST", self._with_body(kind, self._taking(messages.logs), MADE)),
                (f"{one}/statuses", "POST", self._with_body(kind, self._taking(messages.status), MADE)),
                (f"{one}/coderef", "POST", self._with_body(kind, self._taking(messages.coderef), MADE)),
                (f"{one}/_heartbeat", "POST", self._with_body(kind, self._taking(messages.heartbeat))),
            ]
            routes = [(path, method, self._access.api(handler)) for path, method, handler in table]
            routes.append((f"{one}/ephemeraltoken", "POST", self._access.api(self.exchange, "ephemeraltoken")))
            for path, method, handler in routes:
                found += [Route(path + slash, handler, methods=[method]) for slash in ("", "/")]
        return found

    async def user(self, request: Request, account: int) -> Response:
        """GET /api/v1/users/: whose the key is; the name is one that can stand in a path."""
        name = await asyncio.to_thread(self._access.accounts.name_of, account)
        return encoded(request, {"username": slug(name), "email": None, "is_superuser": False})

    async def exchange(self, request: Request, account: int) -> Response:
        """POST .../ephemeraltoken: the key that was sent, which access has looked at."""
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        if not token:
            raise Problem(401, "the token to exchange is missing: it goes into the Authorization header")
        return encoded(request, {"token": token})

    def _reading(self, kind: str) -> Private:
        async def read(request: Request, account: int) -> Response:
            return encoded(request, await asyncio.to_thread(self._entity, account, addressed(request, kind)))

        return read

    def _with_body(self, kind: str, work: Work, status: int = 200) -> Private:
        """A handler that answers with what `work` makes of a body on a thread of the intake."""

        async def handler(request: Request, account: int) -> Response:
            address = addressed(request, kind)

            def take(body: bytes) -> bytes:
                try:
                    said = messages.content(body, request.headers.get("content-type", ""))
                    return lines([work(account, address, said, self._clock())])
                except TooLarge as error:
                    raise Problem(413, str(error)) from None
                except ValueError as error:
                    raise Problem(400, str(error)) from None
                except Closed:
                    raise Problem(503, "this server is stopping", {"Retry-After": "5"}) from None

            return JSONAnswer(await self._intake.take(request, account, take), status)

        return handler

    def _create(self, account: int, address: Address, said: Any, now: float) -> Event:
        events = list(messages.described(said, now))
        number = self._store.writer.run(lambda connection: next_number(connection, account, SOURCE, FIRST_OWN))
        address = replace(address, number=str(number))
        group = group_of(address, said)
        about = {"name": address.name(group), "group": group}
        self._put(account, address, [{"time": now, "event": "described", "run": about}, *events], now)
        return self._entity(account, address)

    def _patch(self, account: int, address: Address, said: Any, now: float) -> Event:
        self._look_for(account, address)
        events = list(messages.described(said, now))
        group = group_of(address, said)
        if group:
            events.append({"time": now, "event": "described", "run": {"group": group}})
        self._put(account, address, events, now)
        return self._entity(account, address)

    def _taking(self, convert: Convert) -> Work:
        def take(account: int, address: Address, said: Any, now: float) -> Event:
            self._look_for(account, address)
            self._put(account, address, list(convert(said, now)), now)
            return posted(address, said, now)

        return take

    def _put(self, account: int, address: Address, events: list[Event], now: float) -> None:
        """Stores events of a run; the run's project is told each time, because any of them may be its first."""
        about = {"time": now, "event": "described", "run": {"project": address.project_name}}
        body = lines([about, *events])
        self._ingest.append(account, address.run, SOURCE, body, digest=None, source=SOURCE, time=now)

    def _look_for(self, account: int, address: Address) -> None:
        """Raises Problem where a number that only this server gives is none of the account's."""
        if address.is_own:
            self._entity(account, address)

    def _entity(self, account: int, address: Address) -> Event:
        with self._store.reading() as connection:
            run = views.run_details(connection, account, address.run, self._clock())
        if run is None:
            raise Problem(404, f"there is no {address.kind[:-1]} with this number")
        return entity(address, run)


def addressed(request: Request, kind: str) -> Address:
    """Return what a request is about; without a number where it is about all of a kind."""
    path = request.path_params
    return Address(path["user"], path["project"], kind, path.get("id", ""))


def group_of(address: Address, said: Any) -> str:
    """Return the group that a creation or a PATCH names, "" where it names none."""
    given = said if isinstance(said, dict) else {}
    named = given.get("experiment_group")
    return str(named) if isinstance(named, int | str) else group_in(given.get("name"), address.user, address.project)
