"""The API's description is valid, says of each route what it takes and answers, and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loghook.server import Server
from loghook.server.openapi import OTHERS, document

from .test_security import routes

NOW = 1_763_740_000.0


def described() -> set[tuple[str, str]]:
    """Return every method and path that the description has."""
    return {(method.upper(), path) for path, item in document()["paths"].items() for method in item}


def plain(path: str) -> str:
    """Return a path of the table as the description writes it."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def test_each_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    """The description has the table's routes, but for HEAD, the pages and other programs' protocols; and no more."""
    table = {(method, plain(path)) for method, path in routes(tmp_path) if method != "HEAD"}
    ours = {(method, path) for method, path in table if path != "/" and not path.startswith(OTHERS)}
    assert described() == ours
    for other in OTHERS:
        assert any(path.startswith(other) for _, path in table), f"no route begins with {other}"


def test_it_is_valid() -> None:
    """The description is OpenAPI 3.1."""
    validator = pytest.importorskip("openapi_spec_validator", reason="it is in the extra fuzz")
    validator.validate(document())


def test_it_is_served_to_accounts_alone(server: Server, client: Any, as_client: Callable[..., Any]) -> None:
    """GET /api/v1/openapi.json answers it, to whoever has a key."""
    assert client.read("/openapi.json") == document()
    assert as_client(server, "").get("/openapi.json").status_code == 401


def check(method: str, path: str, answer: Any) -> None:
    """Check that an answer is one that the description has for its route and status."""
    operation = document()["paths"][path][method.lower()]
    assert str(answer.status_code) in operation["responses"], f"{method} {path} answers {answer.status_code}"
    content = operation["responses"][str(answer.status_code)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert kind in content or not answer.content, f"{method} {path} answers {kind}"
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": document()["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())


EVENTS: list[dict[str, Any]] = [
    {"time": NOW, "event": "writer_started", "writer": {"pid": 1, "host": "h", "rank": 1}},
    {
        "time": NOW,
        "event": "run_started",
        "run": {"name": "n", "project": "p", "group": "g", "description": "d", "tags": ["t"], "params": {"a": [1]}}
        | {"argv": ["a"], "git": {"commit": "c"}, "pid": 1, "host": "h", "rank": 0, "python": "3"},
    },
    {"time": NOW, "event": "internal", "internal": {"metrics": ["hidden"], "params": ["a"]}},
    {"time": NOW, "event": "dropped", "dropped": {"limit": 2}},
    {"time": NOW, "message": "m", "metrics": {"x": 1.5, "y": "NaN", "z": "-Infinity", "hidden": 1, "no": "text"}},
    {"time": NOW, "message": "m", "exception": "E", "stack": "S", "stream": "stdout", "thread": "t", "file": "f:1"}
    | {"step": 1.5, "metrics": {"x": 2}, "extra": {"e": 1}, "odd": [2]},
    {"time": NOW, "event": "run_ended", "status": "failure", "exception": "E", "reason": "R"},
]


def test_what_routes_answer_is_as_described(client: Any) -> None:
    """Every answer of every route, for a full run, an empty one, and wrong requests, is one of those described."""
    events = "/api/v1/runs/{run}/writers/{writer}/events"
    check("POST", events, client.post(EVENTS, run="full"))
    check("POST", events, client.post(EVENTS[4:5], run="full", writer="w2"))
    check("POST", events, client.post(b"no json\n", run="bare"))
    check("POST", events, client.post(b"", 10, run="bare"))
    check("POST", events, client.post(b"no end", run="bare", writer="w3"))
    check("POST", events, client.post(b"\n", run="bare", writer="w4", headers={"Content-Encoding": "br"}))
    check("POST", events, client.post(bytes(16 * 1024 * 1024 + 1), run="bare", writer="w5"))
    for path in document()["paths"]:
        if "get" not in document()["paths"][path] or path == "/healthz":
            continue
        for run, name in (("full", "x"), ("full", "z"), ("bare", "none"), ("none", "x")):
            short = path.removeprefix("/api/v1").replace("{run}", run).replace("{name}", name)
            for query in QUERIES:
                check("GET", path, client.get(short, **query))
    headers = {"Authorization": f"Bearer {client.key}"}
    keys = f"{client.url}/api/v1/keys"
    bodies: tuple[object, ...] = ({"name": "a"}, {"name": 1}, [], {"name": "x" * 5000})
    for body in bodies:
        check("POST", "/api/v1/keys", client.session.post(keys, json=body, headers=headers, timeout=60))
    for number in ("2", "99", "x"):
        check("DELETE", "/api/v1/keys/{id}", client.session.delete(f"{keys}/{number}", headers=headers, timeout=60))
    for run in ("full", "full", "none"):
        answer = client.session.delete(f"{client.url}/api/v1/runs/{run}", headers=headers, timeout=60)
        check("DELETE", "/api/v1/runs/{run}", answer)
    check("GET", "/healthz", client.session.get(f"{client.url}/healthz", timeout=60))
    check("GET", "/api/v1/runs", client.session.get(f"{client.url}/api/v1/runs", timeout=60))


QUERIES: tuple[dict[str, Any], ...] = (
    {},
    {"by": "project"},
    {"by": "rank", "name": ["x", "y"], "from": 0},
    {"name": ["x", "y", "z", "none"], "to": 1, "rank": "lowest"},
    {"limit": "no", "max_points": "no", "by": "no", "format": "no", "q": "x" * 2000},
    {"without": "project", "limit": 1},
    {"format": "csv", "after": 1},
    {"before": "x"},
)


def test_each_parameter_is_checked_whatever_stands_beside_it(client: Any) -> None:
    """A parameter that is wrong is refused also where another one makes it matter no more."""
    assert client.get("/overview", without="project", project="x" * 1001).status_code == 400
    assert client.get("/overview", by="project", project="x" * 1001).status_code == 400
