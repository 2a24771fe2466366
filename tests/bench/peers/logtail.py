"""logtail-python: the handler for Better Stack."""

from __future__ import annotations

import logging
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """LogtailHandler with its defaults."""

    def __init__(self, port: int, folder: Path) -> None:
        from logtail import LogtailHandler

        self._handler = LogtailHandler(source_token="token", host=f"http://127.0.0.1:{port}/logtail")
        self._log = logging.Logger("train", logging.INFO)
        self._log.addHandler(self._handler)

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        self._handler.flush()


PEER = _Peer
