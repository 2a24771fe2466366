"""loghook serve: a real server process, and the ways in which it does not start."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loghook.testing import FakeLoghookServer

from .conftest import COMMAND, Command, browse

CORE = ("loghook", "click", "orjson", "pythonjsonlogger", "typing_extensions")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_until_it_is_told_to_end(number: signal.Signals, home: Path) -> None:
    """`loghook serve` prints a link that signs in, answers on it, and ends without a word on Ctrl-C or SIGTERM."""
    pipe = subprocess.PIPE
    with subprocess.Popen([COMMAND, "serve", "--port", "0"], stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        link = next(line for line in server.stdout if "/sign-in?token=" in line).split()[-1]
        status, address = browse(link)
        assert status == 200
        assert "sign-in" not in address
        server.send_signal(number)
        assert server.wait(20) == 0
        assert server.stderr.read() == ""
    assert (home / "loghook.json").stat().st_mode & 0o777 == 0o600


def test_a_busy_port_is_told_and_taken_by_nobody(loghook: Command) -> None:
    """On a port that something listens on, serve ends with one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        ended = loghook("serve", "--port", port)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("loghook: ")
    assert port in line


@pytest.mark.parametrize("blocks", [0, 20])
def test_a_full_disk_is_told_in_one_line(blocks: int) -> None:
    """Where the disk takes no more, serve ends with one line that names a file in the home folder."""
    command = f"ulimit -f {blocks}; exec {COMMAND} serve --port 0"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("loghook: ")
    assert os.environ["LOGHOOK_HOME"] in line


def test_the_link_has_the_name_that_other_machines_use() -> None:
    """With --name, a server that other machines reach prints its link with that name."""
    names = ("--name", "tracker.example.org", "--name", "other")
    with subprocess.Popen(
        [COMMAND, "serve", "--host", "0.0.0.0", "--port", "0", *names], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        link = next(line for line in server.stdout if "/sign-in?token=" in line).split()[-1]
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert link.startswith("http://tracker.example.org:")


def test_a_second_server_on_one_home_refuses(loghook: Command) -> None:
    """While a server uses a home folder, another one on it ends with one line that names the folder."""
    with subprocess.Popen([COMMAND, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        ended = loghook("serve", "--port", "0")
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert os.environ["LOGHOOK_HOME"] in line


def test_serve_delivers_what_ended_programs_left_for_other_platforms() -> None:
    """While `loghook serve` runs, spools of ended programs go to the platforms that those had, as with sync."""
    with FakeLoghookServer() as platform:
        elsewhere = {**os.environ, "LOGHOOK_URL": platform.url, "LOGHOOK_QUIET": "1"}
        code = "import logging, loghook; loghook.install('left', shutdown_timeout=0); logging.info('for elsewhere')"
        subprocess.run([sys.executable, "-c", code], env=elsewhere, check=True, timeout=60)
        with_key = {**os.environ, "LOGHOOK_API_KEY": platform.key, "LOGHOOK_URL": platform.url}
        with subprocess.Popen([COMMAND, "serve", "--port", "0"], stdout=subprocess.PIPE, env=with_key) as server:
            arrived = platform.platform.wait(platform.platform.records, 20)
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=60)
        assert arrived
        assert [event["message"] for event in platform.platform.records()] == ["for elsewhere"]


def test_a_keyfile_alone_is_wrong_usage(loghook: Command, tmp_path: Path) -> None:
    """--keyfile without --certfile is refused."""
    key = tmp_path / "key.pem"
    key.touch()
    ended = loghook("serve", "--keyfile", str(key))
    assert ended.returncode == 2
    assert "--certfile" in ended.stderr


@pytest.mark.parametrize(("command", "extra"), [("serve", "server"), ("demo", "demo")])
def test_a_missing_extra_is_told_in_one_line(command: str, extra: str, tmp_path: Path) -> None:
    """Where an extra's packages are missing, one line says what to install."""
    for name in CORE:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            source = Path(spec.origin)
            source = source.parent if source.name == "__init__.py" else source
            (tmp_path / source.name).symlink_to(source)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from loghook.cli import main; main()"
    ended = subprocess.run([sys.executable, "-S", "-c", code, command], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert f"pip install 'loghook[{extra}]'" in line


def test_wrong_times_and_sizes_to_keep_are_wrong_usage(loghook: Command) -> None:
    """--keep-size that is no size, and --keep-days of none, are refused in one line each."""
    for option, value, code in (("--keep-size", "much", 2), ("--keep-days", "soon", 2), ("--keep-days", "0", 1)):
        ended = loghook("serve", "--port", "0", option, value)
        assert ended.returncode == code
        (line,) = ended.stderr.splitlines()
        assert "keep" in line
