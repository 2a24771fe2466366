"""`LogHookHandler`: a `logging.Handler` whose queue is the spool.

It is no subclass of `logging.handlers.QueueHandler`: from 3.12 on dictConfig treats those in its own way, gives them a
queue and a listener that would run beside ours, and in 3.12.0 and 3.12.1 refuses one that names neither.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from loghook import session
from loghook.ending import ending
from loghook.formatter import LogHookFormatter
from loghook.run import Run
from loghook.threads import own_threads

__all__ = ["LogHookHandler"]

_LAST = 0.5
"""Seconds, at least, for what is logged last of all."""


class LogHookHandler(logging.Handler):
    """Puts each record as an event into the spool of this process's run; the log call returns once it is safe there.

    A call costs a copy into mapped memory: no system call, no lock, no network. It never raises.
    """

    _has_own_filter = False

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls._has_own_filter = cls.filter is not logging.Handler.filter

    def __init__(
        self, name: str | None = None, *, api_key_getter: Callable[[], str | None] | None = None, **settings: Any
    ) -> None:
        """Join this process's run, or open it.

        `name` is the run's, `api_key_getter` a function that returns the API key, `settings` those of the settings
        table. Raises ConfigurationError for an unknown setting or a wrong value.
        """
        run = session.open_run({"name": name, **settings}, api_key_getter=api_key_getter)
        super().__init__()  # which lets logging call us at its shutdown, so only now
        self.run: Run = run
        self.was_closed = False
        """Whether somebody closed this handler while the program goes on, as a new logging configuration does."""
        self._event: Callable[[logging.LogRecord], bytes] = run.formatter.event
        self.spool = run.spool
        self.setLevel(run.settings.level)
        self.setFormatter(run.formatter)

    def __repr__(self) -> str:
        return f"<LogHookHandler {self.run.name!r} ({logging.getLevelName(self.level)})>"

    def setFormatter(self, fmt: logging.Formatter | None) -> None:
        """Take another formatter; one that is no `LogHookFormatter` makes the event's message."""
        super().setFormatter(fmt)
        if fmt is None:
            self._event = self.run.formatter.event
        elif isinstance(fmt, LogHookFormatter):
            self.run.adopt(fmt)
            self._event = fmt.event
        else:
            self._event = self._reworded

    def _reworded(self, record: logging.LogRecord) -> bytes:
        """Return the event with the other formatter's text as its message; tracebacks have keys of their own."""
        assert self.formatter is not None
        bare, reworded = copy.copy(record), copy.copy(record)
        bare.exc_info = bare.exc_text = bare.stack_info = None
        try:
            reworded.msg, reworded.args = self.formatter.format(bare), None
        except Exception as error:
            name = type(self.formatter).__name__
            self.run.voice.say(f"{name} can't format a record of logger {record.name!r} ({error!r})", about=name)
            return self.run.formatter.event(record)
        return self.run.formatter.event(reworded)

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit, without the lock that `logging.Handler` takes: appending to the spool needs none."""
        if self.filters or self._has_own_filter:
            passed: Any = self.filter(record)
            if not passed:
                return False
            if isinstance(passed, logging.LogRecord):
                record = passed
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Make the event and put it into the spool. What loghook's own threads log is left out."""
        # The caller's hot path. Measured in processor time, between other work, over a NullHandler: 1.7 us for a plain
        # record, of which 0.25 put the arguments into the message, 0.2 see that the record lacks nothing, 0.35 make the
        # event, 0.25 its JSON, 0.15 look for secrets, 0.15 copy it into the map; 2.0 with two metrics and a step; 2.5
        # with five extras, of which looking for secrets in them takes 0.35. The standard QueueHandler takes 3.3 to 4.
        try:
            if (record.thread or threading.get_ident()) in own_threads and record.process in (None, os.getpid()):
                return
        except AttributeError:  # a filter took it away
            if threading.get_ident() in own_threads:
                return
        try:
            line = self._event(record)
            try:
                self.spool.write(line)
            except ValueError:
                self.spool.put(line)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Count a record that could not be taken, and say so once; no traceback."""
        self.spool.log.drops.add("error")
        self.run.voice.say(f"a record of logger {record.name!r} could not be taken", about="error")

    def flush(self) -> None:
        """Hurry the listeners; waits for nothing, since it may be called with logging's own lock held."""
        for listener in self.run.listeners:
            listener.wake.ring()

    def close(self) -> None:
        """Called by dictConfig, and by logging when the process ends; a record that comes later is still taken."""
        if session.is_finished(self.run):
            self.run.drain(max(_LAST, ending.left(self.run.patience)))
        else:
            self.was_closed = True
            if self.run.keeper:
                self.run.keeper.wake.ring()
            self.flush()
        super().close()
