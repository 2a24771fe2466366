"""`Experiment`: a run of its own, by the name and with the methods that users of Hyperdash know.

It is a run beside whatever else this process has: several may be open at once or one after another. Only in a command
that `loghook run` has started does it join that command's run, whose output is captured already.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

from loghook import session
from loghook.capture.logfile import LogFile
from loghook.capture.recorder import Recorder
from loghook.capture.tee import Captured, aside
from loghook.environment import launch_id
from loghook.hooks import Hooks, uncaught
from loghook.metrics import number
from loghook.voice import Voice

__all__ = ["Experiment", "open_experiments"]

Value = TypeVar("Value")

_PATIENCE = 0.05
_count = [0]


class Experiment:
    """One experiment: its params, its metrics, and what the code that began it prints, until `end`.

    `with Experiment(name) as exp:` ends it as the block ends: as a failure after an exception, stopped after Ctrl-C.
    An experiment that nobody ends does so with the process.
    """

    def __init__(
        self,
        name: str,
        api_key_getter: Callable[[], str | None] | None = None,
        capture_io: bool = True,
        *,
        params: Mapping[str, Any] | None = None,
        api: str = "experiment",
        **settings: Any,
    ) -> None:
        """Begin an experiment called `name`; opens no connection, and returns in milliseconds.

        `api_key_getter` is a function that returns the API key, asked again every 300 s. `capture_io` says whether what
        is printed is captured. `settings` are those of the settings table, `params` any JSON values, `api` what the
        platform is told began it. Raises ConfigurationError for an unknown setting or a wrong value.
        """
        environ = _environment()
        self.run = session.new_run(
            {"name": str(name), **settings}, environ, params=params, api_key_getter=api_key_getter, api=api
        )
        self.name = self.run.name
        self.callbacks = Callbacks(self)
        self._started = time.monotonic()
        self._iterators = 0
        self._ending = threading.Lock()
        self._ended = False
        is_captured = "LOGHOOK_RUN_CAPTURED" in environ and not self.run.owner  # `loghook run` sees what we print
        self._recorder = Recorder(None if is_captured else self.run, self._make_file(), self.run.redaction)
        self._captured = Captured(self._recorder) if capture_io else None
        self.run.chores.append(self._captured.tick if self._captured else self._recorder.flush)
        if self._captured:
            self._captured.open()
        self.thread = threading.get_ident()
        """The thread that began it."""
        self.spans = api == "experiment"
        """Whether it goes on, on its thread, until it is ended; otherwise it is as long as what it monitors."""
        if self.spans:
            self.follow()
        _together.add(self)

    def __repr__(self) -> str:
        return f"<Experiment {self.name!r} {self.run.id}>"

    def _make_file(self) -> LogFile | None:
        try:
            return LogFile(self.run.settings.home, self.run.name, time.time())
        except OSError as error:
            self.run.voice.say(f"no local log file: {error.strerror or error}", about="log file")
            return None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    # ---------------------------------------------------------------- what it says

    def param(self, name: str, value: Value, log: bool = True) -> Value:
        """Add one param, any JSON value, and return it; `log` prints it."""
        if self._goes_on(f"param {name!r}"):
            self.run.param(name, value)
            if log:
                self._print(f"{{ {name}: {self._shown(name, value)} }}")
        return value

    def _shown(self, name: str, value: Value) -> Any:
        """Return a param's value as the record has it: a secret is not printed either, since prints are recorded."""
        if not self.run.settings.redact:
            return value
        (shown,) = self.run.redaction.value({str(name): value}, named=True).values()
        return shown

    def metric(self, name: str, value: object, log: bool = True, *, step: int | None = None) -> None:
        """Record one value of a metric, however fast they come; `log` prints it.

        `step` may be left out, repeated, or out of order.
        """
        if not self._goes_on(f"metric {name!r}"):
            return
        self.run.metric(name, value, step)
        if log:
            plain = number(value)
            shown = value if plain is None else f"{float(plain):10f}"
            self._print(f"| {name}: {shown} |")

    def iter(self, n: int, log: bool = True) -> Iterator[int]:
        """Yield 0 to n-1, so that the platform shows how far the loop is; `log` prints each."""
        number, self._iterators = self._iterators, self._iterators + 1
        self.param(f"hd_iter_{number}_epochs", n, log=False)
        for i in range(n):
            if log:
                self._print(f"| Iteration {i} of {n - 1} |")
            self.metric(f"hd_iter_{number}", i, log=False)
            yield i

    def log(self, text: object) -> None:
        """Print a text and record it, whether output is captured or not."""
        if self._goes_on("log"):
            self._print(str(text), record=True)

    def _goes_on(self, what: str) -> bool:
        if self._ended:
            self.run.voice.say(f"{what}: {self.name!r} has ended; begin another Experiment", about="ended")
        return not self._ended

    def _print(self, text: str, *, record: bool = False) -> None:
        if record or self._captured:
            self._recorder.lines("stdout", text.split("\n"))
        with aside():
            show(text)

    # ---------------------------------------------------------------- its life

    def follow(self) -> None:
        """What is printed from here on, in this context, is captured for this experiment."""
        if self._captured:
            self._captured.follow()

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """What is printed in this block is captured for this experiment."""
        return self._captured.scope() if self._captured and not self._ended else contextlib.nullcontext()

    def end(self, status: str = "success", *, exception: str = "", reason: str = "") -> None:
        """End the experiment as "success", "failure" or "stopped", once; a later call does nothing.

        Waits at most the shutdown timeout for delivery, and not at all where the platform can't be reached: what is
        not delivered then waits in the spool.
        """
        if self._finish(status, exception, reason):
            _together.discard(self)
            self._deliver()
            self._say_goodbye(status)

    def fail(self, error: BaseException, trace: TracebackType | None) -> None:
        """End the experiment by what its code raised: Ctrl-C and a cancelled task stop it, an exit code 0 is none."""
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            self.end("failure" if code else "success", reason=f"exit code {code}" if code else "")
        elif isinstance(error, KeyboardInterrupt) or type(error).__name__ == "CancelledError":
            self.end("stopped", reason=type(error).__name__)
        else:
            record = uncaught(type(error), error, trace, "ended by")
            if not self._ended:
                self.run.take(record)
                self._recorder.to_file((record.exc_text or "").split("\n"))
            self.end("failure", exception=record.exc_text or "")

    def __enter__(self) -> Experiment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end()
        else:
            self.fail(error, trace)

    def _finish(self, status: str, exception: str, reason: str) -> bool:
        """Say the end, and capture no more; False if that was done before."""
        with self._ending:
            if self._ended:
                return False
            self._ended = True
        if self._captured:
            self._captured.leave()
            self._captured.close()
        self.run.end(status, exception=exception, reason=reason)
        if file := self._recorder.file:
            file.close()
            if file.complaint:
                self.run.voice.say(file.complaint, about="log file")
        return True

    def _deliver(self) -> None:
        run = self.run
        deadline = time.monotonic() + run.settings.shutdown_timeout
        while not run.flush(_PATIENCE) and time.monotonic() < deadline:
            if run.listeners and all(listener.error for listener in run.listeners):
                deadline = 0.0
        run.close(max(0.0, deadline - time.monotonic()), goes_on=True)
        run.spool.close()

    def _say_goodbye(self, status: str) -> None:
        file = self._recorder.file
        if file and not self.run.settings.quiet:
            took = datetime.timedelta(seconds=round(time.monotonic() - self._started))
            show(f"{self.name}: {status} after {took}; its output is in {file.path}")


