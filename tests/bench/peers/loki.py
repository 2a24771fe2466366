"""python-logging-loki: a handler on a queue, and one POST a record behind it."""

from __future__ import annotations

import logging
from multiprocessing import Queue
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """LokiQueueHandler, as the project's page has it."""

    def __init__(self, port: int, folder: Path) -> None:
        import logging_loki

        self._handler = logging_loki.LokiQueueHandler(
            Queue(-1), url=f"http://127.0.0.1:{port}/loki/api/v1/push", tags={"application": "bench"}, version="1"
        )
        self._log = logging.Logger("train", logging.INFO)
        self._log.addHandler(self._handler)

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        self._handler.listener.stop()


PEER = _Peer
