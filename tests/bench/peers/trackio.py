"""trackio without a Space: what it logs goes into a database on this machine."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """`trackio.log`; a record is a point."""

    def __init__(self, port: int, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder)
        import trackio

        self._trackio = trackio
        trackio.init(project="bench", name="run")

    def log(self, number: int) -> None:
        self._trackio.log({"loss": number + 0.5})

    def close(self) -> None:
        self._trackio.finish()

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        for path in folder.glob("*.db"):
            for (metrics,) in sqlite3.connect(path).execute("SELECT metrics FROM metrics"):
                text = metrics if isinstance(metrics, bytes) else str(metrics).encode()
                yield from (int(number) for number in re.findall(rb"(\d+)\.5\b", text))


PEER = _Peer