class Callbacks:
    """What other libraries call while they train, for one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    @functools.cached_property
    def keras(self) -> Any:
        """A Keras callback that records what each epoch logs; Keras is imported now, if it is there."""
        from loghook.integrations.keras import callback

        return callback(self._experiment.metric)


def open_experiments() -> list[Experiment]:
    """Return the experiments of this process that have not ended, the oldest first."""
    return list(_together.open)


class _Together:
    """The experiments that are open, as one run to the hooks that watch over the end of the process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.voice = Voice()
        self.open: list[Experiment] = []
        self._hooks: Hooks | None = None
        self._changing = threading.RLock()

    def add(self, experiment: Experiment) -> None:
        with self._changing:
            self.open.append(experiment)
            if self._hooks is None and experiment.run.settings.hooks:
                self._hooks = Hooks(self)
                self._hooks.install()

    def discard(self, experiment: Experiment) -> None:
        with self._changing:
            if experiment in self.open:
                self.open.remove(experiment)
            if self._hooks and not self.open:
                self._hooks.uninstall()
                self._hooks = None

    def take(self, record: logging.LogRecord) -> None:
        for experiment in self.open:
            experiment.run.take(record)

    def end(self, status: str = "success", *, exception: str = "", reason: str = "") -> None:
        for experiment in self.open:
            experiment._finish(status, exception, reason)
            experiment._say_goodbye(status)

    @property
    def patience(self) -> float:
        return max((experiment.run.patience for experiment in self.open), default=0.0)

    def close(self, timeout: float | None = None) -> None:
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        for experiment in self.open:
            experiment.run.hurry(max(0.0, deadline - time.monotonic()))
        for experiment in self.open:
            experiment.run.close(max(0.0, deadline - time.monotonic()))

    def forked(self) -> None:
        """In a forked child: the experiments are its parent's to end."""
        self.__init__()  # type: ignore[misc]


_together = _Together()


def _environment() -> dict[str, str]:
    """Return the environment for one more experiment of this process: what it may join, and nothing else.

    A run that `loghook run` handed down is joined; the run of `install` in this process or its parent is not. The
    second experiment of each rank of a launch has an id of its own, the same on every rank.
    """
    environ = dict(os.environ)
    handed_down = environ.get("LOGHOOK_RUN_PARENT", str(os.getpid())) != str(os.getpid())
    if handed_down and environ.get("LOGHOOK_RUN_CAPTURED") == environ.get("LOGHOOK_RUN_ID"):
        return environ
    environ.pop("LOGHOOK_RUN_CAPTURED", None)
    is_first = not _count[0] and session.current() is None
    if not is_first or "LOGHOOK_RUN_PARENT" in environ:
        environ.pop("LOGHOOK_RUN_ID", None)
    environ.pop("LOGHOOK_RUN_PARENT", None)
    launch = launch_id(environ)
    if launch and not is_first:
        environ["LOGHOOK_RUN_ID"] = hashlib.sha256(f"{launch} {_count[0]}".encode()).hexdigest()[:32]
    _count[0] += 1
    return environ


def show(text: str) -> None:
    """Print a line on standard output, whatever that is: None, closed, or a terminal without the characters."""
    stream = sys.stdout
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more: it is recorded all the same
        try:
            stream.write(f"{text}\n")
        except UnicodeEncodeError:
            stream.write(f"{text}\n".encode("ascii", "backslashreplace").decode())
        stream.flush()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_together.forked)
