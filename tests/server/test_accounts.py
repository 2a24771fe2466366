"""Several accounts: signing up and in, by program and by form; who may, how often, and what each sees."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server, passwords
from loghook.server.accounts import Accounts, Revoked
from loghook.server.keys import Keys
from loghook.server.store import Store

Record = Callable[..., dict[str, Any]]
ANNA = {"email": "anna@example.org", "password": "correct horse"}


def post(server: Server, path: str, content: object, **headers: str) -> requests.Response:
    """Send JSON as a program does."""
    return requests.post(f"{server.url}/api/v1{path}", json=content, headers=headers, timeout=60)


def sign_up(server: Server, **credentials: str) -> str:
    """Sign up and return the key."""
    answer = post(server, "/users", {**ANNA, "client": "cli", **credentials})
    assert answer.status_code == 200, answer.text
    uuid.UUID(answer.json()["user_uuid"])
    return str(answer.json()["api_key"])


def keys(server: Server, token: str) -> requests.Response:
    """Ask for the keys as Hyperdash's command line does: the token comes as it is."""
    return requests.get(f"{server.url}/api/v1/users/api_keys", headers={"authorization": token}, timeout=60)


def test_sign_up_and_in(server: Server, as_client: Callable[..., Any], record: Record) -> None:
    """Who signs up gets a key that works, and after signing in the same key, first of a list."""
    key = sign_up(server)
    as_client(server, key).send([record("hello")])
    answer = post(server, "/sessions", {"email": " Anna@Example.ORG ", "password": ANNA["password"]})
    assert answer.status_code == 200
    token = answer.json()["access_token"]
    assert keys(server, token).json() == {"api_keys": [key]}
    assert keys(server, token).json() == {"api_keys": [key]}
    assert keys(server, f"Bearer {token}").status_code == 200


def test_the_key_outlives_the_server(server: Server, home: Path) -> None:
    """The key that can be read again is the same after a restart, and lies in no file of the server."""
    key = sign_up(server)
    server.stop()
    for file in home.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()
    with Server(home, port=0) as again:
        token = post(again, "/sessions", ANNA).json()["access_token"]
        assert keys(again, token).json() == {"api_keys": [key]}


def test_a_lost_secret_makes_a_new_key(server: Server, home: Path, as_client: Callable[..., Any]) -> None:
    """Where the secret is gone, the old key still works, and the account gets a new one to read."""
    key = sign_up(server)
    server.stop()
    (home / "server" / "secret").unlink()
    with Server(home, port=0) as again:
        token = post(again, "/sessions", ANNA).json()["access_token"]
        (new,) = keys(again, token).json()["api_keys"]
        assert new != key
        for one in (key, new):
            assert as_client(again, one).get("/runs").status_code == 200


def test_signing_out(server: Server) -> None:
    """A token that was signed out opens nothing."""
    sign_up(server)
    token = post(server, "/sessions", ANNA).json()["access_token"]
    url, headers = f"{server.url}/api/v1/sessions", {"Authorization": f"Bearer {token}"}
    assert requests.delete(url, headers=headers, timeout=60).status_code == 204
    assert requests.delete(url, headers=headers, timeout=60).status_code == 401
    answer = keys(server, token)
    assert answer.status_code == 401
    assert "log in" in answer.json()["message"]


@pytest.mark.parametrize("token", ["", "wrong", "Bearer ", "é"])
def test_unknown_token(server: Server, token: str) -> None:
    """Keys are shown to nobody without a session's token; a key is none."""
    assert keys(server, token.encode()).status_code == 401  # type: ignore[arg-type]
    assert keys(server, server.key).status_code == 401


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"password": "short"}, 400, "8 to"),
        ({"password": "x" * 1001}, 400, "1000"),
        ({"password": 12345678}, 400, "password"),
        ({"email": "anna"}, 400, "email"),
        ({"email": "a b@example.org"}, 400, "email"),
        ({"email": "x" * 300 + "@example.org"}, 400, "email"),
        ({"email": None}, 400, "email"),
        ({"email": "taken@example.org"}, 409, "sign in"),
    ],
)
def test_unfit(server: Server, change: dict[str, Any], status: int, word: str) -> None:
    """What is no email, no password or taken is refused with words for the command line."""
    sign_up(server, email="Taken@example.org")
    answer = post(server, "/users", {**ANNA, **change})
    assert answer.status_code == status
    assert word in answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 10_000, b" " * 20_000])
