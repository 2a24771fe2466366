"""loghook pipe: what comes through a pipe as a run, and passes on."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from ..scripts import events, last_end
from .conftest import COMMAND

PIPE = [str(COMMAND), "pipe", "-n", "a test"]


def test_what_comes_passes_and_is_recorded(home: Path) -> None:
    """Input is output, byte for byte, and each line is a record; the last needs no newline."""
    data = b"one\r\ntwo \xe9\n\x1b[1mthree"
    ended = subprocess.run(PIPE, input=data, capture_output=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == (data, b"")
    lines = [(e["stream"], e["level"], e["message"]) for e in events(home, "record")]
    assert lines == [("stdout", "INFO", text) for text in ("one", "two \\xe9", "\x1b[1mthree")]
    (began,) = events(home, "run_started")
    assert (began["run"]["name"], began["run"]["api"]) == ("a test", "cli_pipe")
    assert (last_end(home) or {})["status"] == "success"


def test_output_is_there_at_once(home: Path) -> None:
    """A line is passed on when it comes, not when the input ends."""
    with subprocess.Popen(PIPE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        for i in range(3):
            process.stdin.write(b"%d\n" % i)
            assert process.stdout.read(2) == b"%d\n" % i
        process.stdin.close()
        assert process.wait(30) == 0


def test_ctrl_c_takes_the_last_words(home: Path) -> None:
    """After Ctrl-C, which the programs before it get too, what they still say arrives; the run is stopped."""
    command = ["bash", "-c", f"(trap 'echo last; exit' INT; echo ready; sleep 30 & wait) | {COMMAND} pipe -n x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == b"last\n"
        process.wait(30)
    end = last_end(home) or {}
    assert (end["status"], end["reason"]) == ("stopped", "SIGINT")
    assert [e["message"] for e in events(home, "record")] == ["ready", "last"]


def test_sigterm_stops_it(home: Path) -> None:
    """SIGTERM ends it with 143."""
    with subprocess.Popen(PIPE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"x\n")
        assert process.stdout.read(2) == b"x\n"
        process.terminate()
        assert process.wait(30) == 143
    assert (last_end(home) or {})["reason"] == "SIGTERM"


def test_a_reader_that_leaves_ends_it(home: Path) -> None:
    """In `yes | loghook pipe | head` it ends with 141, and the run is stopped."""
    line = f'yes | {COMMAND} pipe | head -n 1; echo "${{PIPESTATUS[1]}}"'
    assert subprocess.run(["bash", "-c", line], capture_output=True, timeout=60).stdout == b"y\n141\n"
    assert (last_end(home) or {})["reason"] == "SIGPIPE"
