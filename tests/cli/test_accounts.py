"""loghook signup, login, keys, logout: what is asked, sent, stored and said."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server
from loghook.testing import Answer, AwkwardServer
from loghook.testing.awkward import Request

from ..terminals import Terminal
from .conftest import COMMAND

PATIENCE = 60
EMAIL, PASSWORD = "anna@example.org", "correct horse"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A loghook server with a home of its own, as on another machine."""
    with Server(tmp_path / "server", port=0) as running:
        yield running


@pytest.fixture
def run() -> Run:
    """The installed command, with lines on its standard input."""

    def run(*arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **variables}
        return subprocess.run(
            [COMMAND, *arguments], input=typed, capture_output=True, text=True, timeout=PATIENCE, env=environ
        )

    return run


def stored(home: Path) -> dict[str, Any]:
    """What lies in the home folder's settings, which nobody else may read."""
    path = home / "loghook.json"
    assert path.stat().st_mode & 0o777 == 0o600
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def works(server: Server, key: str) -> bool:
    """Tell whether a server takes a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{server.url}/api/v1/runs", headers=headers, timeout=60).status_code == 200


def refused(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command failed with."""
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("loghook: ")
    return line


def test_signup_stores_a_key_that_works(run: Run, server: Server, home: Path) -> None:
    """`signup` makes an account and stores its key and the named server; what else is in the file stays."""
    home.mkdir()
    (home / "loghook.json").write_text('{"level": "DEBUG", "mine": [1]}')
    ended = run("signup", "--url", server.url, typed=f"{EMAIL}\n{PASSWORD}\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert server.url in ended.stdout
    found = stored(home)
    assert found.pop("api_key") not in ended.stdout
    assert found.pop("access_token")
    assert found == {"level": "DEBUG", "mine": [1], "url": server.url, "api_key_url": server.url}
    assert works(server, stored(home)["api_key"])


def test_login_finds_the_same_account(run: Run, server: Server, home: Path, tmp_path: Path) -> None:
    """`login` on another machine stores a key of the same account."""
    run("signup", "--url", server.url, "--email", EMAIL, typed=f"{PASSWORD}\n")
    elsewhere = tmp_path / "elsewhere"
    ended = run(
        "login", "--url", server.url, "--email", EMAIL, "--home", str(elsewhere), "--json", typed=f"{PASSWORD}\n"
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said == {"url": server.url, "email": EMAIL, "file": str(elsewhere / "loghook.json")}
    assert stored(elsewhere)["api_key"] == stored(home)["api_key"]


def test_a_wrong_password_stores_nothing(run: Run, server: Server, home: Path) -> None:
    """A wrong password is one line, and nothing is stored."""
    line = refused(run("login", "--url", server.url, "--email", EMAIL, typed="wrong horse\n"))
    assert "the email or the password is wrong" in line
    assert not (home / "loghook.json").exists()


def test_signup_says_why_not(run: Run, server: Server) -> None:
    """What the server has against an account is said in its words."""
    assert "8 to" in refused(run("signup", "--url", server.url, "--email", EMAIL, typed="short\n"))
    assert "no email" in refused(run("signup", "--url", server.url, "--email", "anna", typed=f"{PASSWORD}\n"))


def test_with_token_takes_a_key(run: Run, server: Server, home: Path) -> None:
    """`login --with-token` stores a key from standard input, once the server knows it."""
    assert "not known" in refused(run("login", "--with-token", "--url", server.url, typed="wrong\n"))
    assert "key" in refused(run("login", "--with-token", "--url", server.url, typed="two words\n"))
    assert "standard input" in refused(run("login", "--with-token", "--url", server.url))
    ended = run("login", "--with-token", "--url", server.url, typed=f"{server.key}\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert stored(home) == {"api_key": server.key, "api_key_url": server.url, "url": server.url}


def test_keys(run: Run, server: Server, home: Path) -> None:
    """`keys` lists, `create` prints a key that works, and `revoke` ends it."""
    run("signup", "--url", server.url, "--email", EMAIL, typed=f"{PASSWORD}\n")
    made = run("keys", "create", "--name", "laptop")
    key = made.stdout.strip()
    assert works(server, key)
    table = run("keys").stdout.splitlines()
    assert table[0] == f"account {EMAIL}"
    assert re.search(rf"laptop +…{re.escape(key[-4:])}", table[3])
    assert "in use here" in table[2]
    assert key not in run("keys").stdout
    listed = json.loads(run("keys", "--json").stdout)
    number = next(one["id"] for one in listed["keys"] if one["name"] == "laptop")
    assert "revoked" in run("keys", "revoke", str(number)).stdout
    assert not works(server, key)
    assert "no such key" in refused(run("keys", "revoke", str(number)))


def test_a_key_is_changed_in_the_file(run: Run, server: Server, home: Path) -> None:
    """`keys create --store` puts a new key in the place of the stored one, and shows it nowhere."""
    run("signup", "--url", server.url, "--email", EMAIL, typed=f"{PASSWORD}\n")
    before = stored(home)
    ended = run("keys", "create", "--store", "--json")
    after = stored(home)
    assert after["api_key"] != before["api_key"]
    assert after["api_key"] not in ended.stdout
    assert {**after, "api_key": before["api_key"]} == before
    assert works(server, after["api_key"])


def test_logout(run: Run, server: Server, home: Path) -> None:
    """`logout` takes key and token out of the file, ends the session, and leaves the rest."""
    run("signup", "--url", server.url, "--email", EMAIL, typed=f"{PASSWORD}\n")
    token = stored(home)["access_token"]
    ended = run("logout", "--json")
    assert json.loads(ended.stdout)["session_ended"] is True
    assert stored(home) == {"url": server.url}
    answer = requests.get(f"{server.url}/api/v1/users/api_keys", headers={"authorization": token}, timeout=60)
    assert answer.status_code == 401
    assert "sign in first" in refused(run("keys"))
    assert run("logout").returncode == 0


def test_logout_without_a_server(run: Run, server: Server, home: Path) -> None:
    """Where the server is gone, `logout` says so and takes the key out all the same."""
    run("signup", "--url", server.url, "--email", EMAIL, typed=f"{PASSWORD}\n")
    server.stop()
    ended = run("logout")
    assert ended.returncode == 0
    assert len(ended.stderr.splitlines()) == 1
    assert "api_key" not in stored(home)


def test_a_key_goes_to_its_own_server_alone(run: Run, server: Server, home: Path) -> None:
    """What is stored for one server is not sent to another that is named later, by `keys` or `logout`."""
    run("signup", "--url", server.url, "--email", EMAIL, typed=f"{PASSWORD}\n")
    before = stored(home)
    with AwkwardServer(lambda request: Answer(404, {}, b"{}")) as other:
        for words in (["keys"], ["keys", "create", "--store"], ["keys", "revoke", "1"]):
            ended = run(*words[:1], "--url", other.url, *words[1:])
            assert ended.returncode == 1
            assert "sign in first" in ended.stderr
        assert stored(home) == before
        assert json.loads(run("logout", "--json", LOGHOOK_URL=other.url).stdout)["session_ended"] is True
        assert other.requests == []


def test_a_new_key_takes_the_place_of_another_servers(run: Run, server: Server, home: Path) -> None:
    """`keys create --store` says beside the key which server it is for, and keeps no other server's token."""
    home.mkdir()
    path = home / "loghook.json"
    path.write_text('{"api_key": "a", "api_key_url": "http://a.example", "access_token": "b"}')
    assert run("keys", "--url", server.url, "create", "--store", LOGHOOK_API_KEY=server.key).returncode == 0
    found = stored(home)
    assert works(server, found.pop("api_key"))
    assert found == {"api_key_url": server.url}


def test_one_of_several_keys(run: Run, server: Server) -> None:
    """Of as many keys in LOGHOOK_API_KEY as there are URLs the one of the server that is asked is sent."""
    urls = f"http://127.0.0.1:9,{server.url}"
    ended = run("keys", "--url", server.url, LOGHOOK_URL=urls, LOGHOOK_API_KEY=f"other,{server.key}")
    assert ended.returncode == 0, ended.stderr


def test_a_variable_that_wins_is_named(run: Run, server: Server) -> None:
    """Who stores a key while a variable holds another is told that the variable wins."""
    ended = run("login", "--with-token", "--url", server.url, typed=f"{server.key}\n", LOGHOOK_API_KEY="other")
    assert ended.returncode == 0
    assert "LOGHOOK_API_KEY" in ended.stderr


@pytest.mark.parametrize("url", ["polyaxon+http://127.0.0.1", "ftp://127.0.0.1", "here"])
def test_a_wrong_url(run: Run, url: str) -> None:
    """A URL of a platform without accounts, or of none, is refused in one line."""
    refused(run("login", "--url", url, "--email", EMAIL, typed=f"{PASSWORD}\n"))


def test_no_server(run: Run) -> None:
    """Where nothing answers, one line says so."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert "no server answers" in refused(run("login", "--url", url, "--email", EMAIL, typed=f"{PASSWORD}\n"))


def test_the_settings_name_the_server(run: Run, server: Server, home: Path) -> None:
    """Without --url, LOGHOOK_URL and then HYPERDASH_SERVER name the server, and no URL is stored."""
    variables = [{"LOGHOOK_URL": f"polyaxon+http://127.0.0.1,{server.url}"}, {"HYPERDASH_SERVER": server.url}]
    for number, variable in enumerate(variables):
        ended = run("signup", "--email", f"{number}@example.org", typed=f"{PASSWORD}\n", **variable)
        assert ended.returncode == 0, ended.stderr
        assert set(stored(home)) == {"api_key", "api_key_url", "access_token"}


def hyperdash(request: Request) -> Answer:
    """Answer as Hyperdash's own server does: it has no routes for keys but the one that shows them."""
    content = json.loads(request.body or b"null")
    key, token = "hyperdash-key", "hyperdash-token"
    answers: dict[tuple[str, str], Callable[[], tuple[int, Any]]] = {
        ("POST", "/api/v1/users"): lambda: (200, {"user_uuid": "u", "api_key": key}),
        ("POST", "/api/v1/sessions"): lambda: (
            (200, {"access_token": token}) if content["password"] == PASSWORD else (401, {"message": "Wrong password"})
        ),
        ("GET", "/api/v1/users/api_keys"): lambda: (
            (200, {"api_keys": [key, "second"]}) if request.headers.get("authorization") == token else (401, {})
        ),
    }
    status, body = answers.get((request.method, request.path), lambda: (404, {"message": "Not found"}))()
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def test_a_hyperdash_server(run: Run, home: Path) -> None:
    """All of it works with a Hyperdash server, as far as that has it."""
    with AwkwardServer(hyperdash) as platform:
        url = platform.url.replace("http", "hyperdash+http", 1)
        assert "Wrong password" in refused(run("login", "--url", url, "--email", EMAIL, typed="wrong\n"))
        assert run("signup", "--url", url, "--email", EMAIL, typed=f"{PASSWORD}\n").returncode == 0
        assert stored(home) == {
            "api_key": "hyperdash-key",
            "api_key_url": url,
            "access_token": "hyperdash-token",
            "url": url,
        }
        assert run("keys").stdout.splitlines() == ["hyperdash-key", "second"]
        assert "Not found" in refused(run("keys", "create"))
        assert run("logout").returncode == 0
        assert stored(home) == {"url": url}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"access_token": 5}', b""])
def test_strange_answers(run: Run, body: bytes) -> None:
    """An answer that makes no sense is one line."""
    with AwkwardServer(lambda request: Answer(200, {}, body)) as platform:
        refused(run("login", "--url", platform.url, "--email", EMAIL, typed=f"{PASSWORD}\n"))


def test_the_password_has_no_echo(server: Server, home: Path) -> None:
    """On a terminal email and password are asked for, and the password is not shown."""
    with Terminal([str(COMMAND), "signup", "--url", server.url]) as terminal:
        for question, answer in ((b"Email: ", EMAIL), (b"Password: ", PASSWORD), (b"confirmation: ", PASSWORD)):
            terminal.wait_for(question, PATIENCE)
            terminal.type(answer.encode() + b"\n")
        terminal.wait_for(b"made an account", PATIENCE)
        terminal.process.wait(PATIENCE)
        shown = terminal.output
    assert EMAIL.encode() in shown
    assert PASSWORD.encode() not in shown
    assert works(server, stored(home)["api_key"])