def test_bad_bodies(server: Server, body: bytes) -> None:
    """A body that makes no sense is refused with words."""
    for path in ("/users", "/sessions"):
        headers = {"Content-Type": "application/json"}
        answer = requests.post(f"{server.url}/api/v1{path}", data=body, headers=headers, timeout=60)
        assert answer.status_code in (400, 413)
        assert answer.json()["message"]


def test_wrong_password(server: Server) -> None:
    """A wrong password and an unknown email are answered alike."""
    sign_up(server)
    wrong = post(server, "/sessions", {**ANNA, "password": "wrong horse"})
    unknown = post(server, "/sessions", {**ANNA, "email": "nobody@example.org"})
    local = post(server, "/sessions", {**ANNA, "email": "local"})
    assert wrong.status_code == unknown.status_code == local.status_code == 401
    assert wrong.json() == unknown.json() == local.json()


def guessed(server: Server, content: object) -> int:
    """Try to sign in, and return the status."""
    return post(server, "/sessions", content).status_code


def test_tries_are_slowed_down(server: Server) -> None:
    """After a few wrong passwords an account has to wait, with the right one too; other accounts have not."""
    sign_up(server)
    sign_up(server, email="ben@example.org")
    guess = {**ANNA, "password": "a guess"}
    answers = list(itertools.takewhile(lambda code: code != 429, (guessed(server, guess) for _ in range(10))))
    assert answers == [401] * len(answers)
    assert 5 <= len(answers) < 10
    refused = post(server, "/sessions", ANNA)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "possible in" in refused.json()["message"]
    assert post(server, "/sessions", {**ANNA, "email": "ben@example.org"}).status_code == 200


def test_accounts_see_only_their_own(server: Server, as_client: Callable[..., Any], record: Record) -> None:
    """An account sees its own runs and keys, whichever way they came, and no other's."""
    anna, ben = (as_client(server, sign_up(server, email=f"{name}@example.org")) for name in ("anna", "ben"))
    anna.send([record("of anna", metrics={"m": 1.0})], run="same")
    content = {"type": "heartbeat", "timestamp": 1, "sdk_run_uuid": "abc", "payload": {}}
    post(server, "/sdk/http", content, **{"x-hyperdash-auth": anna.key})
    for other in (ben, as_client(server)):
        assert other.read("/runs")["runs"] == []
        for path in ("/runs/same", "/runs/same/logs", "/runs/same/metrics", "/runs/same/series", "/runs/abc"):
            assert other.get(path).status_code == 404
    assert {run["id"] for run in anna.read("/runs")["runs"]} == {"same", "abc"}
    assert [anna.read("/keys")["account"], ben.read("/keys")["account"]] == ["anna@example.org", "ben@example.org"]
    (key,) = anna.read("/keys")["keys"]
    url = f"{server.url}/api/v1/keys/{key['id']}"
    assert requests.delete(url, headers={"Authorization": f"Bearer {ben.key}"}, timeout=60).status_code == 404
    assert anna.get("/runs").status_code == 200


def browser() -> requests.Session:
    """Return a session that keeps cookies, as a browser does."""
    session = requests.Session()
    session.trust_env = False
    return session


