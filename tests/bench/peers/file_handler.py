"""The standard FileHandler: one write to the file a record."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """FileHandler, without a format."""

    def __init__(self, port: int, folder: Path) -> None:
        self._log = logging.Logger("train", logging.INFO)
        self._log.addHandler(logging.FileHandler(folder / "train.log"))

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        return (int(number) for number in re.findall(r"record (\d{7})", (folder / "train.log").read_text()))


PEER = _Peer
