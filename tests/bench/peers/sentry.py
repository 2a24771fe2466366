"""sentry-sdk with its structured logs switched on."""

from __future__ import annotations

import logging
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """The logging integration, which sends what loggers get."""

    def __init__(self, port: int, folder: Path) -> None:
        import sentry_sdk

        sentry_sdk.init(dsn=f"http://key@127.0.0.1:{port}/1", enable_logs=True)
        self._log = logging.getLogger("train")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        import sentry_sdk

        sentry_sdk.flush(60)


PEER = _Peer
