"""`install()`: the one line, and its undoing."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loghook import session
from loghook.handler import LogHookHandler
from loghook.run import Run

__all__ = ["install", "uninstall"]

_LEVELS = ("LOGHOOK_LOG_LEVEL", "POLYAXON_LOG_LEVEL")


class _LastResort(logging.Handler):
    """Prints what logging itself prints where no handler is, and would no longer print because ours is there."""

    def __init__(self, ours: LogHookHandler) -> None:
        super().__init__(logging.WARNING)
        self._ours = ours

    def handle(self, record: logging.LogRecord) -> bool:
        """Hand a record that no other handler gets to `logging.lastResort`."""
        last = logging.lastResort
        if last is None or record.levelno < last.level or self._has_others(logging.getLogger(record.name)):
            return False
        return bool(last.handle(record))

    def _has_others(self, logger: logging.Logger | None) -> bool:
        while logger is not None:
            if any(handler is not self and handler is not self._ours for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


class _AsBefore(logging.Filter):
    """Keeps from the handlers that were there what the logger's level kept from them before we lowered it."""

    def __init__(self, target: logging.Logger) -> None:
        super().__init__()
        self._target = target
        self.level = target.getEffectiveLevel()
        self.handlers: list[logging.Handler] = []

    def attach(self) -> None:
        """Put the filter on all handlers that the logger's records reach now."""
        logger: logging.Logger | None = self._target
        while logger is not None:
            self.handlers += logger.handlers
            logger = logger.parent if logger.propagate else None
        for handler in self.handlers:
            handler.addFilter(self)

    def detach(self) -> None:
        """Take the filter away again."""
        for handler in self.handlers:
            handler.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass if the level of before, or a level of its own logger's, would have."""
        if record.levelno >= self.level:
            return True
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None and logger is not self._target:
            if logger.level:
                return True
            logger = logger.parent
        return logger is None


@dataclass
class _Installation:
    handler: LogHookHandler
    logger: logging.Logger
    level: int
    level_set: int
    last_resort: logging.Handler | None
    as_before: _AsBefore

    def keep(self) -> None:
        """Put the handler back after a foreign dictConfig, fileConfig or basicConfig(force=True) took it away."""
        if not self.handler.was_closed and self.handler in self.logger.handlers:
            return
        with getattr(logging, "_lock", contextlib.nullcontext()):  # a configuration holds it until it is done
            self.handler.was_closed = False
            if self.handler in self.logger.handlers:
                return
            if self.last_resort:
                self.logger.addHandler(self.last_resort)
            self.logger.addHandler(self.handler)
        self.handler.run.voice.say(
            "the logging configuration was replaced; loghook's handler is back in its place, "
            "but has missed what was logged in between"
        )


_installed: list[_Installation] = []
_installing = [threading.RLock()]


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
    INFO if it was higher. Handlers that are there already go on getting what they got before. Call it after
    `logging.basicConfig`, which does nothing once the root logger has a handler.
    """
    with _installing[0]:
        return _install(name, logger, params, api_key_getter, settings)


def _install(
    name: str | None,
    logger: logging.Logger | str | None,
    params: Mapping[str, Any] | None,
    api_key_getter: Callable[[], str | None] | None,
    settings: Mapping[str, Any],
) -> Run:
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
    last_resort = None if target.hasHandlers() else _LastResort(handler)
    level, as_before = target.level, _AsBefore(target)
    if (
        settings.get("level") is not None
        or any(os.environ.get(variable) for variable in _LEVELS)
        or target.getEffectiveLevel() > run.settings.level
    ):
        target.setLevel(run.settings.level)
    if target.getEffectiveLevel() < as_before.level:
        as_before.attach()
    installation = _Installation(handler, target, level, target.level, last_resort, as_before)
    if last_resort:
        target.addHandler(last_resort)
    target.addHandler(handler)
    _installed.append(installation)
    run.chores.append(installation.keep)
    return run


def uninstall() -> None:
    """Undo `install`: handler, level and hooks are as before; the run ends, delivered in the shutdown timeout."""
    with _installing[0]:
        while _installed:
            _undo(_installed.pop())


def _undo(installation: _Installation) -> None:
    run = installation.handler.run
    if installation.keep in run.chores:
        run.chores.remove(installation.keep)
    installation.logger.removeHandler(installation.handler)
    if installation.last_resort:
        installation.logger.removeHandler(installation.last_resort)
    installation.as_before.detach()
    if installation.logger.level == installation.level_set:  # else it is somebody else's by now
        installation.logger.setLevel(installation.level)
    session.close(run)
    installation.handler.close()


def _forked() -> None:
    """In a forked child: whoever held the lock is not here."""
    _installing[0] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
