"""SIGKILL of a real process at any moment: what it said to have put is there, exactly once."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from pathlib import Path

import pytest

from .tools import claimed, numbers, only, read_all, start

WRITER = """
import os, sys, threading, time
from pathlib import Path
from loghook.spool import Limits, Log
log = Log(Path(sys.argv[1]), "run", {"destinations": {"a": ""}}, Limits(1 << 26, 1 << 24, 8192), mapped=True)
reserving = sys.argv[2] == "1"

def keep():
    while True:
        if reserving:
            log.reserve()
        log.tidy(["a"])
        time.sleep(0.0005)

threading.Thread(target=keep, daemon=True).start()
number = 0
while True:
    text = b'{"n":%d,"p":"%s"}\\n' % (number, b"x" * (number * 61 % 900 if number % 97 else 20000))
    try:
        log.write(text)
    except ValueError:
        log.put(text)
    os.write(1, b"%d\\n" % number)
    number += 1
"""


def kill_one(home: Path, wait: float, reserving: bool) -> None:
    """Let a writer run for `wait` seconds after its first line, kill it, and hold its spool against what it said."""
    writer = start(WRITER, home, int(reserving))
    assert writer.stdout
    with writer, writer.stdout:
        said = bytearray()
        try:
            end = time.monotonic() + wait + 30
            while time.monotonic() < end:
                if select.select([writer.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                    if not said:
                        end = time.monotonic() + wait
                    said += os.read(writer.stdout.fileno(), 1 << 16)
        finally:
            writer.kill()
        said += writer.stdout.read()
        assert writer.wait(10) == -signal.SIGKILL
    returned = [int(text) for text in said.splitlines(keepends=True) if text.endswith(b"\n")]
    assert returned == list(range(len(returned)))
    assert returned
    before = read_all(only(home))
    spool = claimed(only(home))
    found = numbers(read_all(spool))
    assert read_all(spool).startswith(before)
    assert found in (returned, [*returned, len(returned)])


def kill_many(tmp_path: Path, rounds: int) -> None:
    """Kill that many writers, at moments drawn at random."""
    chance = random.Random(rounds)
    for number in range(rounds):
        kill_one(tmp_path / f"{number}", chance.uniform(0, 0.05), number % 2 == 0)


@pytest.mark.timeout(300)
def test_sigkill_at_random_moments(tmp_path: Path) -> None:
    """A writer killed at any moment, its keeper ahead of it or not, has every line that it put in its spool once."""
    kill_many(tmp_path, 30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sigkill_at_many_random_moments(tmp_path: Path) -> None:
    """The same holds three hundred times."""
    kill_many(tmp_path, 300)
