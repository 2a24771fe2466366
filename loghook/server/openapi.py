"""The description of this server's own API, as OpenAPI 3.1: GET /api/v1/openapi.json.

A test holds it against the table of routes both ways, and against what the routes answer. The protocols of other
programs (`OTHERS`) and the pages are described where they come from, and not here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from loghook._version import __version__
from loghook.server.answers import JSONAnswer
from loghook.server.openapi_schemas import SCHEMAS
from loghook.server.store import views

__all__ = ["OTHERS", "document", "openapi"]

OTHERS = (
    # Hyperdash's SDK and command line.
    *("/api/v1/sdk/", "/api/v1/users", "/api/v1/sessions"),
    # Polyaxon's clients.
    "/api/v1/{user}/{project}/",
    # What a browser opens.
    *("/runs/{run}", "/sign-in", "/sign-out", "/static"),
)
"""How the paths begin of what is not described; the list of runs at "/" is not either."""

Json = dict[str, Any]

# Schemas of parameters are as narrow as the checks are.
TEXT: Json = {"type": "string", "maxLength": 1000}
RANK: Json = {"anyOf": [{"enum": ["none", "lowest"]}, {"type": "integer", "minimum": 0, "maximum": 2**53}]}
CURSOR: Json = {"type": "string", "pattern": f"^({views.CURSOR.pattern})?$"}


def _whole(low: int, high: int, default: int | None = None) -> Json:
    schema: Json = {"type": "integer", "minimum": low, "maximum": high}
    return schema if default is None else {**schema, "default": default}


def _query(name: str, schema: Json, what: str, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": what}


def _or_empty(name: str, schema: Json, what: str) -> Json:
    """A parameter of the query that may be given empty, as forms do, and then counts as not given."""
    return _query(name, {"anyOf": [schema, {"const": ""}]}, what)


def _path(name: str, schema: Json, what: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": what}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


RUN = _path("run", {"type": "string"}, "The run's id, or at least eight characters that no other's begins with.")
RUN_MADE = _path("run", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}, "The run's id.")
WRITER = _path("writer", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}, "The writer's id.")
METRIC = _path("name", {"type": "string"}, "The metric's name; slashes may stand in it as they are.")
LIMIT = _or_empty("limit", _whole(1, 1000), "How many at most.")
BEFORE = _query("before", CURSOR, "What an earlier answer gave as next: the page behind it.")
TEXT_IN_NAME = _query("q", TEXT, "A text in name or id.")
ONE_RANK = _or_empty("rank", RANK, "Of one rank: its number, none (writers that told of none), lowest.")
POINTS = _or_empty("max_points", _whole(0, 100_000, 1000), "To how many points it is thinned; 0 for all.")
SERIES_POINTS = _or_empty("max_points", _whole(1, 100_000, 1000), "To how many points each is thinned.")


def _answer(what: str, schema: Json | None = None, *, kind: str = "application/json") -> Json:
    return {"description": what, **({} if schema is None else {"content": {kind: {"schema": schema}}})}


def _problem(what: str, schema: str = "Problem") -> Json:
    return _answer(what, _ref(schema))


COMMON = {
    "401": _problem("No key was sent, or none that is known."),
    "403": _problem("The host name, or the page that asks, is none of this server's."),
    "429": _problem("Too much at once; Retry-After says when to come again."),
    "431": _problem("The head of the request is too long."),
    "503": _problem("It cannot be done now; Retry-After says when to come again."),
}
WRONG = {"400": _problem("A parameter or the body is wrong.")}
MISSING = {"404": _problem("There is no such thing in this account.")}


def _operation(id: str, what: str, answers: Json, parameters: list[Json] | None = None, **more: Any) -> Json:
    found: Json = {"operationId": id, "summary": what, "responses": {**answers, **COMMON}}
    if parameters:
        found["parameters"] = parameters
    return {**found, **more}


def _body(kind: str, schema: Json, *, required: bool) -> Json:
    return {"required": required, "content": {kind: {"schema": schema}}}


def _run_paths() -> Json:
    details = _answer("The run.", _ref("RunDetails"))
    deleted = _answer("It is gone.", _ref("Deleted"))
    force = _query("force", {"enum": ["true", "false"]}, "Also a run that goes on.")
    goes_on = {"409": _problem("The run goes on.")}
    lines = [
        _or_empty("after", _whole(0, 2**53), "Lines with an id above this, upwards."),
        _or_empty("before", _whole(0, 2**53), "Lines with an id below this, the last ones."),
        _or_empty("limit", _whole(1, 5000, 200), "How many at most."),
        _query("level", {"type": "string"}, "From this level on, by name or number."),
        _query("logger", TEXT, "Of this logger and those below it."),
        _query("q", TEXT, "A text in message or exception."),
    ]
    several = [
        _query("name", {"type": "array", "items": {"type": "string"}, "maxItems": 500}, "A metric; may be repeated."),
        SERIES_POINTS,
        _or_empty("from", {"type": "number"}, "From this step on."),
        _or_empty("to", {"type": "number"}, "Up to this step."),
        ONE_RANK,
        _or_empty("by", {"enum": ["rank"]}, "Each rank's points for themselves."),
    ]
    export = {
        "description": "The run, line by line; the last line counts what came.",
        "content": {"application/x-ndjson": {"schema": {}}, "text/csv": {"schema": {}}},
    }
    form = _query("format", {"enum": ["ndjson", "csv"], "default": "ndjson"}, "An object on each line, or a table.")
    return {
        "": {
            "get": _operation("run", "All of a run but logs and metrics", {"200": details, **MISSING}, [RUN]),
            "delete": _operation(
                "deleteRun", "Delete a run for good", {"200": deleted, **WRONG, **MISSING, **goes_on}, [RUN, force]
            ),
        },
        "/export": {
            "get": _operation("export", "A run with everything in it", {"200": export, **WRONG, **MISSING}, [RUN, form])
        },
        "/logs": {
            "get": _operation(
                "logs",
                "A page of log lines, in their order",
                {"200": _answer("The lines.", _ref("Logs")), **WRONG, **MISSING},
                [RUN, *lines],
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics",
                "The totals of each metric",
                {"200": _answer("The metrics, by name.", _ref("Metrics")), **WRONG, **MISSING},
                [RUN, _query("q", TEXT, "A text in the name."), ONE_RANK],
            )
        },
        "/metrics/{name}": {
            "get": _operation(
                "metric",
                "The points of one metric",
                {"200": _answer("Its points, by step.", _ref("Points")), **WRONG, **MISSING},
                [RUN, METRIC, POINTS, ONE_RANK],
            )
        },
        "/series": {
            "get": _operation(
                "series",
                "The points of several metrics",
                {"200": _answer("By name; what there is not is left out.", _ref("Series")), **WRONG, **MISSING},
                [RUN, *several],
            )
        },
    }


def _events() -> Json:
    offset = _whole(0, 10**18 - 1)
    return _operation(
        "events",
        "Take a batch of events, exactly once",
        {
            "200": _answer("Everything below the offset is stored.", _ref("Taken")),
            **WRONG,
            "408": _problem("The body did not come in time."),
            "409": _problem("A gap: the batch that begins at this offset was expected.", "Gap"),
            "413": _problem("Too much for one batch.", "TooLarge"),
            "415": _problem("The Content-Encoding is neither gzip nor identity."),
        },
        [
            RUN_MADE,
            WRITER,
            _query("offset", offset, "Where the body begins in the writer's log, in bytes.", required=True),
            _query("first", offset, "The oldest byte that the writer still has."),
        ],
        requestBody=_body(
            "application/x-ndjson",
            {"description": "Whole lines, a JSON object each. Lines that cannot be stored are set aside."},
            required=False,
        ),
    )


def _key_paths() -> Json:
    number = _path("id", {"type": "string"}, "The key's number, as the list has it.")
    name = {"type": "object", "properties": {"name": {"type": "string"}}}
    made = {"201": _answer("The only answer that ever has the key.", _ref("NewKey")), **WRONG}
    made |= {"409": _problem("The account has as many keys as it may."), "413": _problem("The body is too large.")}
    return {
        "/api/v1/keys": {
            "get": _operation("keys", "The account's keys", {"200": _answer("The keys.", _ref("Keys"))}),
            "post": _operation(
                "createKey", "Make a key", made, requestBody=_body("application/json", name, required=False)
            ),
        },
        "/api/v1/keys/{id}": {
            "delete": _operation(
                "revokeKey", "Revoke a key", {"204": _answer("It opens nothing any more."), **MISSING}, [number]
            )
        },
    }


def _listing_paths() -> Json:
    project = _query("project", TEXT, "Only runs of this project.")
    without = _or_empty("without", {"enum": ["project"]}, "Only runs that are in no project.")
    grouped = _or_empty("by", {"enum": ["project"]}, "In groups, by project.")
    page = [LIMIT, BEFORE, TEXT_IN_NAME, project]
    return {
        "/api/v1/runs": {
            "get": _operation(
                "runs", "The runs, newest first", {"200": _answer("A page of runs.", _ref("Runs")), **WRONG}, page
            )
        },
        "/api/v1/overview": {
            "get": _operation(
                "overview",
                "The runs with their main metrics",
                {"200": _answer("A page of runs, or of groups of them.", _ref("Overview")), **WRONG},
                [*page, without, grouped],
            )
        },
        "/api/v1/projects": {
            "get": _operation(
                "projects", "The projects that runs are in", {"200": _answer("Projects.", _ref("Projects"))}
            )
        },
        "/api/v1/openapi.json": {
            "get": _operation("openapi", "This description", {"200": _answer("OpenAPI 3.1.", {"type": "object"})})
        },
    }


@cache
def document() -> Json:
    """Return the description, as OpenAPI has it."""
    run = "/api/v1/runs/{run}"
    health = _answer("It answers.", {"type": "object", "required": ["ok"], "properties": {"ok": {"const": True}}})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "loghook",
            "version": __version__,
            "description": "Times are epoch seconds. NaN and the infinities are the strings NaN, Infinity, -Infinity.",
        },
        "servers": [{"url": "../.."}],
        "security": [{"key": []}],
        "paths": {
            **_listing_paths(),
            **{f"{run}{path}": item for path, item in _run_paths().items()},
            f"{run}/writers/{{writer}}/events": {"post": _events()},
            **_key_paths(),
            "/healthz": {"get": {**_operation("healthz", "A sign of health", {"200": health}), "security": []}},
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


async def openapi(request: Request, account: int) -> Response:
    """GET /api/v1/openapi.json."""
    return JSONAnswer(orjson.dumps(document()))
