"""Every route, walked: closed to strangers, to other accounts, to other sites, and robust against odd parameters.

The table is the one of the running server, so a route that is added is attacked, too.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any
from urllib.parse import quote

import pytest

from loghook.server.app import PUBLIC

pytestmark = pytest.mark.slow

GAP = re.compile(r"\{(\w+)(?::path)?\}")
RUN_GAPS = ("run", "id")
SAFE = ("GET", "HEAD")
KINDS = ("text/plain", "application/x-www-form-urlencoded", "application/json")
"""Types that a form or a script of another site may give, the last one only where it was allowed to."""
POLYAXON = "/api/v1/{user}/{project}/"
OWN = "1000001"
"""A number that the server gives to an experiment that a Polyaxon client creates."""


def filled(path: str, **words: str) -> str:
    """Return a path of the table with words in its gaps; "run" where none is given."""
    return GAP.sub(lambda gap: quote(words.get(gap[1], "run"), safe=""), path)


def closed(victim: Any) -> list[tuple[str, str]]:
    """Return the routes that nobody may use without a key or a session."""
    found = [(method, path) for method, path in victim.routes if path not in PUBLIC]
    assert len(found) > 50
    return found


@pytest.fixture(scope="module")
def scene(victim: Any) -> dict[str, str]:
    """A run with everything in it, an experiment of a Polyaxon client, and another account's key."""
    now = 1_763_740_000.0
    about = {"name": "secret-name", "params": {"secret-param": 1}, "host": "secret-host", "tags": ["secret-tag"]}
    victim.send(
        "hidden-run-1",
        {"time": now, "event": "run_started", "run": about},
        {"time": now, "level": "INFO", "message": "secret-message", "metrics": {"secret-metric": 1.5}},
        {"time": now, "event": "run_ended", "status": "failure", "exception": "secret-exception"},
    )
    body = json.dumps({"name": "secret-name"}).encode()
    headers = {"Content-Type": "application/json"}
    made = victim.ask("POST", "/api/v1/u/p/experiments", key=victim.key, body=body, headers=headers)
    assert made.json()["id"] == int(OWN)
    return {"key": victim.sign_up("mallory@example.org")}


def test_strangers(victim: Any, scene: dict[str, str]) -> None:
    """Without a key or a session nothing answers but signing in and static files, whatever is sent as a key."""
    cookie = victim.sign_in().partition("=")[0]
    strange: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer lh_" + "A" * 43},
        {"Authorization": f"Basic {victim.key}"},
        {"Authorization": "Bearer ' OR 1=1 --"},
        {"Cookie": f"{cookie}=x"},
        {"Cookie": f"{cookie}={victim.key}"},
        {"X-Hyperdash-Auth": "lh_" + "A" * 43},
    ]
    for method, path in closed(victim):
        for headers in strange:
            answer = victim.ask(method, filled(path, run="hidden-run-1"), headers=headers)
            where = (method, path, headers, answer)
            if path in ("/", "/runs/{run}"):
                assert answer.status == 303, where
                assert "sign-in" in answer.headers["location"], where
            else:
                assert answer.status in (401, 403), where
            assert b"secret" not in answer.body, where


def test_public(victim: Any, scene: dict[str, str]) -> None:
    """What is public tells nothing of what is stored."""
    assert set(PUBLIC) <= {path for _, path in victim.routes}
    for method, path in victim.routes:
        if path in PUBLIC:
            assert b"secret" not in victim.ask(method, filled(path)).body


def test_another_accounts_run(victim: Any, scene: dict[str, str]) -> None:
    """Every route that names a run answers for another account's as for one that does not exist, in every word."""
    events = json.dumps({"time": 1.0, "level": "INFO", "message": "hello"}).encode() + b"\n"
    walked = 0
    for method, path in victim.routes:
        gaps = GAP.findall(path)
        if path in PUBLIC or ("run" not in gaps and not ("id" in gaps and path.startswith(POLYAXON))):
            continue
        walked += 1
        words = {"user": "u", "project": "p", "name": "secret-metric"}
        # Of equal length, and both of the kind that only this server gives.
        theirs = filled(path, run="hidden-run-1", id=OWN, **words)
        nowhere = filled(path, run="hidden-run-2", id="1000009", **words)
        body = {"POST": events, "PATCH": b'{"name": "mine"}'}.get(method)
        for query in ("", "?offset=7", "?offset=x", "?name=secret-metric&max_points=0", "?q=secret", "?limit=1"):
            pair = [victim.ask(method, one + query, key=scene["key"], body=body) for one in (theirs, nowhere)]
            where = (method, path, query, pair)
            assert pair[0].status == pair[1].status, where
            said = [
                one.body.replace(b"hidden-run-2", b"hidden-run-1").replace(b"1000009", OWN.encode()) for one in pair
            ]
            assert said[0] == said[1], where
            assert b"secret" not in pair[0].body.replace(b"secret-metric", b""), where
    assert walked >= 30
    kept = victim.ask("GET", "/api/v1/runs/hidden-run-1", key=victim.key).json()
    assert (kept["name"], kept["status"], kept["counts"]) == ("secret-name", "failure", {"logs": 1, "metrics": 1})
    assert victim.ask("GET", f"/api/v1/u/p/experiments/{OWN}", key=victim.key).json()["name"] == "secret-name"
    for path in ("/api/v1/runs", "/api/v1/overview", "/api/v1/projects", "/api/v1/keys"):
        assert b"secret" not in victim.ask("GET", path, key=scene["key"]).body


