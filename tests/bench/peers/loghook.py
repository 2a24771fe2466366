"""loghook itself, sending by its own protocol; others of its transports are this with another URL."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """LogHookHandler on a logger."""

    scheme = "http"
    place = ""

    def __init__(self, port: int, folder: Path) -> None:
        os.environ["LOGHOOK_HOME"] = str(folder)
        os.environ["LOGHOOK_API_KEY"] = "a-key-for-benchmarks"
        import loghook

        self._log = logging.Logger("train", logging.INFO)
        url = f"{self.scheme}://127.0.0.1:{port}{self.place}" if port else None
        self._log.addHandler(loghook.LogHookHandler("bench", url=url))

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        import loghook

        loghook.flush(60)

    pattern = rb"record (\d{7})"

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        from loghook.spool import writers

        for spool in writers(folder):
            offset = spool.first
            while body := spool.read(offset, 1 << 20):
                offset += len(body)
                yield from (int(number) for number in re.findall(cls.pattern, body))


PEER = _Peer
