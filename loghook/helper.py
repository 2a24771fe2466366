"""`send_metrics`, for those who come from polyaxon-helper."""

from __future__ import annotations

import time
from typing import Any

from loghook import session
from loghook.installation import install
from loghook.metrics import numbers
from loghook.voice import Voice

__all__ = ["send_metrics"]

_voice = Voice()


def send_metrics(*, step: int | None = None, **metrics: Any) -> None:
    """Record some metrics, as a log call with `extra={"metrics": ...}` would: it never waits and never raises.

    `step` may be left out, repeated, or out of order. Before `install()` it installs what the environment says. No
    level keeps it back.
    """
    try:
        run = session.current() or install()
        found = numbers(metrics)
        event: dict[str, Any] = {"time": time.time(), "level": "INFO", "logger": "loghook", "message": ""}
        if found.values:
            event["metrics"] = found.values
        if found.rest:
            event["extra"] = {"metrics": found.rest}
            run.formatter.note_odd(found.rest)
        if step is not None:
            event["step"] = step
        run.put(event)
    except Exception as error:
        _voice.say(f"metrics could not be recorded: {type(error).__name__}: {error}", about="send_metrics")
