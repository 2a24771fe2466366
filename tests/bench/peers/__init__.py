"""What people would use: one module a peer, each with a class, its `PEER`, that does what the peer's own
documentation shows.

A module is imported in the peer's own environment, where nothing else is installed, loghook neither. Only `PEERS`,
which says what to install, is read outside.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "About", "BasePeer", "load"]


@dataclass(frozen=True)
class About:
    """A peer as the table names it, what to install for it, and what is worth measuring.

    `package` is the one whose version is told; `delivers`: it sends to a server; `keeps`: it leaves something behind
    when it is killed, or sends; `records`: as many as it delivers in a few seconds; `calls`: a block of calls.
    """

    title: str
    requirements: tuple[str, ...] = ()
    package: str = ""
    python: str = ""
    delivers: bool = True
    keeps: bool = True
    records: int = 50_000
    calls: int = 250
    pattern: str = ""


PEERS: dict[str, About] = {
    "loghook": About("**loghook**"),
    "loghook_hyperdash": About("**loghook** to a Hyperdash server"),
    "loghook_polyaxon": About("**loghook** to Polyaxon 0.x (metrics)", pattern=r'"number": ?(\d+)'),
    "queue_handler": About("`QueueHandler`, hand-made batching POST", ("requests",), "requests"),
    "file_handler": About("`FileHandler`", delivers=False),
    "trackio": About("trackio, local", ("trackio",), "trackio", delivers=False, records=20_000),
    "watchtower": About("watchtower", ("watchtower",), "watchtower"),
    "loki": About("python-logging-loki", ("python-logging-loki",), "python-logging-loki", records=3_000),
    "polyaxon": About(
        "polyaxon-client (metrics)",
        ("polyaxon-client==0.6.1", "markupsafe<2.1", "urllib3<2"),
        "polyaxon-client",
        python="3.9",
        pattern=r'"number": (\d+)',
        records=20_000,
    ),
    "opentelemetry": About(
        "OpenTelemetry SDK, OTLP/HTTP",
        ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
        "opentelemetry-sdk",
        records=20_000,
    ),
    "hyperdash": About(
        "hyperdash (standard output)", ("hyperdash==0.15.3",), "hyperdash", python="3.10", records=10_000
    ),
    "logtail": About("logtail", ("logtail-python",), "logtail-python", records=20_000),
    "sentry": About("sentry-sdk logs", ("sentry-sdk",), "sentry-sdk", records=20_000),
    "loguru": About("loguru, enqueue", ("loguru",), "loguru", delivers=False),
    "tensorboardx": About("tensorboardX", ("tensorboardX",), "tensorboardX", delivers=False, records=10_000),
    "wandb": About("wandb, offline", ("wandb",), "wandb", delivers=False, records=10_000, calls=50),
    "mlflow": About(
        "mlflow, async", ("mlflow-skinny",), "mlflow-skinny", records=1_000, calls=20, pattern=r'"step": "?(\d+)'
    ),
}


class BasePeer(ABC):
    """One way to log. Made in a process of its own; what it keeps on disk goes into `folder`."""

    @abstractmethod
    def __init__(self, port: int, folder: Path) -> None:
        """Set it up as its documentation shows, to send to 127.0.0.1:`port`."""

    @abstractmethod
    def log(self, number: int) -> None:
        """Log the record with this number, or a metric where records are not what the peer takes."""

    def close(self) -> None:  # noqa: B027 - not every peer needs it
        """What the documentation says is done at the end."""

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        """The numbers of the records in what it left behind."""
        return ()


def load(name: str) -> type[BasePeer]:
    """Return a peer's class."""
    peer: type[BasePeer] = importlib.import_module(f"tests.bench.peers.{name}").PEER
    return peer
