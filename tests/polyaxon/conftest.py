"""The real Polyaxon server in a process of its own, killed and started again as a test likes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

PATIENCE = 90.0
WHERE = (
    "no Polyaxon server: make a virtual environment, `pip install 'haupt[sandbox]==2.18.0'` there, "
    "and name its bin/haupt in LOGHOOK_HAUPT; `tox -e polyaxon` does that"
)
OPTIONS = {
    "POLYAXON_SERVICE": "api",
    "POLYAXON_UI_IN_SANDBOX": "true",
    "POLYAXON_UI_OFFLINE": "true",
    "KUBECONFIG": "/dev/null",
    "POLYAXON_DB_OPTIONS": '{"transaction_mode": "IMMEDIATE", "timeout": 30}',
}


class Haupt:
    """The server, always on the same port and with the same folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        folders = {"POLYAXON_HOME": ".", "POLYAXON_LOG_ROOT": "logs", "POLYAXON_ARCHIVES_ROOT": "archives"}
        environ = {**OPTIONS, **{name: str(self.folder / path) for name, path in folders.items()}, "HOME": str(home)}
        environ["PATH"] = f"{Path(self.program).parent}:/usr/bin:/bin"
        command = [self.program, "sandbox", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--workers", "1", "--path", str(self.folder)],
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the server does not come up"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it without warning, with whatever it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def get(self, path: str, **params: str) -> Any:
        """What it answers, as JSON."""
        answer = requests.get(f"{self.url}{path}", params=params, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def run(self, project: str, uuid: str) -> RunOnServer:
        """A run as the server has it."""
        return RunOnServer(self, project, uuid)


class RunOnServer:
    """One run, read through the API."""

    def __init__(self, server: Haupt, project: str, uuid: str) -> None:
        self._server = server
        self._api = f"/api/v1/default/{project}/runs/{uuid}"
        self._streams = f"/streams/v1/polyaxon/default/{project}/runs/{uuid}"

    def record(self) -> dict[str, Any]:
        """All that is kept of it."""
        return dict(self._server.get(self._api))

    def statuses(self) -> list[tuple[str, str]]:
        """Types and messages of its statuses, in order."""
        conditions = self._server.get(f"{self._api}/statuses")["status_conditions"]
        return [(condition["type"], condition["message"]) for condition in conditions]

    def points(self, name: str) -> list[tuple[int, float | None]]:
        """Steps and values of a metric, null for NaN, in the order of its file."""
        (found,) = self._server.get(f"{self._streams}/events/metric", names=name, force="true")["data"]
        return list(zip(found["data"]["step"], found["data"]["metric"], strict=True))

    def log(self) -> list[dict[str, Any]]:
        """The lines of its log, in order."""
        return list(self._server.get(f"{self._streams}/logs", force="true")["logs"])

    def summaries(self) -> dict[str, Any]:
        """The summary of each metric."""
        found = self._server.get(f"{self._api}/lineage/artifacts", limit="100")["results"]
        return {artifact["name"]: artifact["summary"] for artifact in found}


@pytest.fixture
def haupt(tmp_path: Path) -> Iterator[Haupt]:
    """A server with an empty folder."""
    program = os.environ.get("LOGHOOK_HAUPT") or HAUPT or shutil.which("haupt")
    if not program or not Path(program).exists():
        pytest.skip(WHERE)
    folder = tmp_path / "server"
    folder.mkdir()
    server = Haupt(program, folder)
    server.start()
    yield server
    server.kill()


HAUPT = os.environ.get("LOGHOOK_HAUPT")
"""The tests' environment is scrubbed of it."""


def written(path: Path, **values: Any) -> None:
    """Write values as JSON, in one step."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(values))
    part.replace(path)
