"""The standard QueueHandler, and behind it what people write by hand: a thread that posts up to 1,000 records at once.

A batch that fails is lost, as it is where nobody thought of it. Without a port there is no thread, and `close` empties
the queue: that is the cost of the handler alone, which others are compared with.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import threading
from pathlib import Path
from typing import Any

from tests.bench.peers import BasePeer
from tests.bench.peers.null_handler import Untouched

MOST = 1000
INTERVAL = 0.25


class _Peer(BasePeer):
    """QueueHandler on a SimpleQueue."""

    def __init__(self, port: int, folder: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/records"
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._log = Untouched("queue", logging.INFO)
        self._log.addHandler(logging.handlers.QueueHandler(self._queue))
        self._thread = threading.Thread(target=self._ship, daemon=True)
        if port:
            self._thread.start()

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        self._queue.put(None)
        if self._thread.ident:
            self._thread.join()
        else:
            for _ in iter(self._queue.get, None):
                pass

    def _ship(self) -> None:
        import requests

        with requests.Session() as session:
            more = True
            while more:
                batch: list[dict[str, object]] = []
                try:
                    record = self._queue.get()
                    while record is not None and len(batch) < MOST:
                        batch.append(self._event(record))
                        record = self._queue.get(timeout=INTERVAL)
                    more = record is not None
                    if record is not None:
                        batch.append(self._event(record))
                except queue.Empty:
                    pass
                try:
                    session.post(self._url, data=json.dumps(batch), timeout=10)
                except requests.RequestException:
                    continue

    @staticmethod
    def _event(record: logging.LogRecord) -> dict[str, object]:
        return {
            "time": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "file": f"{record.filename}:{record.lineno}",
        }


PEER = _Peer
