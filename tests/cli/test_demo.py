"""loghook demo: it trains, it shows, it proves that nothing is missing, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.cli.demo_check import Account

from .conftest import COMMAND, Command, browse


@contextlib.contextmanager
def running(*arguments: str, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `loghook demo` with its temporary folder in the test's, and end it at the latest when the test does."""
    command = [COMMAND, "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def page_of(demo: subprocess.Popen[str]) -> str:
    """Read the output up to the link of the run's page, and return it."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("page"):
            return line.split()[1]
    raise AssertionError(demo.stderr.read() if demo.stderr else "no page was printed")


@pytest.mark.slow
def test_the_demo_finds_everything_that_was_logged(loghook: Command, tmp_path: Path) -> None:
    """`loghook demo --no-wait` exits with 0 once the server has every record and metric, and deletes what it stored."""
    elsewhere = {"LOGHOOK_URL": "http://127.0.0.1:9", "LOGHOOK_NAME": "mine", "POLYAXON_LOG_LEVEL": "ERROR"}
    ended = loghook("demo", "--no-wait", "--seconds", "1", TMPDIR=str(tmp_path), **elsewhere)
    assert ended.returncode == 0, ended.stderr
    assert "nothing is missing" in ended.stdout
    logged, found = re.findall(r"^(?:logged|server) +(\d+ records, \d+ points.*)$", ended.stdout, re.MULTILINE)
    assert logged == found
    assert "epoch 24 of 24" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_page_stays_up_until_ctrl_c(tmp_path: Path) -> None:
    """After the training the link still shows the run's page; Ctrl-C then ends the demo without a word."""
    with running("--seconds", "1", temporary=tmp_path) as demo:
        page = page_of(demo)
        assert demo.stdout is not None
        assert any("nothing is missing" in line for line in demo.stdout)
        assert any("Ctrl-C" in line for line in demo.stdout)
        status, address = browse(page)
        assert status == 200
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/runs/[0-9a-f]{32}", address)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 0
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_in_the_middle(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C or SIGTERM in the middle of the training ends the training, the server and the demo, and cleans up."""
    with running("--seconds", "600", temporary=tmp_path) as demo:
        page_of(demo)
        demo.send_signal(number)
        assert demo.wait(20) == 128 + number
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_busy_port_is_told_in_one_line(loghook: Command) -> None:
    """A port that something else listens on is named, and nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        ended = loghook("demo", "--port", port)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert port in line


def test_what_is_missing_is_named() -> None:
    """Records and metrics that the server has not got, or has otherwise, are each named."""
    logged = Account([("INFO", "a"), ("INFO", "b")], {"loss": [(1, 0.5)], "acc": [(1, 0.9)]})
    assert logged.differences(logged) == []
    assert len(logged.differences(Account([("INFO", "a")], {"loss": [(1, 0.5)], "acc": [(1, 0.9)]}))) == 1
    assert len(logged.differences(Account(logged.records, {"loss": [(2, 0.5)]}))) == 2
