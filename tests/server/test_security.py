"""Nobody gets in: keys, sessions, foreign hosts and sites, hostile content."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.routing import Route

from loghook.server import Server
from loghook.server.access import Access
from loghook.server.accounts import Accounts
from loghook.server.api import API
from loghook.server.app import PUBLIC, build
from loghook.server.care.api import Care
from loghook.server.compat.hyperdash import Hyperdash
from loghook.server.compat.hyperdash_accounts import HyperdashAccounts
from loghook.server.compat.polyaxon import Polyaxon
from loghook.server.ingest import Ingest
from loghook.server.intake import Intake
from loghook.server.keys import Keys
from loghook.server.keys_api import KeysAPI
from loghook.server.pages import Pages
from loghook.server.security import host_of
from loghook.server.sign_in import SignIn
from loghook.server.store import Store

Record = Callable[..., dict[str, Any]]


def routes(folder: Path) -> list[tuple[str, str]]:
    """Return every method and path that a server answers."""
    store = Store(folder / "routes.db")
    accounts = Accounts(store)
    access, keys, sign_in = Access(accounts, "cookie"), Keys(store, accounts, b""), SignIn(accounts, lambda _: False)
    ingest = Ingest(store)
    intake = Intake(ingest)
    table = build(
        access,
        API(store),
        intake,
        Pages(access, sign_in),
        KeysAPI(accounts, keys),
        Hyperdash(access, ingest, intake),
        HyperdashAccounts(accounts, keys, sign_in, "id"),
        Polyaxon(access, store, ingest, intake),
        Care(store, folder, accounts.local),
    ).routes
    store.close()
    assert all(isinstance(route, Route) for route in table)
    return [
        (method, route.path) for route in table if isinstance(route, Route) for method in sorted(route.methods or ())
    ]


def filled(path: str) -> str:
    """Return a path of the table with something in each gap."""
    return re.sub(r"\{[^}]+\}", "run", path)


@pytest.mark.parametrize("key", [None, "", "wrong", "lh_" + "A" * 43])
def test_closed(server: Server, client: Any, record: Record, tmp_path: Path, key: str | None) -> None:
    """Every route but the public ones is closed without a key that is known, and tells nothing of what there is."""
    client.send([record("secret", metrics={"run": 1.0})])
    headers = {"Origin": server.url} if key is None else {"Origin": server.url, "Authorization": f"Bearer {key}"}
    closed = [(method, path) for method, path in routes(tmp_path) if path not in PUBLIC]
    assert len(closed) >= 12
    for method, path in closed:
        answer = requests.request(
            method, server.url + filled(path), headers=headers, allow_redirects=False, timeout=60, data=b""
        )
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        else:
            assert answer.status_code == 303, path
            assert "sign-in" in answer.headers["Location"]
        assert b"secret" not in answer.content


def test_public(server: Server, tmp_path: Path) -> None:
    """The public routes are the sign-in, by form and by program, the static files and a sign of health."""
    assert {path for _, path in routes(tmp_path)} >= set(PUBLIC)
    pages = {"/healthz", "/sign-in", "/sign-out", "/static/{name}", "/static-{tag}/{name}"}
    assert set(PUBLIC) == {*pages, "/api/v1/users", "/api/v1/sessions"}
    assert requests.get(server.url + "/healthz", timeout=60).json() == {"ok": True}


def test_other_account(server: Server, client: Any, record: Record, as_client: Callable[..., Any], home: Path) -> None:
    """Another account's run answers as one that does not exist, and its id can be used again."""
    client.send([record("mine", metrics={"m": 1.0})])
    server.stop()
    store = Store(home / "server" / "loghook.db")
    accounts = Accounts(store)
    number = store.writer.run(
        lambda connection: connection.execute("INSERT INTO accounts (name, created) VALUES ('other', 0)").lastrowid
    )
    _, key = Keys(store, accounts, b"").create(int(number or 0), "")
    store.close()
    with Server(home, port=0) as again:
        other, mine = as_client(again, key), as_client(again)
        for path in ("", "/logs", "/metrics", "/metrics/m", "/series"):
            here, nowhere = other.get(f"/runs/run{path}"), other.get(f"/runs/none{path}")
            assert (here.status_code, here.content) == (404, nowhere.content)
        assert other.read("/runs")["runs"] == []
        assert other.read("/overview")["runs"] == []
        assert other.post(b"", 10).json()["offset"] == 0
        other.send([record("theirs")])
        assert [line["message"] for line in mine.read("/runs/run/logs")["logs"]] == ["mine"]
        assert [line["message"] for line in other.read("/runs/run/logs")["logs"]] == ["theirs"]