def test_another_accounts_key(victim: Any, scene: dict[str, str]) -> None:
    """Nobody revokes another account's key by its number."""
    (mine,) = victim.ask("GET", "/api/v1/keys", key=victim.key).json()["keys"]
    answer = victim.ask("DELETE", f"/api/v1/keys/{mine['id']}", key=scene["key"])
    nowhere = victim.ask("DELETE", "/api/v1/keys/999999", key=scene["key"])
    assert (answer.status, answer.body) == (nowhere.status, nowhere.body) == (404, nowhere.body)
    assert victim.ask("GET", "/api/v1/runs", key=victim.key).status == 200


def test_other_sites(victim: Any, scene: dict[str, str]) -> None:
    """No page of another site changes anything by any route, with the user's cookie or a header of the browser's."""
    cookie = victim.sign_in()
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": f"https://127.0.0.1:{victim.port}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Authorization": "Basic eDp5"},
        {"Origin": "https://evil.example", "Content-Type": "application/json"},
        {"Origin": "https://evil.example", "Authorization": f"Bearer {victim.key}"},
    ]
    walked = 0
    for method, path in victim.routes:
        if method in SAFE:
            continue
        walked += 1
        for headers in foreign:
            kind = KINDS[walked % len(KINDS)]
            more = {"Cookie": cookie, "Content-Type": kind, **headers}
            answer = victim.ask(method, filled(path, run="hidden-run-1"), headers=more, body=b"{}")
            assert answer.status == 403, (method, path, more, answer)
            assert "another site" in answer.json()["error"]
    assert walked > 40
    assert victim.ask("GET", "/api/v1/runs", headers={"Cookie": cookie}).status == 200


def test_reading_changes_nothing(victim: Any, scene: dict[str, str]) -> None:
    """No route takes a method that changes something by way of one that does not, nor says that others may."""
    for method, path in victim.routes:
        overridden = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
        if method == "GET" and path not in PUBLIC:
            target = filled(path, run="hidden-run-1") + "?_method=DELETE"
            victim.ask(method, target, key=victim.key, headers=overridden)
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
        answer = victim.ask("OPTIONS", filled(path), headers=preflight)
        assert not [name for name in answer.headers if name.startswith("access-control-")], (path, answer)
    assert victim.ask("GET", "/api/v1/runs/hidden-run-1", key=victim.key).status == 200


NASTY = [
    *("'", '"', "''", "';--", "' OR '1'='1", "1; DROP TABLE runs", "x' UNION SELECT hash FROM keys --", ") OR (1=1"),
    *(
        "%",
        "_",
        "%%%%",
        "*",
        "\\",
        "!",
        "[",
        "(",
        "a" * 3000,
        "\x00",
        "\x00" * 9,
        "\n",
        "\r\nX-Injected: 1",
        "\x1b[31m",
    ),
    *("\ud7ff", "\U0010ffff", "aaaaaaaa\U0010ffff", "aaaaaaaa\ud7ff", "é", "\u202e", "\u2028", "\ufffe", "İ" * 20),
    *(
        "-1",
        "0",
        "1e309",
        "NaN",
        "inf",
        "9" * 17,
        "9" * 18,
        "9" * 19,
        "9" * 400,
        "0x10",
        "\uff11",
        "²",
        "1_0",
        "+1",
        "1.0",
    ),
    *("..", "../..", "../../etc/passwd", "%2e%2e%2f", "//", "/etc/passwd", "file:///etc/passwd", "http://evil/", "."),
    *("__proto__", "constructor", "toString", "null", "true", "{}", "[]", "{{7*7}}", "${7*7}", "<script>", "%s%n", ""),
]
PARAMETERS = ("offset", "first", "limit", "before", "after", "q", "level", "logger", "name", "max_points", "from", "to")
MORE_PARAMETERS = ("project", "group", "next", "token", "format", "sort", "status", "since", "page")


def test_odd_parameters(victim: Any, scene: dict[str, str]) -> None:
    """Whatever stands in a path, a query or a body, no route fails, injects a header or tells what is another's."""
    chance = random.Random(20)
    hidden = b"secret-message"
    for method, path in closed(victim):
        if method == "HEAD":
            continue
        for nasty in chance.sample(NASTY, 20) if path.startswith(POLYAXON) else NASTY if GAP.search(path) else [""]:
            gaps = {gap: nasty if chance.random() < 0.7 else "run" for gap in GAP.findall(path)}
            names = chance.sample(PARAMETERS + MORE_PARAMETERS, 5)
            query = "&".join(f"{name}={quote(chance.choice(NASTY).encode('utf-8', 'surrogatepass'))}" for name in names)
            body = json.dumps(chance.choice(NASTY)).encode() if method in ("POST", "PATCH") else None
            target = f"{encoded(path, gaps)}?{query}"
            answer = victim.ask(method, target, key=scene["key"], body=body)
            where = (method, target, answer)
            assert answer.status < 500, where
            assert "x-injected" not in answer.headers, where
            assert hidden not in answer.body, where
    for path in (
        "/api/v1/runs",
        "/api/v1/overview",
        "/api/v1/runs/hidden-run-1/logs",
        "/api/v1/runs/hidden-run-1/series",
    ):
        for name in PARAMETERS + MORE_PARAMETERS:
            for nasty in NASTY:
                target = f"{path}?{name}={quote(nasty.encode('utf-8', 'surrogatepass'))}"
                answer = victim.ask("GET", target, key=victim.key)
                assert answer.status in (200, 400), (target, answer)
    everything = victim.ask("GET", "/api/v1/runs/hidden-run-1/logs", key=victim.key).json()["logs"]
    assert [line["message"] for line in everything] == ["secret-message"]
    assert "Traceback" not in victim.said()


def encoded(path: str, gaps: dict[str, str]) -> str:
    """Return a path with words in its gaps, each as one part of the path."""
    return GAP.sub(lambda gap: quote(gaps[gap[1]].encode("utf-8", "surrogatepass"), safe="") or "-", path)
