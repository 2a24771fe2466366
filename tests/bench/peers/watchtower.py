"""watchtower: a handler for CloudWatch Logs."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """CloudWatchLogHandler with a boto3 client for the sink."""

    def __init__(self, port: int, folder: Path) -> None:
        import boto3
        import watchtower

        warnings.simplefilter("ignore")
        client = boto3.client(
            "logs",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="eu-central-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        self._handler = watchtower.CloudWatchLogHandler("bench", boto3_client=client)
        self._log = logging.Logger("train", logging.INFO)
        self._log.addHandler(self._handler)

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        self._handler.flush()
        self._handler.close()


PEER = _Peer