def browser() -> requests.Session:
    """Return a session that keeps cookies, as a browser does."""
    session = requests.Session()
    session.trust_env = False
    return session


def test_link(server: Server) -> None:
    """The printed link signs in and leaves its token behind; the cookie is out of scripts' reach."""
    session = browser()
    answer = session.get(server.sign_in_link, allow_redirects=False, timeout=60)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert session.get(server.url + "/", timeout=60).status_code == 200
    assert session.get(server.url + "/api/v1/runs", timeout=60).status_code == 200


def test_link_to_a_run(server: Server) -> None:
    """The link to a run's page leads there, and to no other site."""
    session = browser()
    assert session.get(server.link_to("runs/abc"), timeout=60).url == f"{server.url}/runs/abc"
    for target in ("//evil.example", "https://evil.example", "runs/../../x", "javascript:alert(1)", "\r\nX: y"):
        answer = session.get(server.sign_in_link, params={"next": target}, allow_redirects=False, timeout=60)
        assert answer.headers["Location"] == "./"


@pytest.mark.parametrize("token", ["", "wrong", "é", "x" * 5000])
def test_bad_link(server: Server, token: str) -> None:
    """A link with another token signs nobody in."""
    answer = requests.get(server.url + "/sign-in", params={"token": token}, timeout=60)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_key_form(server: Server) -> None:
    """The form takes a key, leads on to the page that was wanted, and refuses other keys."""
    session = browser()
    asked = session.get(server.url + "/runs/abc", timeout=60)
    assert asked.url == f"{server.url}/sign-in?next=runs/abc"
    refused = session.post(asked.url, data={"key": "wrong"}, headers={"Origin": server.url}, timeout=60)
    assert refused.status_code == 401
    assert "does not know that key" in refused.text
    taken = session.post(asked.url, data={"key": server.key}, headers={"Origin": server.url}, timeout=60)
    assert taken.url == f"{server.url}/runs/abc"


def test_sign_out(server: Server) -> None:
    """Signing out ends the session, for whoever kept its cookie too."""
    session = browser()
    session.get(server.sign_in_link, timeout=60)
    kept = session.cookies.copy()
    session.post(server.url + "/sign-out", headers={"Origin": server.url}, timeout=60)
    session.cookies = kept
    assert session.get(server.url + "/api/v1/runs", timeout=60).status_code == 401


def test_tokens_are_hashed(server: Server, client: Any, home: Path) -> None:
    """Neither key nor session token lies in the database."""
    session = browser()
    session.get(server.sign_in_link, timeout=60)
    server.stop()
    content = (home / "server" / "loghook.db").read_bytes()
    (token,) = session.cookies.values()
    assert server.key.encode() not in content
    assert token.encode() not in content


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "a b", "", "localhost.evil"]
)
def test_foreign_host(server: Server, host: str) -> None:
    """A name that is not this server's is refused, whatever is asked, with the option that allows it."""
    for path in ("/", "/healthz", "/api/v1/runs", "/sign-in"):
        answer = requests.get(server.url + path, headers={"Host": host}, timeout=60)
        assert answer.status_code in (400, 403)
        if answer.status_code == 403:
            assert "--name" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7", "127.0.0.1", "[::1]:80", "192.168.1.5", "x.localhost"])
def test_own_host(server: Server, host: str) -> None:
    """Addresses as numbers and localhost are this server's."""
    assert requests.get(server.url + "/healthz", headers={"Host": host}, timeout=60).status_code == 200


