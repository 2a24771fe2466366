"""hyperdash: what a logger writes to the standard output that an experiment captures."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """`Experiment`, which captures standard output, and a StreamHandler that prints there."""

    def __init__(self, port: int, folder: Path) -> None:
        os.environ["HYPERDASH_SERVER"] = f"http://127.0.0.1:{port}"
        os.environ["HOME"] = str(folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        from hyperdash import Experiment

        self._experiment = Experiment("bench", api_key_getter=lambda: "a-key-for-benchmarks")
        self._log = logging.Logger("train", logging.INFO)
        self._log.addHandler(logging.StreamHandler(sys.stdout))

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        self._experiment.end()


PEER = _Peer
