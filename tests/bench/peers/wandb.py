"""wandb, offline: what it logs goes into a file, by way of a process of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """`run.log` in offline mode; a record is a point."""

    def __init__(self, port: int, folder: Path) -> None:
        os.environ.update({"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder)})
        import wandb

        self._run = wandb.init(project="bench", dir=str(folder), settings=wandb.Settings(console="off"))

    def log(self, number: int) -> None:
        self._run.log({"loss": number + 0.5})

    def close(self) -> None:
        self._run.finish()

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        for path in folder.glob("**/*.wandb"):
            yield from (int(number) for number in re.findall(rb"(\d+)\.5\b", path.read_bytes()))


PEER = _Peer
