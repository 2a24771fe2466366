"""loghook runs: the newest runs as a table or as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.server import Server

from .conftest import Command

TRAIN = """
import logging, sys, loghook
loghook.install(sys.argv[1])
for step in range(3):
    logging.info("step", extra={"metrics": {"loss": 0.5 - step / 10}, "step": step})
"""


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server whose home is the test's."""
    with Server(home, port=0) as server:
        yield server


def train(server: Server, name: str) -> None:
    """Run a program that logs three steps to the server."""
    environment = {**os.environ, "LOGHOOK_URL": server.url}
    subprocess.run([sys.executable, "-c", TRAIN, name], env=environment, check=True, timeout=60)


def test_runs_lists_the_newest_first(loghook: Command, server: Server) -> None:
    """`loghook runs` finds the server of the home folder, and shows a row for each run, the newest first."""
    train(server, "first")
    train(server, "second")
    ended = loghook("runs")
    assert ended.returncode == 0, ended.stderr
    head, *rows = (line.split() for line in ended.stdout.splitlines())
    assert head == ["RUN", "NAME", "STATUS", "AGE", "DURATION", "METRICS"]
    assert [row[1:3] for row in rows] == [["second", "success"], ["first", "success"]]
    assert rows[0][5:] == ["loss", "0.3"]


def test_runs_as_json_has_full_ids_and_values(loghook: Command, server: Server) -> None:
    """`loghook runs --json` prints a list of runs with their ids, statuses and last metrics."""
    train(server, "first")
    (run,) = json.loads(loghook("runs", "--json").stdout)
    assert (run["name"], run["status"], run["metrics"]) == ("first", "success", {"loss": 0.3})
    assert len(run["id"]) == 32


def test_runs_shows_as_many_as_asked(loghook: Command, server: Server) -> None:
    """`loghook runs -n 1` shows one run."""
    train(server, "first")
    train(server, "second")
    assert len(loghook("runs", "-n", "1").stdout.splitlines()) == 2


def test_a_name_cannot_move_the_cursor(loghook: Command, server: Server) -> None:
    """Control characters in a run's name are replaced in the table."""
    train(server, "a\x1b[2Jb\nc")
    output = loghook("runs").stdout
    assert len(output.splitlines()) == 2
    assert "\x1b" not in output


def test_no_runs_yet_is_said_on_stderr(loghook: Command, server: Server) -> None:
    """With no runs, stdout stays empty, and a line says how to make one."""
    ended = loghook("runs")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "loghook.install" in ended.stderr


def test_no_server_is_one_line_that_says_what_to_do(loghook: Command) -> None:
    """When nothing answers, one line names the address and the command that starts a server."""
    ended = loghook("runs", "--url", "http://127.0.0.1:9")
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert "http://127.0.0.1:9" in line
    assert "loghook serve" in line


def test_a_refused_key_is_one_line_without_the_key(loghook: Command, server: Server) -> None:
    """When the server refuses the key, one line says so and where to put another; the key is not in it."""
    ended = loghook("runs", LOGHOOK_URL=server.url, LOGHOOK_API_KEY="a-wrong-key-0123456789")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "LOGHOOK_API_KEY" in line
    assert "a-wrong-key" not in line


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "http://127.0.0.1:port"])
def test_a_wrong_url_is_named(url: str, loghook: Command) -> None:
    """A URL that is none is refused by name, in one line."""
    ended = loghook("runs", "--url", url)
    assert ended.returncode == 1
    assert url in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_of_several_servers_the_first_that_answers_counts(loghook: Command, server: Server) -> None:
    """Where LOGHOOK_URL names several servers, one that does not answer is named, and the next one asked."""
    train(server, "first")
    ended = loghook("runs", LOGHOOK_URL=f"http://127.0.0.1:9,{server.url}", LOGHOOK_API_KEY=server.key)
    assert ended.returncode == 0, ended.stderr
    assert "first" in ended.stdout
    (line,) = ended.stderr.splitlines()
    assert "http://127.0.0.1:9:" in line


def test_a_printed_id_leads_to_its_run(loghook: Command, server: Server) -> None:
    """The id that `loghook runs` prints is one that the server's API takes."""
    train(server, "first")
    printed = loghook("runs").stdout.splitlines()[1].split()[0]
    assert len(printed) == 8
    request = urllib.request.Request(f"{server.url}/api/v1/runs/{printed}")
    request.add_header("Authorization", f"Bearer {server.key}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["name"] == "first"


def test_a_certificate_that_is_not_trusted_is_told(loghook: Command, home: Path, tmp_path: Path) -> None:
    """Where a server's certificate is not trusted, one line says so and how to trust it; trusted, it is read from."""
    key, certificate = tmp_path / "key", tmp_path / "cert"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    files: list[str | Path] = ["subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    try:
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    with Server(home, port=0, certfile=certificate, keyfile=key) as server:
        ended = loghook("runs")
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert f"the certificate of {server.url} is not trusted" in line
        assert "REQUESTS_CA_BUNDLE" in line
        assert "loghook serve" not in line
        assert loghook("runs", REQUESTS_CA_BUNDLE=str(certificate)).returncode == 0
