"""polyaxon-client of the 0.x platform: metrics from a script outside of a job."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """The client's periodic transport, by which its `Experiment` sends metrics."""

    def __init__(self, port: int, folder: Path) -> None:
        os.environ["HOME"] = str(folder)
        from polyaxon_client.client import PolyaxonClient

        self._client = PolyaxonClient(
            host="127.0.0.1", http_port=port, token="token", use_https=False, is_managed=False
        )
        self._experiment = self._client.experiment

    def log(self, number: int) -> None:
        self._experiment.create_metric("user", "project", 1, {"number": number}, periodic=True)

    def close(self) -> None:
        atexit._run_exitfuncs()  # the end of the program is what sends the rest; there is no other word for it


PEER = _Peer
