"""An old interpreter with the original package in it, and a real server process that can be killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

PACKAGE = "hyperdash==0.15.3"
# It calls inspect.getargspec, which Python 3.11 no longer has.
VERSIONS = ("3.10", "3.9", "3.8", "3.7")
COMMAND = Path(sysconfig.get_path("scripts")) / "loghook"
PATIENCE = 60
EMAIL, PASSWORD = "anna@example.org", "correct horse"


def works(python: str | Path) -> bool:
    """Tell whether an interpreter starts and can make virtual environments; pyenv's shims may refuse to."""
    try:
        done = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, timeout=PATIENCE)
    except OSError:
        return False
    return done.returncode == 0


def old_interpreter() -> str | None:
    """Return a Python that the original package runs on: one on PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        found = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
        for python in found:
            if python and works(python):
                return str(python)
    return None


def installed(folder: Path, *packages: str) -> Path:
    """Make a virtual environment with packages from the index; skips the test, with the reason, where it cannot be."""
    python = old_interpreter()
    if python is None:
        pytest.skip(f"there is no Python {' or '.join(VERSIONS)} here for the original package")
    subprocess.run([python, "-m", "venv", folder], check=True, timeout=120)
    done = subprocess.run(
        [folder / "bin" / "pip", "install", "-q", *packages], capture_output=True, text=True, timeout=400
    )
    if done.returncode:
        pytest.skip(f"{' '.join(packages)} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return folder / "bin"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a virtual environment with the original package."""
    return installed(tmp_path_factory.mktemp("original") / "venv", PACKAGE)


@pytest.fixture(scope="session")
def original_with_tensorboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with TensorBoard."""
    return installed(tmp_path_factory.mktemp("tensorboard") / "venv", PACKAGE, "tensorboard")


class Serve:
    """`loghook serve`, as a process; killed and started again on the same port and home folder."""

    def __init__(self) -> None:
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert address, f"the server did not start: {said!r}"
        self.port = int(address[1])

    def kill(self) -> None:
        """Kill it, with no chance to finish anything."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE)
            self.process = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that runs."""
    server = Serve()
    server.start()
    yield server
    server.kill()


@dataclass
class User:
    """Somebody with a home folder of their own who uses the original programs, and reads what arrived."""

    programs: Path
    home: Path
    serve: Serve

    @property
    def environ(self) -> dict[str, str]:
        """The variables that they work with."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("LOGHOOK_", "HYPERDASH_"))}
        return {**ours, "HOME": str(self.home), "HYPERDASH_SERVER": self.serve.url, "PYTHONWARNINGS": "ignore"}

    def start(self, *command: str | Path, **more: Any) -> subprocess.Popen[str]:
        """Start one of the programs, without a terminal."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self.programs / command[0], *command[1:]],
            **{"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True, "start_new_session": True, **more},
            env=self.environ,
            cwd=self.home,
        )

    def run(self, *command: str | Path, typed: str = "", code: int = 0) -> str:
        """Run one of the programs to its end, type what it asks for, and return what it printed."""
        process = self.start(*command)
        try:
            out, err = process.communicate(typed, timeout=PATIENCE)
        finally:
            process.kill()
        assert process.returncode == code, (out, err)
        return out

    def script(self, text: str) -> Path:
        """Write a script."""
        path = self.home / "script.py"
        path.write_text(text, encoding="utf-8")
        return path

    def sign_up(self) -> str:
        """Sign up with the original command line; returns what it printed."""
        return self.run("hyperdash", "signup", "--email", typed=f"{EMAIL}\n{PASSWORD}\n")

    def stored(self) -> dict[str, str]:
        """What the command line stored."""
        content: dict[str, str] = json.loads((self.home / ".hyperdash" / "hyperdash.json").read_text())
        return content

    def get(self, path: str, **query: Any) -> Any:
        """Return what our read API answers to this user's key."""
        headers = {"Authorization": f"Bearer {self.stored()['api_key']}"}
        answer = requests.get(f"{self.serve.url}/api/v1{path}", params=query, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runs(self) -> list[dict[str, Any]]:
        """The runs that arrived, newest first."""
        found: list[dict[str, Any]] = self.get("/runs")["runs"]
        return found

    def lines(self, run: str, level: str = "") -> list[str]:
        """The lines of a run's log, of one level or all, without those that are metrics alone."""
        rows: list[dict[str, Any]] = []
        after = 0
        while page := self.get(f"/runs/{run}/logs", after=after, limit=5000)["logs"]:
            rows += page
            after = page[-1]["id"]
        return [row["message"] for row in rows if "metrics" not in row and level in ("", row["level"])]

    def values(self, run: str, name: str) -> list[float]:
        """The values of a metric."""
        return [value for _, _, value in self.get(f"/runs/{run}/metrics/{name}", max_points=0)["points"]]

    def local_log(self) -> str:
        """What the SDK wrote into its own log file: all that it captured, in order."""
        (file,) = (self.home / ".hyperdash" / "logs").rglob("*.log")
        return file.read_text()


@pytest.fixture
def user(original: Path, serve: Serve, tmp_path: Path) -> User:
    """A user who has signed up."""
    made = User(original, tmp_path / "user", serve)
    made.home.mkdir()
    made.sign_up()
    return made


@pytest.fixture
def newcomer(original: Path, serve: Serve, tmp_path: Path) -> User:
    """A user who has not signed up yet."""
    made = User(original, tmp_path / "newcomer", serve)
    made.home.mkdir()
    return made


@pytest.fixture
def tensorboard_user(original_with_tensorboard: Path, serve: Serve, tmp_path: Path) -> User:
    """A user of TensorBoard who has signed up."""
    made = User(original_with_tensorboard, tmp_path / "user", serve)
    made.home.mkdir()
    made.sign_up()
    return made


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[str]], None]:
    """Presses Ctrl-C in a program."""

    def press(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)

    return press


@pytest.fixture
def later() -> Iterator[Callable[[float, Callable[[], object]], None]]:
    """Does something on a thread after some seconds; waited for at the end of the test."""
    timers: list[threading.Timer] = []

    def do(seconds: float, work: Callable[[], object]) -> None:
        timers.append(threading.Timer(seconds, work))
        timers[-1].start()

    yield do
    for timer in timers:
        timer.join(PATIENCE)
