"""mlflow with a tracking server, not waiting for it."""

from __future__ import annotations

from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """`log_metric(..., synchronous=False)`; a record is a point."""

    def __init__(self, port: int, folder: Path) -> None:
        import mlflow

        mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
        mlflow.set_experiment("bench")
        self._mlflow = mlflow
        mlflow.start_run()

    def log(self, number: int) -> None:
        self._mlflow.log_metric("loss", 0.5, step=number, synchronous=False)

    def close(self) -> None:
        self._mlflow.flush_async_logging()


PEER = _Peer
