"""How users call loghook, for the type checker alone: nothing here runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import loghook
from loghook.transports import Batch, Delivered, Outcome, Refused, Transport, TryLater


def key() -> str | None:
    """A key getter may have no key."""
    return None


def one_line() -> None:
    """Everything that install takes and gives."""
    run: loghook.Run = loghook.install("dogs vs. cats")
    loghook.install()
    loghook.install("named", logger="train", params={"rate": 0.1, "layers": [64, 10]}, api_key_getter=key)
    loghook.install("named", logger=logging.getLogger("train"), url="http://127.0.0.1:7707", level="DEBUG")
    loghook.install("named", home=Path("/tmp/home"), flush_interval=0.1, quiet=True)
    run_id: str = run.id
    run.param("seed", 42)
    run.metric("loss", 0.5)
    run.metric("loss", 0.5, step=3)
    run.end("failure", exception=f"{run_id} went wrong")
    arrived: bool = loghook.flush(10)
    arrived = loghook.flush() and arrived
    counters: dict[str, Any] = loghook.stats()
    accepted: int = counters["accepted"]
    loghook.uninstall()
    print(arrived, accepted, loghook.__version__, loghook.get_log_level())


def handler() -> None:
    """The handler is a logging.Handler, and its formatter a logging.Formatter."""
    made: logging.Handler = loghook.LogHookHandler("named", url="http://127.0.0.1:7707", api_key_getter=key)
    made.setFormatter(loghook.LogHookFormatter())
    logging.getLogger().addHandler(made)
    line: bytes = loghook.LogHookFormatter(message_limit=1000).event(logging.makeLogRecord({}))
    print(line)


def experiments() -> None:
    """What users of Hyperdash know, with its types."""
    with loghook.Experiment("named", api_key_getter=key, capture_io=False, url="http://127.0.0.1:7707") as exp:
        rate: float = exp.param("rate", 0.1)
        exp.metric("loss", rate, log=False, step=3)
        for i in exp.iter(3):
            exp.log(i + 1)
        exp.end("stopped", reason="enough")

    @loghook.monitor("named", api_key_getter=key)
    def train(rate: float) -> str:
        return str(rate)

    trained: str = train(rate)
    print(trained, exp.callbacks.keras)


def errors() -> None:
    """One class catches all errors of loghook's."""
    try:
        loghook.install(no_such_setting=1)
    except loghook.ConfigurationError as error:
        print(error)
    except loghook.LoghookError as error:
        print(error)


class PrintTransport(Transport):
    """A transport of one's own."""

    def send(self, batch: Batch) -> Outcome:
        """Each kind of outcome can be returned."""
        if not batch.body:
            return TryLater("nothing came", after=1.0)
        if batch.count > 100:
            return Refused("too many", too_large=True)
        return Delivered(batch.next)

    def close(self) -> None:
        """Nothing to close."""
