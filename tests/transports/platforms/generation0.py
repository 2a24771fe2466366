"""Polyaxon 0.x's API in memory, strict: unknown fields, a missing slash, a NaN, or an odd order is a violation."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from loghook.testing import Answer, AwkwardServer, Request

__all__ = ["Bench", "Experiment", "FakePolyaxon0"]

PROJECT = re.compile(r"/api/v1/(?P<user>[\w-]+)/(?P<project>[\w-]+)/experiments/")
ENTITY = re.compile(
    r"/api/v1/(?P<user>[\w-]+)/(?P<project>[\w-]+)/(?P<kind>experiments|jobs|builds)/(?P<id>\d+)/(?P<what>\w+/)?"
)
CREATED_AT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC [A-Z]+ -- .*", re.DOTALL)
CREATE = {"name", "tags", "description", "run_env"}
PATCH = {"params", "tags", "run_env", "name", "description", "merge"}
STATUSES = ("running", "succeeded", "failed", "stopped")


@dataclass
class Experiment:
    """What the platform holds of one experiment, job or build."""

    name: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    run_env: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    coderef: dict[str, Any] | None = None
    beats: int = 0


class FakePolyaxon0(AwkwardServer):
    """Takes `tokens`; `ephemeral` is exchanged for the first of them."""

    def __init__(self, token: str = "a-token-for-tests-0001") -> None:
        self.tokens = [token]
        self.ephemeral = "a-short-lived-token"
        self.exchanged = 0
        self.exchange: Answer | None = None
        self.entities: dict[str, Experiment] = {}
        self.violations: list[str] = []
        self.most: int | None = None
        self.lists = True
        super().__init__(self._answer)

    def begin(self, path: str) -> Experiment:
        """An experiment, job or build that the platform has made, by USER/PROJECT/KIND/ID."""
        return self.entities.setdefault(path, Experiment())

    def _answer(self, request: Request) -> Answer:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind == "EphemeralToken" and request.path.endswith("/ephemeraltoken/") and token == self.ephemeral:
            self.exchanged += 1
            return self.exchange or _json(200, {"token": self.tokens[0]})
        if kind != "Token" or token not in self.tokens:
            return _json(401, {"detail": "Invalid token."})
        if self.most is not None and len(request.body) > self.most:
            return Answer(413, {"Content-Type": "text/html"}, b"<h1>413</h1>")
        try:
            return self._api(request)
        except (ValueError, KeyError, TypeError) as error:
            self.violations.append(f"{request.method} {request.target}: {error!r} {request.body[:300]!r}")
            return _json(400, {"detail": str(error)})

    def _api(self, request: Request) -> Answer:
        if b"\\u0000" in request.body:
            raise ValueError("a NUL, which its database does not take")
        if (request.method, request.path) == ("GET", "/api/v1/users/"):
            return _json(200, {"username": "someone"})
        if request.path == "/api/v1/installation":
            return Answer(404, {"Content-Type": "text/html"}, b"<h1>Not Found</h1>")
        if found := PROJECT.fullmatch(request.path):
            return self._experiments(request, f"{found['user']}/{found['project']}/experiments")
        found = ENTITY.fullmatch(request.path)
        if found is None:
            raise ValueError("no such route; a slash at the end?")
        entity = self.entities.get(f"{found['user']}/{found['project']}/{found['kind']}/{found['id']}")
        if entity is None:
            return _json(404, {"detail": "Not found."})
        what = found["what"] or ""
        if found["kind"] != "experiments" and what not in ("statuses/", "logs/", "_heartbeat/"):
            raise ValueError(f"a {found['kind']} has no {what}")
        if (request.method, what) == ("PATCH", ""):
            return self._patch(entity, _body(request, PATCH))
        if request.method != "POST":
            raise ValueError("no such route")
        return self._post(entity, what, request)

    def _experiments(self, request: Request, project: str) -> Answer:
        if request.method == "GET":
            if not self.lists:
                return _json(405, {"detail": "Method not allowed."})
            mine = [(path, one) for path, one in self.entities.items() if path.startswith(f"{project}/")]
            found = [{"id": int(path.rpartition("/")[2]), "name": one.name} for path, one in reversed(mine)]
            return _json(200, {"count": len(found), "next": None, "previous": None, "results": found[:100]})
        content = _body(request, CREATE)
        number = 1 + sum(1 for path in self.entities if path.startswith(f"{project}/"))
        self.entities[f"{project}/{number}"] = Experiment(content["name"], run_env=content["run_env"] or {})
        return _json(201, {"id": number, "name": content["name"]})

    def _patch(self, entity: Experiment, content: dict[str, Any]) -> Answer:
        if "params" in content and content.get("merge") is not True:
            raise ValueError("params that replace")
        entity.params.update(content.get("params", {}))
        entity.run_env.update(content.get("run_env", {}))
        return _json(200, {"name": entity.name})

    def _post(self, entity: Experiment, what: str, request: Request) -> Answer:
        if what == "metrics/":
            points = json.loads(request.body, parse_constant=_no_constant)
            for point in points if isinstance(points, list) else [points]:
                self._check(point)
            entity.metrics.extend(points)
        elif what == "logs/":
            lines = json.loads(request.body)
            if not isinstance(lines, list) or not all(isinstance(line, str) and LINE.fullmatch(line) for line in lines):
                raise ValueError("not lines of a log")
            entity.logs.extend(lines)
        elif what == "statuses/":
            content = _body(request, {"status", "message", "traceback"})
            if content["status"] not in STATUSES:
                raise ValueError("not a status")
            entity.statuses.append(content)
        elif what == "coderef/":
            entity.coderef = _body(request, {"commit", "head", "branch", "git_url", "is_dirty"})
        elif what == "_heartbeat/" and not request.body:
            entity.beats += 1
            return Answer(200)
        else:
            raise ValueError("no such route")
        return _json(201, {})

    def _check(self, point: dict[str, Any]) -> None:
        if set(point) != {"values", "created_at"} or not point["values"]:
            raise ValueError(f"not a metric: {point}")
        if not CREATED_AT.fullmatch(point["created_at"]):
            raise ValueError(f"not a time: {point['created_at']}")
        for value in point["values"].values():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"not a number: {point}")


def _body(request: Request, known: set[str]) -> dict[str, Any]:
    if request.headers.get("content-type") != "application/json":
        raise ValueError("no JSON")
    content = json.loads(request.body, parse_constant=_no_constant)
    if not set(content) <= known:
        raise ValueError(f"unknown: {set(content) - known}")
    return dict(content)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json(status: int, content: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


class Bench:
    """A project of Polyaxon 0.x."""

    exactly_once: ClassVar[bool] = False
    needs_key: ClassVar[bool] = True
    nul: ClassVar[str] = "\u2400"

    def __init__(self) -> None:
        self.server = FakePolyaxon0()
        self.url = f"polyaxon0+{self.server.url}/someone/digits"
        self.key = self.server.tokens[0]

    def messages(self) -> list[str]:
        """The lines of all logs after the level."""
        return [line.partition(" -- ")[2] for one in self.server.entities.values() for line in one.logs]

    def values(self, name: str) -> list[float]:
        """The values of a metric."""
        points = [point["values"] for one in self.server.entities.values() for point in one.metrics]
        return [values[name] for values in points if name in values]

    def violations(self) -> list[str]:
        """What the fake noted."""
        return self.server.violations + self.server.errors

    def rotate(self, key: str) -> None:
        """Takes one other token."""
        self.server.tokens[:] = [key]

    def too_large(self) -> None:
        """Bounds the body."""
        self.server.most = 10_000

    def close(self) -> None:
        """Ends the server."""
        self.server.close()
