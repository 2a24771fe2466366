"""loguru: a file, written by a thread of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """`logger.add(..., enqueue=True)`."""

    def __init__(self, port: int, folder: Path) -> None:
        from loguru import logger

        logger.remove()
        logger.add(folder / "train.log", enqueue=True)
        self._logger = logger

    def log(self, number: int) -> None:
        self._logger.info("record {:07d}", number)

    def close(self) -> None:
        self._logger.complete()

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        return (int(number) for number in re.findall(r"record (\d{7})", (folder / "train.log").read_text()))


PEER = _Peer
