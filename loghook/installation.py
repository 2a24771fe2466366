"""`install()`: the one line, and its undoing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loghook import session
from loghook.handler import LogHookHandler
from loghook.run import Run

__all__ = ["install", "uninstall"]

_LEVELS = ("LOGHOOK_LOG_LEVEL", "POLYAXON_LOG_LEVEL")


@dataclass
class _Installation:
    handler: LogHookHandler
    logger: logging.Logger
    level: int
    last_resort: logging.Handler | None

    def keep(self) -> None:
        """Put the handler back after a foreign dictConfig, fileConfig or basicConfig(force=True) took it away."""
        if self.handler not in self.logger.handlers:
            self.logger.addHandler(self.handler)
            self.handler.run.voice.say("the logging configuration was replaced; loghook's handler is back in its place")


_installed: list[_Installation] = []


def install(
    name: str | None = None,
    *,
    logger: logging.Logger | str | None = None,
    params: Mapping[str, Any] | None = None,
    api_key_getter: Callable[[], str | None] | None = None,
    **settings: Any,
) -> Run:
    """Send every record of `logger` (the root logger if None) to the platform, from now on; return the run.

    `name` is the run's name; `params` any JSON values to show with it; `api_key_getter` a function that returns the API
    key, asked again every 300 s; `settings` those of the settings table, which come before environment and files.
    A second call is the same installation. It opens no connection, needs no server, and returns in milliseconds.
    Raises ConfigurationError for an unknown setting or a wrong value among the arguments, and for nothing else.

    The logger's level becomes the one that `level` or the environment asks for; without either it is only lowered to
    INFO if it was higher. Call it after `logging.basicConfig`, which does nothing once the root logger has a handler.
    """
    if _installed:
        run = _installed[0].handler.run
        if name and name != run.name:
            run.voice.say(f"install({name!r}) goes on with {run.name!r}; call loghook.uninstall() before another run")
        if params:
            run.params(params)
        return run
    run = session.open_run({"name": name, **settings}, params=params, api_key_getter=api_key_getter)
    target = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)
    handler = LogHookHandler(run.name)
    last_resort = None if target.hasHandlers() else logging.lastResort
    installation = _Installation(handler, target, target.level, last_resort)
    if last_resort:  # without any handler logging prints warnings; with ours alone it would stop doing so
        target.addHandler(last_resort)
    if (
        settings.get("level") is not None
        or any(os.environ.get(variable) for variable in _LEVELS)
        or target.getEffectiveLevel() > run.settings.level
    ):
        target.setLevel(run.settings.level)
    target.addHandler(handler)
    _installed.append(installation)
    run.chores.append(installation.keep)
    return run


def uninstall() -> None:
    """Undo `install`: handler, level and hooks are as before; the run ends, delivered in the shutdown timeout."""
    while _installed:
        installation = _installed.pop()
        run = installation.handler.run
        if installation.keep in run.chores:
            run.chores.remove(installation.keep)
        installation.logger.removeHandler(installation.handler)
        if installation.last_resort:
            installation.logger.removeHandler(installation.last_resort)
        installation.logger.setLevel(installation.level)
        session.close(run)
        installation.handler.close()