def test_the_form_takes_email_and_password(server: Server) -> None:
    """The sign-in page takes an email and a password, leads on, and says what is wrong."""
    sign_up(server)
    session, headers = browser(), {"Origin": server.url}
    url = f"{server.url}/sign-in?next=runs/abc"
    wrong = session.post(url, data={**ANNA, "password": "wrong horse"}, headers=headers, timeout=60)
    assert wrong.status_code == 401
    assert "The email or the password is wrong." in wrong.text
    taken = session.post(url, data=ANNA, headers=headers, timeout=60)
    assert taken.url == f"{server.url}/runs/abc"
    assert session.get(f"{server.url}/api/v1/keys", timeout=60).json()["account"] == ANNA["email"]


def test_the_form_is_slowed_down(server: Server) -> None:
    """Guesses in the form are slowed down like all others."""
    session, headers = browser(), {"Origin": server.url}
    for number in range(7):
        session.post(server.url + "/sign-in", data={**ANNA, "password": f"guess {number}"}, headers=headers, timeout=60)
    answer = session.post(server.url + "/sign-in", data=ANNA, headers=headers, timeout=60)
    assert answer.status_code == 429
    assert "Too many tries" in answer.text


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"sign_up": False}, 403),
        ({"hosts": ["box.example"]}, 403),
        ({"hosts": ["b.example"], "sign_up": True}, 200),
    ],
)
def test_who_may_sign_up(home: Path, options: dict[str, Any], status: int) -> None:
    """This machine's users may make accounts, unless the server has another name, or was told what to allow."""
    with Server(home, port=0, **options) as server:
        answer = post(server, "/users", ANNA)
        assert answer.status_code == status
        if status == 403:
            assert "--sign-up" in answer.json()["message"]


def test_strangers_may_not_sign_up(home: Path) -> None:
    """Who comes from another machine, by a proxy on this one or to an open port, may make no account unasked."""
    with Server(home, port=0) as server:
        assert post(server, "/users", ANNA, **{"X-Forwarded-For": "203.0.113.7"}).status_code == 403
    with Server(home, host="0.0.0.0", port=0) as server:
        assert post(server, "/users", ANNA).status_code == 403


def test_passwords_are_kept_as_scrypt(server: Server, home: Path) -> None:
    """A password lies in no file, and two equal ones are kept differently."""
    sign_up(server)
    server.stop()
    for file in home.rglob("*"):
        assert not file.is_file() or ANNA["password"].encode() not in file.read_bytes()
    one, two = passwords.hashed("correct horse"), passwords.hashed("correct horse")
    assert one != two
    assert re.fullmatch(r"scrypt\$15\$8\$3\$[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}", one)
    assert passwords.matches("correct horse", one)
    assert not passwords.matches("correct horse ", one)


def test_passwords_of_other_costs_still_work() -> None:
    """A password that was kept at another cost is checked at that cost, however its characters were typed."""
    kept = passwords._hashed("grün", b"0" * 16, 10, 8, 1)
    assert passwords.matches("gru\u0308n", kept)
    assert not passwords.matches("grun", kept)


def test_keys_api(server: Server, as_client: Callable[..., Any]) -> None:
    """A key is made, shown once, listed by its tail, works, and opens nothing once it is revoked."""
    key = sign_up(server)
    anna = as_client(server, key)
    url, headers = f"{server.url}/api/v1/keys", {"Authorization": f"Bearer {key}"}
    made = requests.post(url, json={"name": " my laptop "}, headers=headers, timeout=60)
    assert made.status_code == 201
    new = made.json()
    listed = anna.read("/keys")["keys"]
    assert [(one["name"], one["current"]) for one in listed] == [("command line", True), ("my laptop", False)]
    assert listed[1] == {**{name: new[name] for name in ("id", "name", "tail", "created")}, "current": False}
    assert new["key"].endswith(new["tail"])
    assert new["key"] not in json.dumps(listed)
    other = as_client(server, new["key"])
    assert other.get("/runs").status_code == 200
    assert requests.delete(f"{url}/{new['id']}", headers=headers, timeout=60).status_code == 204
    assert other.get("/runs").status_code == 401
    assert requests.delete(f"{url}/{new['id']}", headers=headers, timeout=60).status_code == 404
    assert requests.delete(f"{url}/x", headers=headers, timeout=60).status_code == 404


