"""Polyaxon's original clients, unchanged, against a real `loghook serve`: all that they send is in the read API.

Each has a virtual environment of its own, because they need old packages, and the later ones an old Python. A script
that is done waits for a file: what its client still has queued at exit would be lost, which is the client's own fault.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE = 120.0
METRICS = 450
"""More than twice as many as make the client's worker send at once, so that it also sends requests without a body."""


def interpreter(version: str) -> str:
    """Return a Python of a version, from PATH or pyenv; skip the test where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [sys.executable, shutil.which(f"python{version}")]
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    code = "import ssl, sys, venv; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        # One of pyenv's shims is on PATH for versions, too, that it then refuses to run.
        asked = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        if asked.stdout.strip() == version:
            return str(candidate)
    pytest.skip(f"there is no Python {version}, neither on PATH nor below {pyenv}")


def environment(folder: Path, version: str, *installs: list[str]) -> Path:
    """Make a virtual environment, install into it, and return its Python."""
    subprocess.run([interpreter(version), "-m", "venv", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    for install in installs:
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *install]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def first_helper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python 3.11 with polyaxon-helper 0.0.9.

    It asks for a requests that no Python from 3.10 on can import, and for six not at all though it imports it.
    """
    folder = tmp_path_factory.mktemp("helper") / "venv"
    return environment(folder, "3.11", ["requests", "six"], ["--no-deps", "polyaxon-helper==0.0.9"])


