"""The original SDK and command line run unchanged; everything that they send is in the read API, and nothing twice."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import EMAIL, PASSWORD, User

# The first of them waits for an installation.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Press = Callable[[subprocess.Popen[str]], None]
Wait = Callable[..., None]


def joined(lines: list[str]) -> str:
    """Return text without line ends: the SDK cuts what it sends wherever its second is over."""
    return "".join(lines).replace("\n", "")


def test_signup_login_keys(newcomer: User) -> None:
    """`signup` makes an account and stores its key, `login` gets the same, `keys` lists it; what is wrong is told."""
    said = newcomer.sign_up()
    assert "Congratulations on signing up!" in said
    stored = newcomer.stored()
    assert f"Your API key is: {stored['api_key']}" in said
    assert stored["access_token"]
    assert "already" in newcomer.sign_up()
    wrong = newcomer.run("hyperdash", "login", "--email", typed=f"{EMAIL}\nwrong horse\n")
    assert "the email or the password is wrong" in wrong
    assert newcomer.stored() == stored
    right = newcomer.run("hyperdash", "login", "--email", typed=f"{EMAIL}\n{PASSWORD}\n")
    assert f"Successfully logged in! We also installed: {stored['api_key']}" in right
    assert f"1) {stored['api_key']}" in newcomer.run("hyperdash", "keys")


MONITOR = """
import sys, time
from hyperdash import monitor

@monitor("dogs vs. cats")
def train(epochs, exp):
    exp.param("rate", 0.1)
    exp.param("layers", [64, 10])
    for epoch in range(epochs):
        exp.metric("loss", 1 / (epoch + 1))
        print("epoch", epoch, "\\u20ac")
        time.sleep(1.05)
    print("careful", file=sys.stderr)
    return "done"

assert train(3) == "done"
"""


def test_monitor(user: User) -> None:
    """The decorator: name, parameters, every metric, every line of both streams, and success."""
    user.run("python", user.script(MONITOR))
    (run,) = user.runs()
    assert (run["name"], run["status"], run["source"]) == ("dogs vs. cats", "success", "hyperdash")
    assert run["params"] == {"rate": 0.1, "layers": [64, 10]}
    assert user.values(run["id"], "loss") == [1.0, 0.5, 1 / 3]
    assert [line for line in user.lines(run["id"]) if line.startswith("epoch")] == [f"epoch {n} €" for n in range(3)]
    assert user.lines(run["id"], "ERROR") == ["careful"]
    sent = joined(user.lines(run["id"], "INFO"))
    assert sent == joined([user.local_log().replace("careful\n", "")])


def test_monitor_failure(user: User) -> None:
    """A function that raises is a failed run with its traceback."""
    code = MONITOR.replace('return "done"', 'raise ValueError("boom")')
    user.run("python", user.script(code), code=1)
    (run,) = user.runs()
    assert run["status"] == "failure"
    assert "ValueError: boom" in user.lines(run["id"])


EXPERIMENT = """
import sys, time
from hyperdash import Experiment

exp = Experiment("digits")
exp.param("seed", 42)
for i in exp.iter(3):
    exp.metric("accuracy", i / 10)
    time.sleep(1.05)
for number in range(2000):
    print("line", number)
print("x" * 50000)
exp.log("by hand")
exp.end()
"""


def test_experiment(user: User) -> None:
    """An Experiment with its iterator: what is internal is kept and marked; much output and long lines are whole."""
    user.run("python", user.script(EXPERIMENT))
    (run,) = user.runs()
    assert run["status"] == "success"
    assert run["params"] == {"seed": 42, "hd_iter_0_epochs": 3}
    assert user.values(run["id"], "accuracy") == [0.0, 0.1, 0.2]
    assert user.values(run["id"], "hd_iter_0") == [0, 1, 2]
    details = user.get(f"/runs/{run['id']}")
    assert details["internal"] == {"metrics": ["hd_iter_0"], "params": ["hd_iter_0_epochs"]}
    (shown,) = user.get("/overview")["runs"]
    assert [metric["name"] for metric in shown["metrics"]] == ["accuracy"]
    assert joined(user.lines(run["id"])) == joined([user.local_log()])


def test_run_and_pipe(user: User) -> None:
    """`hyperdash run` and `hyperdash pipe` send what a command prints."""
    user.run("hyperdash", "run", "-n", "a command", "echo", "out;", "echo", "err", ">&2")
    user.run("hyperdash", "pipe", "-n", "a pipe", typed="one\ntwo\n10%\r50%\r100%\n")
    pipe, run = user.runs()
    assert (run["name"], run["status"], pipe["name"], pipe["status"]) == ("a command", "success", "a pipe", "success")
    assert user.lines(run["id"], "ERROR") == ["err"]
    assert "out" in user.lines(run["id"], "INFO")
    assert user.lines(pipe["id"])[:3] == ["one", "two", "100%"]


def test_demo(user: User) -> None:
    """`hyperdash demo` arrives whole."""
    user.run("hyperdash", "demo")
    (run,) = user.runs()
    assert (run["name"], run["status"]) == ("Dogs vs. Cats", "success")
    assert run["params"] == {"Estimators": 500, "Epochs": 5, "Batch Size": 64}
    accuracies = user.values(run["id"], "Accuracy")
    # It sends a metric at most once a second, and waits a second between two of them, more or less.
    assert set(accuracies) <= {1 - 1 / n for n in range(1, 6)}
    assert 4 <= len(accuracies) <= 5
    trained = [line for line in user.lines(run["id"]) if line.startswith("Training model")]
    assert trained == [f"Training model (epoch {epoch})" for epoch in range(5)]


WRITER = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

writer = EventFileWriter(sys.argv[1])
for step in range(5):
    value = Summary.Value(tag="train/loss", simple_value=1 / 2**step)
    writer.add_event(Event(wall_time=1.6e9 + 60 * step, step=step, summary=Summary(value=[value])))
writer.close()
"""