def signed_in(server: Server, **form: str) -> requests.Session:
    """A browser that has signed in by the form."""
    browser = requests.Session()
    browser.trust_env = False
    answer = browser.post(f"{server.url}/sign-in", data=form, headers={"Origin": server.url}, timeout=60)
    assert answer.url == f"{server.url}/"
    return browser


def test_a_session_ends_with_its_key(server: Server) -> None:
    """Revoking a key ends the sessions that began with it, for whoever has just been believed, and no others."""
    sign_up(server)
    password = signed_in(server, **ANNA)
    url, headers = f"{server.url}/api/v1/keys", {"Origin": server.url}
    made = [password.post(url, headers=headers, timeout=60).json() for _ in range(2)]
    one, same, other = (signed_in(server, key=made[number]["key"]) for number in (0, 0, 1))
    local = signed_in(server, key=server.key)
    everybody = {"one": one, "same": same, "other": other, "password": password, "local": local}

    def inside() -> set[str]:
        asked = {name: browser.get(f"{server.url}/api/v1/runs", timeout=60) for name, browser in everybody.items()}
        return {name for name, answer in asked.items() if answer.status_code == 200}

    assert inside() == set(everybody)
    assert one.delete(f"{url}/{made[0]['id']}", headers=headers, timeout=60).status_code == 204
    assert inside() == {"other", "password", "local"}
    assert one.get(f"{server.url}/", timeout=60).url == f"{server.url}/sign-in"


def test_a_key_that_is_revoked_meanwhile_begins_nothing(home: Path) -> None:
    """Whoever signs in with a key in the moment in which it is revoked is not in."""
    home.mkdir()
    store = Store(home / "loghook.db")
    accounts = Accounts(store)
    keys = Keys(store, accounts, b"")
    made, text = keys.create(accounts.local, "")
    account = accounts.of_key(text)
    assert account == accounts.local
    assert keys.revoke(account, made.id)
    with pytest.raises(Revoked):
        accounts.new_session(account, text)
    store.close()


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"name": 5}', b'"name"'])
def test_bad_key_names(server: Server, body: bytes) -> None:
    """What is no name is refused."""
    headers = {"Authorization": f"Bearer {server.key}"}
    assert requests.post(f"{server.url}/api/v1/keys", data=body, headers=headers, timeout=60).status_code == 400


def test_keys_are_bounded(server: Server) -> None:
    """An account has at most a hundred keys."""
    headers = {"Authorization": f"Bearer {server.key}"}
    codes = [requests.post(f"{server.url}/api/v1/keys", headers=headers, timeout=60).status_code for _ in range(101)]
    assert codes.count(201) == 99
    assert set(codes[99:]) == {409}


def test_a_session_token_serves_as_bearer(server: Server) -> None:
    """Who has signed in by program may read and make keys with the token."""
    sign_up(server)
    token = post(server, "/sessions", ANNA).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{server.url}/api/v1/keys", headers=headers, timeout=60).status_code == 200


def test_another_servers_key_stays(home: Path) -> None:
    """A server whose home folder has the key of another one leaves it there, and keeps its own beside its database."""
    home.mkdir()
    settings = home / "loghook.json"
    settings.write_text('{"api_key": "one-of-another-server", "level": "DEBUG"}')
    with Server(home, port=0) as server:
        first = server.key
    with Server(home, port=0) as server:
        assert server.key == first
    assert json.loads(settings.read_text()) == {"api_key": "one-of-another-server", "level": "DEBUG"}
    own = home / "server" / "loghook.json"
    assert json.loads(own.read_text())["api_key"] == first
    assert own.stat().st_mode & 0o777 == 0o600
