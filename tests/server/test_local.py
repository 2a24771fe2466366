"""Scripts of this machine are seen without a network: while they log, after they ended, and after they were killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loghook.server import Server
from loghook.server.local import PATIENCE
from loghook.spool import Limits, Log

WaitUntil = Callable[..., None]

BEGIN = """
import logging, os, signal, sys
import loghook
loghook.install("digits", run_id={run!r})
log = logging.getLogger("train")
log.setLevel("INFO")
"""
STEPS = """
for step in range({steps}):
    log.info("step %d", step, extra={{"metrics": {{"loss": 1 / (step + 1)}}, "step": step}})
"""


def script(home: Path, run: str, code: str, **more: Any) -> subprocess.Popen[str]:
    """Start a script that logs with loghook."""
    environ = {**os.environ, "LOGHOOK_HOME": str(home)}
    text = BEGIN.format(run=run) + code
    return subprocess.Popen([sys.executable, "-c", text], env=environ, text=True, stderr=subprocess.PIPE, **more)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a script's end."""
    process.communicate(timeout=60)


def steps(client: Any, run: str) -> list[int]:
    """Return the steps of the records that the script logged itself."""
    lines = client.read(f"/runs/{run}/logs", limit=5000)["logs"]
    return [line["step"] for line in lines if "step" in line]


def spools(home: Path) -> list[Path]:
    """Return the folders of all spools, some of which may go this moment."""
    found: list[Path] = []
    for run in list((home / "spool").glob("*")):
        with contextlib.suppress(FileNotFoundError):
            found += run.iterdir()
    return found


def test_afterwards(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """What was logged while no server ran is there once one does, and its spool is gone."""
    finish(script(home, "r", STEPS.format(steps=100)))
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_until(lambda: client.get("/runs/r").ok and client.read("/runs/r")["status"] == "success")
        assert steps(client, "r") == list(range(100))
        assert client.read("/runs/r/metrics/loss", max_points=0)["count"] == 100
        assert client.read("/runs/r")["name"] == "digits"
        wait_until(lambda: not spools(home), what="the spool's end")


def test_killed(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """What a script logged before it was killed is there, every record once."""
    finish(script(home, "r", STEPS.format(steps=3000) + "os.kill(os.getpid(), signal.SIGKILL)"))
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_until(lambda: not spools(home), what="the spool's end")
        assert steps(client, "r") == list(range(3000))
    with Server(home, port=0) as server:
        assert steps(as_client(server), "r") == list(range(3000))


def test_live(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """A script is seen while it runs, and as killed soon after it was."""
    with Server(home, port=0) as server:
        client = as_client(server)
        process = script(home, "r", "for line in sys.stdin: log.info(line.strip())", stdin=subprocess.PIPE)
        assert process.stdin is not None
        for word in ("one", "two"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            wait_until(lambda word=word: word in client.get("/runs/r/logs").text)
        assert client.read("/runs/r")["status"] == "running"
        assert spools(home)
        process.kill()
        finish(process)
        process.stdin.close()
        wait_until(lambda: not spools(home), what="the spool's end")
        assert [line["message"] for line in client.read("/runs/r/logs")["logs"]] == ["one", "two"]


def test_many_dead(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """Several scripts that ended are each a run of their own."""
    for index in range(3):
        finish(script(home, f"r{index}", STEPS.format(steps=10 + index)))
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_until(lambda: not spools(home), what="the spools' end")
        assert [len(steps(client, f"r{index}")) for index in range(3)] == [10, 11, 12]


def test_killed_server(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """A spool whose acknowledgement was lost after its events were stored is stored once."""
    code = STEPS.format(steps=200) + "sys.stdin.read()\n" + STEPS.format(steps=300)
    process = script(home, "r", code, stdin=subprocess.PIPE)
    assert process.stdin is not None
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_until(lambda: client.get("/runs/r/logs").ok and len(steps(client, "r")) == 200)
    for acknowledged in home.glob("spool/*/*/local.ack"):
        acknowledged.unlink()
    process.stdin.close()
    with Server(home, port=0) as server:
        finish_quietly(process)
        client = as_client(server)
        wait_until(lambda: not spools(home), what="the spool's end")
        assert steps(client, "r") == [*range(200), *range(300)]


def finish_quietly(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a script whose input is closed."""
    assert process.stderr is not None
    process.stderr.read()
    process.stderr.close()
    process.wait(30)


def test_other_destination(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """A spool that is bound for another platform only is left alone."""
    os.environ["LOGHOOK_URL"] = "http://127.0.0.1:9"
    try:
        process = script(home, "away", "log.info('x'); os._exit(0)")
        finish(process)
    finally:
        del os.environ["LOGHOOK_URL"]
    finish(script(home, "here", "log.info('x')"))
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_until(lambda: client.get("/runs/here").ok)
        wait_until(lambda: len(spools(home)) == 1)
        assert client.get("/runs/away").status_code == 404


def test_unusable_spool(
    home: Path, as_client: Callable[..., Any], wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    """A spool that nothing can be made of is left as it is, named once, and holds up no other."""
    finish(script(home, "a", "log.info('x')"))
    (spool,) = spools(home)
    spool.rename(spool.with_name("w" * 100))
    finish(script(home, "b", "log.info('x')"))
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_until(lambda: client.get("/runs/b").ok and len(spools(home)) == 1)
        assert client.get("/runs/a").status_code == 404
    assert ["w" * 100 in record.getMessage() for record in caplog.records] == [True]


def test_what_a_living_writer_writes_anew(home: Path, as_client: Callable[..., Any], wait_until: WaitUntil) -> None:
    """A file that somebody deletes, and that its living writer writes anew at once, is not passed over."""
    log = Log(home, "r", {"destinations": {"local": ""}}, Limits(1 << 20, 1 << 18, 1 << 14), mapped=True)
    log.tidy(["local"])
    for step in range(200):
        line = b'{"time":1763740000.5,"level":"INFO","logger":"train","message":"step","step":%d}\n' % step
        assert log.put(line.replace(b'"step",', b'"%s",' % (b"x" * 50)))
    assert log.directory is not None
    first, _ = sorted(log.directory.glob("*.seg"))
    first.unlink()
    began = time.monotonic()
    with Server(home, port=0) as server:
        client = as_client(server)
        log.settle()
        if time.monotonic() - began > PATIENCE:
            log.close()
            pytest.skip("this machine is too busy to be quick enough")
        wait_until(lambda: client.get("/runs/r").ok and len(steps(client, "r")) == 200, timeout=60)
        assert steps(client, "r") == list(range(200))
        log.close()
