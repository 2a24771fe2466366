"""A script whose destination is a Hyperdash server: it says all that a run is, and keeps the run alive."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import loghook
from loghook.credentials import KeySource
from loghook.listener import Destination, Listener
from loghook.spool.acks import Acks
from loghook.testing import FakeHyperdashServer, RecordingTransport
from loghook.transports.hyperdash_words import run_uuid

SCRIPT = """
import logging, multiprocessing, os, sys
import loghook

run = loghook.install("digits", params={"lr": 0.1}, url=sys.argv[1])
log = logging.getLogger("train")

def child():
    log.info("from a child")
    loghook.flush(30)

if "child" in sys.argv:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
for i in range(int(sys.argv[2])):
    log.info("step %d", i, extra={"metrics": {"loss": float(i)}} if i % 10 == 0 else {})
log.error("an error")
if "idle" in sys.argv:
    sys.stdin.read()
if "fail" in sys.argv:
    raise ValueError("it went wrong")
"""


def start(tmp_path: Path, server: FakeHyperdashServer, steps: int, *words: str) -> subprocess.Popen[str]:
    """Start the script as a process of its own."""
    file = tmp_path / "train.py"
    file.write_text(SCRIPT, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(file), f"hyperdash+{server.url}", str(steps), *words],
        env={**os.environ, "LOGHOOK_API_KEY": server.key, "LOGHOOK_SHUTDOWN_TIMEOUT": "60"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process's end; return its exit status and what it said on stderr."""
    with process:
        try:
            _, said = process.communicate(timeout=100)
        finally:
            process.kill()
    return process.returncode, said


def test_a_script_tells_all_of_its_run(tmp_path: Path) -> None:
    """Start, params, records, metrics and the end arrive, once and in order, with nothing against the protocol."""
    with FakeHyperdashServer() as server:
        status, said = finish(start(tmp_path, server, 2000))
        assert (status, server.violations, server.errors, server.early, server.late) == (0, [], [], [], []), said
        assert server.lines("INFO") == [f"step {i}" for i in range(2000)]
        assert server.values("loss") == [float(i) for i in range(0, 2000, 10)]
        kinds = [message["type"] for message in server.messages()]
        assert server.messages()[0]["payload"] == {"job_name": "digits"}
        assert (kinds[0], kinds[1], kinds[-1]) == ("run_started", "param", "run_ended")
        assert server.messages()[-1]["payload"] == {"final_status": "success"}
        assert server.lines("ERROR") == ["an error"]


def test_a_failing_script_is_a_failure_with_its_traceback(tmp_path: Path) -> None:
    """The exception is told as an error before the run's end."""
    with FakeHyperdashServer() as server:
        status, _ = finish(start(tmp_path, server, 1, "fail"))
        assert (status, server.violations) == (1, [])
        assert server.messages()[-1]["payload"] == {"final_status": "failure"}
        assert server.lines("ERROR")[-1] == "ValueError: it went wrong"


def test_a_child_writes_into_the_same_run(tmp_path: Path) -> None:
    """What a forked child logs is in its parent's run, whoever of them comes first."""
    with FakeHyperdashServer() as server:
        status, said = finish(start(tmp_path, server, 1, "child"))
        assert (status, server.violations) == (0, []), said
        assert len({message["sdk_run_uuid"] for message in server.messages()}) == 1
        assert sorted(server.lines("INFO")) == ["from a child", "step 0"]
        assert [message["type"] for message in server.messages()].count("run_started") == 1


def test_a_runs_own_id_is_the_platforms() -> None:
    """The id that a run gives itself is a uuid4, so the platform has it digit for digit."""
    for _ in range(20):
        run = loghook.install("digits")
        loghook.uninstall()
        assert run_uuid(run.id).replace("-", "") == run.id


@pytest.mark.slow
def test_a_silent_run_is_kept_alive(tmp_path: Path) -> None:
    """While a run logs nothing a heartbeat goes every five seconds."""
    with FakeHyperdashServer() as server:
        process = start(tmp_path, server, 1, "idle")
        try:
            assert server.wait(lambda: len(server.messages("heartbeat")) >= 2, 60)
        finally:
            status, said = finish(process)
        assert (status, server.violations) == (0, []), said
        assert server.messages()[-1]["type"] == "run_ended"


class Log:
    """A writer's log in memory, as a listener reads it."""

    run = "run"
    writer = "writer"
    directory = None
    first = 0

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.acks = Acks(None)

    def read(self, offset: int, max_bytes: int) -> bytes:
        """What lies from an offset on."""
        return self.body[offset:]


class Asked(RecordingTransport):
    """Notes for which runs it was asked for a sign of life, and what had been sent by then."""

    def __init__(self) -> None:
        super().__init__()
        self.idled = threading.Event()
        self.asked: list[tuple[str, int]] = []

    def idle(self, run: str) -> None:
        """Note it."""
        self.asked.append((run, len(self.sent)))
        self.idled.set()


def test_a_transport_is_asked_for_a_sign_of_life_when_all_is_sent(tmp_path: Path) -> None:
    """A listener that has nothing left to send, and not before, lets its transport speak for the run."""
    transport = Asked()
    destination = Destination("test", "memory://", KeySource(environ={}), lambda: transport)
    listener = Listener(destination, Log(b'{"time":1,"message":"x"}\n'), tmp_path, interval=0.01)
    listener.start()
    assert transport.idled.wait(30)
    listener.close(time.monotonic() + 30)
    assert transport.asked[0] == ("run", 1)
    assert transport.closed