def test_tensorboard(tensorboard_user: User, interrupt: Press, wait_until: Wait) -> None:
    """`hyperdash tensorboard --backfill` sends each scalar at its own time, and ends as success on Ctrl-C."""
    user = tensorboard_user
    folder = user.home / "events"
    user.run("python", user.script(WRITER), str(folder))
    process = user.start("hyperdash", "tensorboard", "-n", "board", "--logdir", str(folder), "--backfill")
    try:
        wait_until(lambda: counted(user, "train/loss") == 5, 60, "the arrival of five points")
        (run,) = user.runs()
        assert run["status"] == "running"
        assert time.time() - run["started_at"] < 120
        interrupt(process)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    points = user.get(f"/runs/{run['id']}/metrics/train/loss", max_points=0)["points"]
    assert points == [[step, 1.6e9 + 60 * step, 1 / 2**step] for step in range(5)]
    assert user.runs()[0]["status"] == "success"


def counted(user: User, name: str) -> int:
    """Return how many points of a metric the newest run has."""
    for run in user.runs()[:1]:
        for metric in user.get(f"/runs/{run['id']}/metrics")["metrics"]:
            if metric["name"] == name:
                return int(metric["count"])
    return 0


LONG = """
import time
from hyperdash import Experiment

exp = Experiment("long")
for i in range(150):
    exp.metric("m%d" % (i // 10), i)
    print("line", i)
    time.sleep(0.1)
time.sleep(3)
exp.end()
"""


def test_a_server_that_dies_twice(user: User, wait_until: Wait) -> None:
    """While the server is killed and comes back, the SDK goes on: every line and metric is there once, in order."""
    process = user.start("python", user.script(LONG))
    try:
        for line in (20, 70):
            wait_until(lambda line=line: f"line {line}" in all_lines(user), 60, f"the arrival of line {line}")
            user.serve.kill()
            time.sleep(1.5)
            user.serve.start()
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    (run,) = user.runs()
    assert run["status"] == "success"
    lines = user.lines(run["id"])
    assert [line for line in lines if line.startswith("line")] == [f"line {i}" for i in range(150)]
    assert joined(lines) == joined([user.local_log()])
    printed = re.findall(r"\| (m\d+): *([\d.]+) \|", user.local_log())
    assert len(printed) >= 15
    for name, value in printed:
        assert user.values(run["id"], name).count(float(value)) == 1
    assert sum(metric["count"] for metric in user.get(f"/runs/{run['id']}/metrics")["metrics"]) == len(printed)


def all_lines(user: User) -> list[str]:
    """Return all lines of the newest run."""
    return [line for run in user.runs()[:1] for line in user.lines(run["id"])]


FOREVER = """
import time
from hyperdash import monitor

@monitor("for ever")
def train():
    for i in range(600):
        print("still here", i)
        time.sleep(0.2)

train()
"""


def test_ctrl_c_is_a_stopped_run(user: User, interrupt: Press, wait_until: Wait) -> None:
    """A script that is interrupted is a stopped run."""
    process = user.start("python", user.script(FOREVER))
    try:
        wait_until(lambda: len(all_lines(user)) > 3, 60, "the arrival of some lines")
        interrupt(process)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    (run,) = user.runs()
    assert run["status"] == "stopped"


def test_silence_is_a_lost_run(user: User, wait_until: Wait) -> None:
    """A script that is killed is a lost run half a minute later, and not before."""
    process = user.start("python", user.script(FOREVER))
    try:
        wait_until(lambda: len(all_lines(user)) > 3, 60, "the arrival of some lines")
    finally:
        process.kill()
        process.communicate()
    died = time.monotonic()
    assert user.runs()[0]["status"] == "running"
    wait_until(lambda: user.runs()[0]["status"] == "lost", 90, "the loss of the run")
    assert time.monotonic() - died > 20


def test_a_key_that_is_not_known(user: User) -> None:
    """A wrong key is told by its code, and the script ends as if nothing were."""
    code = MONITOR.replace('"dogs vs. cats"', '"dogs", api_key_getter=lambda: "wrong"')
    said = user.run("python", user.script(code))
    assert "Error from Hyperdash server: api_key_requred" in said
    assert user.runs() == []


def test_what_is_malformed_does_not_stop_the_rest(user: User) -> None:
    """A message that the server cannot take is dropped by the SDK, and the rest arrives."""
    code = EXPERIMENT.replace('exp.param("seed", 42)', 'exp._hd_client._server_manager.put_buf("[1]")')
    user.run("python", user.script(code))
    (run,) = user.runs()
    assert run["status"] == "success"
    assert any("malformed" in line for line in user.lines(run["id"]))


def test_two_users(user: User, newcomer: User) -> None:
    """One user's runs are not another's."""
    newcomer.run("hyperdash", "signup", "--email", typed="ben@example.org\nanother horse\n")
    user.run("hyperdash", "run", "-n", "of anna", "echo", "hello")
    assert [run["name"] for run in user.runs()] == ["of anna"]
    assert newcomer.runs() == []


def test_nothing_is_said_on_stderr(user: User, original: Any) -> None:
    """The SDK finds nothing to complain of."""
    process = user.start("python", user.script(MONITOR))
    out, err = process.communicate(timeout=60)
    assert "rror" not in out.replace("careful", "")
    assert err == "careful\n"