def test_allowed_host(home: Path) -> None:
    """A name that was allowed is answered to."""
    with Server(home, port=0, hosts=["box.example"]) as server:
        assert requests.get(server.url + "/healthz", headers={"Host": "Box.example"}, timeout=60).status_code == 200


@pytest.mark.parametrize("netloc", ["[::1", "a:b:c", "[x]", "@", "a@b"])
def test_odd_host(netloc: str) -> None:
    """A Host that makes no sense raises nothing."""
    assert isinstance(host_of(netloc), str)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "", "http://[", None]
)
def test_foreign_origin(server: Server, client: Any, record: Record, origin: str | None) -> None:
    """A browser's request from another site changes nothing, even with the cookie."""
    session = browser()
    session.get(server.sign_in_link, timeout=60)
    headers = {} if origin is None else {"Origin": origin}
    for path in ("/sign-out", "/sign-in", "/api/v1/runs/r/writers/w/events?offset=0"):
        answer = session.post(server.url + path, headers=headers, data=b"", timeout=60)
        assert answer.status_code == 403, path
    assert session.get(server.url + "/api/v1/runs", timeout=60).status_code == 200


def test_wrong_key_beside_a_session(server: Server) -> None:
    """A request with a wrong key is refused even when its cookie is good."""
    session = browser()
    session.get(server.sign_in_link, timeout=60)
    answer = session.get(server.url + "/api/v1/runs", headers={"Authorization": "Bearer no"}, timeout=60)
    assert answer.status_code == 401


HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


def test_hostile_content(server: Server, client: Any, record: Record) -> None:
    """Whatever was logged is answered as JSON that no browser takes for a page."""
    client.send(
        [
            {"time": time.time(), "event": "run_started", "run": {"name": HOSTILE, "params": {HOSTILE: HOSTILE}}},
            record(HOSTILE, logger=HOSTILE, metrics={HOSTILE: 1.0}, extra={HOSTILE: HOSTILE}, exception=HOSTILE),
        ]
    )
    for path in ("/runs", "/overview", "/runs/run", "/runs/run/logs", "/runs/run/metrics", f"/runs/{HOSTILE}"):
        answer = client.get(path)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/nowhere", "/static/none", "/healthz", "/api/v1/runs", f"/runs/{HOSTILE}"]
)
def test_headers(server: Server, path: str) -> None:
    """Every answer forbids inline scripts, foreign sources, sniffing and framing by others; none echoes markup."""
    answer = requests.get(server.url + path, headers={"Accept": "text/html"}, timeout=60)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert not re.search(r"(script|default)-src[^;]*unsafe", policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/",
        "/static-x/../ui",
    ],
)
def test_traversal(server: Server, path: str) -> None:
    """No path leads out of the static files."""
    request = requests.Request("GET", server.url).prepare()
    request.url = server.url + path
    assert browser().send(request, timeout=60).status_code == 404


def test_static(server: Server) -> None:
    """Pages refer to static files by their content; browsers may keep those for long, and others must ask."""
    text = browser().get(server.url + "/sign-in", timeout=60).text
    (folder,) = set(re.findall(r"static-\w+", text))
    kept = requests.get(f"{server.url}/{folder}/base.css", timeout=60)
    assert "immutable" in kept.headers["Cache-Control"]
    asked = requests.get(f"{server.url}/static/base.css", timeout=60)
    assert asked.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": asked.headers["ETag"]}
    assert requests.get(f"{server.url}/static/base.css", headers=tag, timeout=60).status_code == 304
    plain = requests.get(f"{server.url}/static/base.css", headers={"Accept-Encoding": "identity"}, timeout=60)
    assert plain.content == asked.content


def test_plotly(server: Server) -> None:
    """plotly.js comes compressed from the installed package."""
    answer = requests.get(f"{server.url}/static/plotly.min.js", timeout=60)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert int(answer.headers["Content-Length"]) < len(answer.content) / 2


def test_long_header(server: Server) -> None:
    """A header that is too long is refused."""
    answer = requests.get(server.url + "/healthz", headers={"X": "x" * 100_000}, timeout=60)
    assert answer.status_code in (400, 431)
