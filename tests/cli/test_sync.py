"""loghook sync: what ended programs left goes to their platforms, once."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loghook.testing import FakeLoghookServer

from .conftest import COMMAND, Command

LEAVES_FIVE = """
import logging, loghook
loghook.install("left", shutdown_timeout=0)
for i in range(5):
    logging.info("record %d", i)
"""

GOES_ON = (
    LEAVES_FIVE
    + """
print("ready", flush=True)
input()
"""
)


@pytest.fixture
def platform() -> Iterator[FakeLoghookServer]:
    """A platform that takes events with its key; programs without the key leave theirs in the spool."""
    with FakeLoghookServer() as server:
        yield server


def leave_five(platform: FakeLoghookServer) -> None:
    """Run a program that logs five records, for a platform whose key it has not got."""
    environment = {**os.environ, "LOGHOOK_URL": platform.url, "LOGHOOK_QUIET": "1"}
    subprocess.run([sys.executable, "-c", LEAVES_FIVE], env=environment, check=True, timeout=60)


def messages(platform: FakeLoghookServer) -> list[str]:
    """Return the messages that arrived, in order."""
    return [event["message"] for event in platform.platform.records()]


def test_sync_delivers_what_an_ended_program_left(loghook: Command, platform: FakeLoghookServer) -> None:
    """`loghook sync` sends the records in order, says how many events went, and finds nothing the second time."""
    leave_five(platform)
    assert messages(platform) == []
    first = loghook("sync", LOGHOOK_API_KEY=platform.key, LOGHOOK_URL=platform.url)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "delivered 8 events\n"
    assert messages(platform) == [f"record {i}" for i in range(5)]
    second = loghook("sync", LOGHOOK_API_KEY=platform.key, LOGHOOK_URL=platform.url)
    assert (second.returncode, second.stdout) == (0, "nothing to deliver\n")
    assert len(messages(platform)) == 5


def test_sync_as_json_counts(loghook: Command, platform: FakeLoghookServer) -> None:
    """`loghook sync --json` prints what was delivered, refused and left."""
    leave_five(platform)
    done = json.loads(loghook("sync", "--json", LOGHOOK_API_KEY=platform.key, LOGHOOK_URL=platform.url).stdout)
    assert done == {"delivered": 8, "refused": 0, "left": {}}


def test_sync_without_a_working_key_fails_in_one_line(loghook: Command, platform: FakeLoghookServer) -> None:
    """When a platform does not take the events they stay, one line says why, and the exit code is 1."""
    leave_five(platform)
    ended = loghook("sync", "--patience", "0", LOGHOOK_API_KEY="another-key", LOGHOOK_URL=platform.url)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("loghook: ")
    assert platform.url in line
    assert "another-key" not in line
    assert loghook("sync", LOGHOOK_API_KEY=platform.key, LOGHOOK_URL=platform.url).stdout == "delivered 8 events\n"


def test_sync_tells_each_destination_that_failed_on_a_line(loghook: Command) -> None:
    """Where several platforms do not take their events, there is a line for each, with its URL once."""
    urls = ["http://127.0.0.1:9", "http://127.0.0.1:11"]
    environment = {**os.environ, "LOGHOOK_URL": ",".join(urls), "LOGHOOK_QUIET": "1"}
    subprocess.run([sys.executable, "-c", LEAVES_FIVE], env=environment, check=True, timeout=60)
    ended = loghook("sync", "--patience", "0")
    assert ended.returncode == 1
    lines = sorted(ended.stderr.splitlines())
    assert [line.count(url) for line, url in zip(lines, sorted(urls), strict=True)] == [1, 1], lines
    assert all(line.startswith("loghook: ") for line in lines)


def test_sync_leaves_a_running_program_alone(loghook: Command, platform: FakeLoghookServer) -> None:
    """What a running program has in its spool is left to that program."""
    environment = {**os.environ, "LOGHOOK_URL": platform.url, "LOGHOOK_QUIET": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", GOES_ON], env=environment, stdin=pipe, stdout=pipe) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        ended = loghook("sync", LOGHOOK_API_KEY=platform.key, LOGHOOK_URL=platform.url)
        assert (ended.returncode, ended.stdout) == (0, "nothing to deliver\n")
        assert messages(platform) == []
        program.communicate(b"\n")


def test_sync_shows_a_progress_bar_on_a_terminal(platform: FakeLoghookServer) -> None:
    """On a terminal a bar shows how much is delivered."""
    leave_five(platform)
    terminal, theirs = pty.openpty()
    environment = {**os.environ, "LOGHOOK_API_KEY": platform.key, "LOGHOOK_URL": platform.url, "TERM": "xterm"}
    ended = subprocess.run([COMMAND, "sync"], env=environment, stderr=theirs, stdout=subprocess.PIPE, timeout=60)
    os.close(theirs)
    shown = ""
    with contextlib.suppress(OSError):  # on Linux that is how a terminal ends that nobody holds any more
        while piece := os.read(terminal, 65536):
            shown += piece.decode()
    os.close(terminal)
    assert ended.returncode == 0
    assert "delivering" in shown
    assert "100%" in shown
