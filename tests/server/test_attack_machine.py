"""What lies around a server: TLS, proxies, files, its own log, and who sits at its address once it has ended."""

from __future__ import annotations

import http.client
import json
import logging
import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from loghook.errors import ConfigurationError
from loghook.server import Server
from loghook.server.own_log import Plain
from loghook.testing import AwkwardServer

Attack = Callable[..., Any]
SERVING = Path(__file__).with_name("serving_process.py")


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, both in one, another key, and an encrypted one."""
    folder = tmp_path_factory.mktemp("pems")
    ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    names = '-subj /CN=localhost -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"'
    commands = (
        f"openssl req -x509 {ec} -nodes -days 2 {names} -keyout key.pem -out cert.pem",
        f"openssl req -x509 {ec} -nodes -days 2 {names} -keyout other.pem -out other-cert.pem",
        "openssl ec -in key.pem -out locked.pem -aes128 -passout pass:secret",
        "cat cert.pem key.pem > both.pem",
        "echo no certificate at all > junk.pem",
        "head -c 300 cert.pem > cut.pem; cat key.pem >> cut.pem",
    )
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True)
        if done.returncode == 127:
            pytest.skip("needs the openssl command")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("none.pem", None, ["certificate", "none.pem", "No such file"]),
        ("cert.pem", "none.pem", ["key", "none.pem", "No such file"]),
        (".", "key.pem", ["directory"]),
        ("junk.pem", "key.pem", ["junk.pem", "no certificate"]),
        ("cert.pem", "junk.pem", ["junk.pem", "no private key"]),
        ("cert.pem", None, ["cert.pem", "no private key", "file of its own"]),
        ("cert.pem", "other.pem", ["other.pem", "cert.pem", "not the one"]),
        ("cert.pem", "locked.pem", ["locked.pem", "passphrase"]),
        ("cut.pem", None, ["cut.pem"]),
        (None, "key.pem", ["key.pem", "certificate"]),
    ],
)
def test_certificates_that_are_no_use(
    home: Path, pems: Path, cert: str | None, key: str | None, words: list[str]
) -> None:
    """Each mistake with a certificate or its key is told with its file; nothing asks for a password."""
    certfile, keyfile = (pems / name if name else None for name in (cert, key))
    with pytest.raises(ConfigurationError) as caught:
        Server(home, port=0, certfile=certfile, keyfile=keyfile).start()
    assert [word for word in words if word not in str(caught.value)] == []


def test_tls(attacked: Attack, pems: Path) -> None:
    """With a certificate the cookie is Secure, old versions are refused, and who does not speak TLS is hung up on."""
    server = attacked(certfile=str(pems / "both.pem"), patience={"head": 1.0})
    context = ssl.create_default_context(cafile=str(pems / "cert.pem"))
    connection = http.client.HTTPSConnection("localhost", server.port, timeout=60, context=context)
    connection.request("GET", server.link.removeprefix(server.url))
    answer = connection.getresponse()
    answer.read()
    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=lax"))
    connection.close()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with server.dial() as plain, old.wrap_socket(plain) as wrapped:
        assert wrapped.version() == "TLSv1.2"
    with server.dial() as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in received(plain)
    with server.dial() as silent:
        assert received(silent) == b""
    assert server.said() == ""


def received(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    found = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def test_secure_behind_tls_of_others(attacked: Attack) -> None:
    """Where something before the server speaks TLS, and says so, the cookie is Secure as well."""
    server = attacked()
    link = server.link.removeprefix(server.url)
    for said, secure in (("https", True), ("http", False), ("", False), ("https, http", False)):
        answer = server.ask("GET", link, headers={"X-Forwarded-Proto": said})
        assert ("Secure" in answer.headers["set-cookie"]) is secure


FAILURES = 20
"""Tries of one address that cost nothing."""


def tries(server: Any, *places: tuple[str, str]) -> list[int]:
    """Sign in with wrong passwords, each for another account, from addresses and by what a proxy says; all at once."""
    connections = []
    for number, (source, forwarded) in enumerate(places):
        body = json.dumps({"email": f"{number}@example.org", "password": "wrong wrong"})
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300, source_address=(source, 0))
        headers = {"Content-Type": "application/json", "X-Forwarded-For": forwarded}
        connection.connect()
        connections.append((connection, body, headers))
    for connection, body, headers in connections:
        connection.request("POST", "/api/v1/sessions", body, headers)
    found = []
    for connection, _, _ in connections:
        with connection.getresponse() as answer:
            found.append(answer.status)
        connection.close()
    return found


HERE, THERE = "127.0.0.1", "127.0.0.2"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_addresses_that_are_made_up(attacked: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets more tries by making up where they come from, whatever the environment says of proxies."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    here = [(HERE, f"10.0.0.{number}") for number in range(FAILURES + 3)]
    *found, there = tries(attacked(), *here, (THERE, "10.0.0.1"))
    assert sorted(found) == [401] * FAILURES + [429] * 3
    assert there == 401


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_proxy_that_was_named(attacked: Attack) -> None:
    """A proxy that was named tells where tries come from, by what it adds to what it was told itself."""
    server = attacked(proxies=["127.0.0.0/30"])
    said = ["10.0.1.1", "10.0.1.1, 127.0.0.2", "made up, 10.0.1.1", "10.0.1.2, 10.0.1.1"]
    one = [(HERE, said[number % 4]) for number in range(FAILURES + 3)]
    *found, other, another = tries(server, *one, (HERE, "10.0.1.2"), (THERE, "10.0.1.3"))
    assert sorted(found) == [401] * FAILURES + [429] * 3
    assert (other, another) == (401, 401)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="needs IPv6")
def test_old_addresses_at_a_new_socket(attacked: Attack) -> None:
    """Where one socket takes both kinds of addresses, those of the old kind are as different as ever."""
    server = attacked(host="::ffff:127.0.0.1")
    *found, there = tries(server, *[(HERE, "")] * (FAILURES + 1), (THERE, ""))
    assert sorted(found) == [401] * FAILURES + [429]
    assert there == 401


@pytest.mark.parametrize("proxy", ["proxy.example", "", "10.0.0.0/99", "*"])
def test_proxies_that_are_none(home: Path, proxy: str) -> None:
    """What is no address of a proxy is refused with words."""
    with pytest.raises(ConfigurationError, match="proxy"):
        Server(home, port=0, proxies=[proxy])


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_no_accounts_through_a_proxy(victim: Any, name: str) -> None:
    """Whoever comes through a proxy on this machine is not taken for a user of this machine."""
    body = json.dumps({"email": "stranger@example.org", "password": "correct horse"}).encode()
    headers = {"Content-Type": "application/json", name: "127.0.0.1"}
    assert victim.ask("POST", "/api/v1/users", body=body, headers=headers).status == 403


def test_hosts(victim: Any) -> None:
    """A name that was not given, as rebinding needs one, gets nothing from any route, and is told the option."""
    for method, path in victim.routes:
        for host in ("evil.example", f"evil.example:{victim.port}", "127.0.0.1.evil.example", "evil.example@", "_"):
            answer = victim.ask(method, path, key=victim.key, headers={"Host": host})
            assert answer.status == 403
            if method != "HEAD":
                assert "--name" in answer.json()["error"]


def test_modes(home: Path) -> None:
    """Whatever a server and a script write in the home folder is for its owner's eyes alone, whatever the umask."""
    before = os.umask(0)
    try:
        script = "import logging, loghook; loghook.install('r'); logging.getLogger().warning('hello')"
        environment = {**os.environ, "LOGHOOK_HOME": str(home)}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
        written = modes(home)
        serving = subprocess.Popen([sys.executable, str(SERVING), str(home), "0"], stdout=subprocess.PIPE, text=True)
        try:
            assert serving.stdout is not None
            url = serving.stdout.readline().rpartition(" ")[2].strip()
            key = json.loads((home / "loghook.json").read_text())["api_key"]
            send(url, key)
            written |= modes(home)
        finally:
            serving.terminate()
            serving.communicate(timeout=60)
        written |= modes(home)
    finally:
        os.umask(before)
    assert {"server/loghook.db", "server/loghook.db-wal", "server/lock", "server/secret", "loghook.json"} <= set(
        written
    )
    assert [name for name in written if name.startswith("spool/")]
    assert {
        name: oct(mode) for name, (is_folder, mode) in written.items() if mode != (0o700 if is_folder else 0o600)
    } == {}


