"""What every figure is taken over: the call itself, with a handler that does nothing."""

from __future__ import annotations

import logging
from pathlib import Path

from tests.bench.peers import BasePeer


class Untouched(logging.Logger):
    """A logger that stays as it is where a peer replaces the method of all loggers."""

    callHandlers = logging.Logger.callHandlers


class _Peer(BasePeer):
    """A NullHandler."""

    def __init__(self, port: int, folder: Path) -> None:
        self._log = Untouched("null", logging.INFO)
        self._log.addHandler(logging.NullHandler())

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)


PEER = _Peer
