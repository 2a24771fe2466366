"""The table of routes: everything that this server answers, each with who may ask for it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from itertools import chain
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from loghook.server.access import Access
from loghook.server.answers import JSONAnswer, Problem, problem
from loghook.server.api import API
from loghook.server.care.api import Care
from loghook.server.compat.hyperdash import Hyperdash, speaking
from loghook.server.compat.hyperdash_accounts import HyperdashAccounts
from loghook.server.compat.polyaxon import Polyaxon
from loghook.server.intake import Intake
from loghook.server.keys_api import KeysAPI
from loghook.server.openapi import openapi
from loghook.server.pages import Pages

__all__ = ["PUBLIC", "build", "listed"]

logger = logging.getLogger("loghook.server")

# What nobody needs a key for. A test walks the table and finds every other route closed.
PUBLIC: tuple[str, ...] = ("/healthz", "/sign-in", "/sign-out", "/static/{name}", "/static-{tag}/{name}")
# Here one gets a key with a password, or makes an account where that is allowed.
PUBLIC += ("/api/v1/users", "/api/v1/sessions")


def build(
    access: Access,
    api: API,
    intake: Intake,
    pages: Pages,
    keys: KeysAPI,
    hyperdash: Hyperdash,
    hyperdash_accounts: HyperdashAccounts,
    polyaxon: Polyaxon,
    care: Care,
) -> Starlette:
    """Return the application, without the guard in front of it."""
    run = "/api/v1/runs/{run}"
    routes = [
        Route("/api/v1/sdk/http", speaking(hyperdash.post), methods=["POST"]),
        Route("/api/v1/users", speaking(hyperdash_accounts.users), methods=["POST"]),
        Route("/api/v1/users/api_keys", speaking(hyperdash_accounts.api_keys)),
        Route("/api/v1/sessions", speaking(hyperdash_accounts.sessions), methods=["POST"]),
        Route("/api/v1/sessions", speaking(hyperdash_accounts.end_session), methods=["DELETE"]),
        Route("/api/v1/keys", access.api(keys.listed)),
        Route("/api/v1/keys", access.api(keys.create), methods=["POST"]),
        Route("/api/v1/keys/{id}", access.api(keys.revoke), methods=["DELETE"]),
        Route("/api/v1/runs/{run}/writers/{writer}/events", access.api(intake.post), methods=["POST"]),
        Route("/api/v1/runs", access.api(api.runs)),
        Route("/api/v1/openapi.json", access.api(openapi)),
        Route("/api/v1/overview", access.api(api.overview)),
        Route("/api/v1/projects", access.api(api.projects)),
        Route(run, access.api(api.run)),
        Route(run, access.api(care.delete), methods=["DELETE"]),
        Route(f"{run}/export", access.api(care.export)),
        Route(f"{run}/logs", access.api(api.logs)),
        Route(f"{run}/metrics", access.api(api.metrics)),
        Route(f"{run}/metrics/{{name:path}}", access.api(api.metric)),
        Route(f"{run}/series", access.api(api.series)),
        Route("/", access.page(pages.runs, lambda request: "sign-in")),
        Route("/runs/{run}", access.page(pages.run, sign_in_to_run)),
        Route("/sign-in", pages.sign_in, methods=["GET"]),
        Route("/sign-in", pages.sign_in_by_form, methods=["POST"]),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
        Route("/static/{name}", pages.static),
        Route("/static-{tag}/{name}", pages.static),
        Route("/healthz", healthz),
        *polyaxon.routes(),
    ]

    def answer(request: Request, error: Problem) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
        return pages.error(request, error) if wants_page else problem(error)

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(request, error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = {404: "there is nothing at this address", 405: "this address does not take that method"}
        sentence = said.get(error.status_code, str(error.detail))
        headers = {"Allow": allowed(routes, request)} if error.status_code == 405 else error.headers
        return answer(request, Problem(error.status_code, sentence, headers))

    async def on_database(request: Request, error: Exception) -> Response:
        logger.warning("the database failed to answer: %s", error)
        return answer(request, Problem(503, "the database cannot answer now", {"Retry-After": "5"}))

    async def on_error(request: Request, error: Exception) -> Response:
        logger.error("%s %r failed: %r", request.method, request.url.path, error, exc_info=error)
        return answer(request, Problem(500, "the server failed at this; its log says more"))

    async def on_gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)

    handlers = {
        Problem: on_problem,
        HTTPException: on_http,
        sqlite3.Error: on_database,
        ClientDisconnect: on_gone,
        Exception: on_error,
    }
    application = Starlette(routes=routes, exception_handlers=handlers)
    application.router.redirect_slashes = False
    return application


def listed(application: Starlette) -> tuple[tuple[str, str], ...]:
    """Return the method and the path, with its gaps, of everything that an application answers."""
    found = []
    for route in application.routes:
        assert isinstance(route, Route), "what is no plain route would escape the tests that walk this table"
        found += [(method, route.path) for method in sorted(route.methods or ())]
    return tuple(found)


def sign_in_to_run(request: Request) -> str:
    """Return where to sign in and come back to the page of a run from."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"../sign-in?next={quote('runs/' + request.path_params['run'] + query)}"


def allowed(routes: Iterable[Route], request: Request) -> str:
    """Return the methods of an address, which may have a route for each."""
    found = (route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted(set(chain.from_iterable(found))))


async def healthz(request: Request) -> Response:
    """GET /healthz: says that the server answers, and nothing else."""
    return JSONAnswer(b'{"ok":true}')