def modes(home: Path) -> dict[str, tuple[bool, int]]:
    """Return whether each path below a home folder is a folder, and its mode."""
    found = {}
    for path in [home, *home.rglob("*")]:
        with suppress(FileNotFoundError):
            status = path.stat()
            found[str(path.relative_to(home))] = (stat.S_ISDIR(status.st_mode), stat.S_IMODE(status.st_mode))
    return found


def send(url: str, key: str) -> None:
    """Store an event, and read it."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    path = "/api/v1/runs/r2/writers/w/events?offset=0"
    connection.request("POST", path, b'{"time": 1, "message": "m"}\n', {"Authorization": f"Bearer {key}"})
    assert connection.getresponse().read().startswith(b'{"offset"')
    connection.close()


FORGED = (
    "x\nloghook server: all is well\r\x1b[2J\x1b]0;title\x07\u202e\x00\x85loghook server: yes\u2028loghook server: no"
)


def test_no_line_can_be_forged() -> None:
    """What others send does not become a line of the server's log, nor an order to the terminal."""
    try:
        raise ValueError(FORGED)
    except ValueError:
        told = sys.exc_info()
    entry = logging.LogRecord("loghook.server", logging.ERROR, "f.py", 1, "GET %s failed", (FORGED,), told)
    lines = Plain().format(entry).split("\n")
    assert [line for line in lines if line.startswith("loghook server:")] == lines[:1]
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith("    ")


def test_a_servers_place_after_its_end(home: Path) -> None:
    """A command sends no key to whoever listens where the server of the home folder was, before that ended."""
    with AwkwardServer() as squatter:
        (home / "server").mkdir(parents=True)
        (home / "server" / "lock").write_text(f"process 1, {squatter.url}")
        (home / "loghook.json").write_text(json.dumps({"api_key": "lh_secret", "api_key_url": [squatter.url]}))
        command = [sys.executable, "-m", "loghook", "runs", "--home", str(home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "does not run" in done.stderr
        assert squatter.requests == []