@pytest.fixture(scope="module")
def later_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python 3.7 with polyaxon-client and polyaxon-helper 0.5.0; its Jinja and its requests need the two limits."""
    packages = ["polyaxon-client==0.5.0", "polyaxon-helper==0.5.0", "markupsafe<2.1", "urllib3<2"]
    return environment(tmp_path_factory.mktemp("client") / "venv", "3.7", packages)


@dataclass
class Serving:
    """A `loghook serve` that runs: where it answers, and the key that it made."""

    url: str
    key: str

    def read(self, path: str, **query: Any) -> Any:
        """Return what the read API answers."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = requests.get(f"{self.url}/api/v1/{path}", params=query, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def run(self, name: str) -> dict[str, Any]:
        """Return the one run of a name, {} while there is none."""
        found = [run for run in self.read("runs")["runs"] if run["name"] == name]
        assert len(found) < 2
        return dict(self.read(f"runs/{found[0]['id']}")) if found else {}

    def points(self, run: dict[str, Any], name: str) -> list[Any]:
        """Return the values of a run's metric."""
        names = [metric["name"] for metric in self.read(f"runs/{run['id']}/metrics")["metrics"]]
        if name not in names:
            return []
        return [value for _, _, value in self.read(f"runs/{run['id']}/metrics/{name}", max_points=0)["points"]]

    def lines(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a run's log lines, but for those that are metrics."""
        found = self.read(f"runs/{run['id']}/logs", limit=5000)["logs"]
        return [line for line in found if "metrics" not in line]


@pytest.fixture
def serving(home: Path) -> Iterator[Serving]:
    """A server in a process of its own, as the command starts it."""
    command = [sys.executable, "-m", "loghook", "serve", "--port", "0", "--home", str(home)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Sign in:"):
                break
        assert "server at" in said[0], "".join(said)
        yield Serving(said[0].split()[-1], json.loads((home / "loghook.json").read_text())["api_key"])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def script(python: Path, folder: Path, code: str, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a folder, with variables and none of ours; it may wait for the file `go`."""
    wait = "\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n"
    (folder / "train.py").write_text(textwrap.dedent(code).replace("WAIT", wait))
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [str(python), "train.py"],
        cwd=folder,
        env={**kept, "HOME": str(folder), "GIT_CEILING_DIRECTORIES": str(folder.parent), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str], folder: Path) -> str:
    """Let a script end, and return what it printed."""
    (folder / "go").touch()
    return process.communicate(timeout=PATIENCE)[0]


FIRST = """
    import polyaxon_helper
    for step in range(50):
        polyaxon_helper.send_metrics(loss=1 / (step + 1), accuracy=step)
    polyaxon_helper.send_metrics(loss=float("nan"))
    print(polyaxon_helper.get_experiment_info()["experiment_name"])
"""


def test_the_first_helper(serving: Serving, first_helper: Path, tmp_path: Path) -> None:
    """polyaxon-helper 0.0.9 sends its metrics, each of them, NaN too, into a run of its project."""
    info = {
        "project_name": "alice.mnist",
        "experiment_name": "alice.mnist.3.5",
        "experiment_group_name": "alice.mnist.3",
    }
    variables = {
        "POLYAXON_API": serving.url,
        "POLYAXON_USER_TOKEN": serving.key,
        "POLYAXON_EXPERIMENT_INFO": json.dumps(info),
    }
    with script(first_helper, tmp_path, FIRST, variables) as process:
        assert finish(process, tmp_path) == "alice.mnist.3.5\n"
        assert process.returncode == 0
    run = serving.run("alice.mnist.5")
    assert (run["source"], run["project"], run["status"]) == ("polyaxon", "alice.mnist", "running")
    assert serving.points(run, "loss") == [*(1 / (step + 1) for step in range(50)), "NaN"]
    assert serving.points(run, "accuracy") == list(range(50))


MANAGED = """
    from polyaxon_client import settings
    # Where a token that was exchanged is kept: by default below /tmp, where it would outlive the test.
    settings.TMP_POLYAXON_PATH, settings.TMP_AUTH_TOKEN_PATH = ".", "token"
    import polyaxon_helper
    experiment = polyaxon_helper.experiment
    for step in range(METRICS):
        polyaxon_helper.send_metrics(loss=1 / (step + 1))
    experiment.log_params(lr=0.1, layers=[64, 10])
    experiment.log_params(seed=1)
    experiment.log_tags("a, b")
    experiment.set_description("two layers")
    experiment.log_code_ref()
    experiment.send_logs("2026-11-21 17:07:00 UTC WARNING train -- two\\nlines")
    experiment.send_logs("as it is")
    experiment.log_failed(message="it broke", traceback="Traceback\\nValueError: x")
    print(experiment.experiment_id)
    WAIT
"""


@pytest.mark.parametrize("token", ["POLYAXON_SECRET_USER_TOKEN", "POLYAXON_SECRET_EPHEMERAL_TOKEN"])
def test_a_managed_experiment(
    serving: Serving, later_client: Path, tmp_path: Path, wait_until: Callable[..., None], token: str
) -> None:
    """In a job, polyaxon-client 0.5.0 sends metrics, params, tags, logs and statuses by either token."""
    info = {"project_name": "alice.mnist", "experiment_name": "alice.mnist.5"}
    variables = {
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_API_HTTP_HOST": serving.url,
        token: serving.key,
        "POLYAXON_EXPERIMENT_INFO": json.dumps(info),
        "POLYAXON_RUN_OUTPUTS_PATH": str(tmp_path),
    }
    code = MANAGED.replace("METRICS", str(METRICS))
    with script(later_client, tmp_path, code, variables) as process:

        def has_all() -> bool:
            run = serving.run("alice.mnist.5")
            return bool(run) and run["status"] == "failure" and len(serving.points(run, "loss")) == METRICS

        try:
            wait_until(lambda: has_all() or process.poll() is not None, PATIENCE, "all of the run")
        finally:
            said = finish(process, tmp_path)
    assert process.returncode == 0, said
    run = serving.run("alice.mnist.5")
    assert (run["status"], run["reason"], run["exception"]) == ("failure", "it broke", "Traceback\nValueError: x"), said
    assert serving.points(run, "loss") == [1 / (step + 1) for step in range(METRICS)]
    assert run["params"] == {"lr": 0.1, "layers": [64, 10], "seed": 1}
    assert (run["tags"], run["description"]) == (["a", "b"], "two layers")
    assert (run["project"], run["source"], run["argv"]) == ("alice.mnist", "polyaxon", ["train.py"])
    assert run["host"]
    assert run["python"].startswith("3.7.")
    lines = {line["message"]: line for line in serving.lines(run)}
    assert set(lines) == {"two\nlines", "as it is", "it broke"}
    assert (lines["two\nlines"]["level"], lines["two\nlines"]["logger"]) == ("WARNING", "train")
    assert lines["two\nlines"]["time"] == 1_795_280_820.0


UNMANAGED = """
    import logging
    from polyaxon_client.tracking import Experiment
    experiment = Experiment(project="mnist")
    experiment.create(name="by-hand", tags=["a"], description="outside of any job")
    log = logging.getLogger("train")
    for step in range(METRICS):
        experiment.log_metrics(loss=1 / (step + 1), accuracy=step)
        log.info("epoch {} is over".format(step))
    log.error("two\\nlines")
    experiment.log_params(lr=0.1)
    WAIT
    LAST
"""


@pytest.mark.parametrize(
    ("last", "status", "reason"),
    [
        ("", "success", None),
        ("raise ValueError('broken')", "failure", "Type: <class 'ValueError'>, Value: broken"),
        ("experiment.log_stopped()", "stopped", None),
    ],
)
def test_an_experiment_by_hand(
    serving: Serving,
    later_client: Path,
    tmp_path: Path,
    wait_until: Callable[..., None],
    last: str,
    status: str,
    reason: str | None,
) -> None:
    """Outside of a job, polyaxon-client 0.5.0 creates an experiment, tracks it with its log, and ends it."""
    host, _, port = serving.url.rpartition("/")[2].rpartition(":")
    variables = {
        "POLYAXON_API_HOST": host,
        "POLYAXON_HTTP_PORT": port,
        "POLYAXON_SECRET_USER_TOKEN": serving.key,
    }
    code = UNMANAGED.replace("METRICS", str(METRICS)).replace("LAST", last)
    with script(later_client, tmp_path, code, variables) as process:

        def has_all() -> bool:
            run = serving.run("by-hand")
            return (
                bool(run)
                and bool(run["params"])
                and len(serving.points(run, "accuracy")) == METRICS
                and len(serving.lines(run)) == METRICS + 1
            )

        try:
            wait_until(lambda: has_all() or process.poll() is not None, PATIENCE, "all of the run")
            before = serving.run("by-hand").get("status")
        finally:
            said = finish(process, tmp_path)
    assert before == "running", said
    run = serving.run("by-hand")
    assert (run["status"], run["reason"]) == (status, reason), said
    assert serving.points(run, "loss") == [1 / (step + 1) for step in range(METRICS)]
    assert (run["params"], run["tags"], run["description"]) == ({"lr": 0.1}, ["a"], "outside of any job")
    assert (run["project"], run["source"]) == ("local.mnist", "polyaxon")
    lines = [line for line in serving.lines(run) if line["logger"] != "polyaxon" or "Type:" not in line["message"]]
    assert [line["message"] for line in lines] == [f"epoch {step} is over" for step in range(METRICS)] + ["two\nlines"]
    assert {line["level"] for line in lines} == {"INFO", "ERROR"}
