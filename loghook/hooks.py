"""How a program ends: uncaught exceptions, signals, exit codes, and the last chance to deliver.

Every hook calls what was there before; the interpreter's own output and the exit status stay as they would be without.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from opcode import opname
from types import FrameType, TracebackType
from typing import Any, NoReturn, Protocol

from loghook.ending import ending
from loghook.voice import Voice
from loghook.waiting import waiting

__all__ = ["Hooks", "Watched", "uncaught"]

_SIGNALS = ("SIGTERM", "SIGHUP")


class Watched(Protocol):
    """What ends with the process: a run, or several as one."""

    pid: int
    """The process that it began in."""
    voice: Voice

    def take(self, record: logging.LogRecord) -> None:
        """Record what no handler sees."""

    def end(self, status: str = "success", *, exception: str = "", reason: str = "") -> None:
        """End as "success", "failure" or "stopped"."""

    @property
    def patience(self) -> float:
        """How many seconds the end of the process may wait for it."""

    def close(self, timeout: float | None = None) -> None:
        """Deliver what there is, for `timeout` seconds at most, or for as many as its patience has."""


_watching: list[Hooks] = []
"""The hooks that are in, in the order in which they came."""

atexit.register(waiting.tell)  # first of all, so that it is called once all that ends with the process has ended


class Hooks:
    """Watches over the end of the process for one run."""

    def __init__(self, run: Watched) -> None:
        self.run = run
        self.finished = False
        self._exception = ""
        self._interrupted = ""
        self._exit: SystemExit | None = None
        self._active = False
        self._signals: dict[int, Any] = {}
        self._ours: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    def install(self) -> None:
        """Put the hooks in; those for signals only from the main thread."""
        self._active = True
        _watching.append(self)
        self._before = {"excepthook": sys.excepthook, "exit": sys.exit, "thread": threading.excepthook}
        self._ours = {"excepthook": self._on_exception, "exit": self._on_exit, "thread": self._on_thread_exception}
        sys.excepthook = self._ours["excepthook"]
        sys.exit = self._ours["exit"]
        threading.excepthook = self._ours["thread"]
        atexit.register(self._end)
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
                self._watch(number)

    def uninstall(self) -> None:
        """Take the hooks out; where somebody hooked in after us, ours only passes on."""
        self._active = False
        if self in _watching:
            _watching.remove(self)
        atexit.unregister(self._end)
        if sys.excepthook is self._ours.get("excepthook"):
            sys.excepthook = self._before["excepthook"]
        if sys.exit is self._ours.get("exit"):
            sys.exit = self._before["exit"]
        if threading.excepthook is self._ours.get("thread"):
            threading.excepthook = self._before["thread"]
        if threading.current_thread() is threading.main_thread():
            for number, before in self._signals.items():
                if signal.getsignal(number) == self._on_signal:
                    signal.signal(number, before)

    def finish(self, timeout: float | None = None) -> None:
        """End the run, and deliver within `timeout` seconds, or as many as its patience has."""
        if self.finished:
            return
        self.finished = True
        status, reason = self._outcome()
        self.run.end(status, exception=self._exception, reason=reason)
        try:
            self.run.close(timeout)
        except KeyboardInterrupt:  # somebody can't wait for the delivery; the program itself had ended
            self.run.close(0.0)
        if self._interrupted == "KeyboardInterrupt":
            _die_of_ctrl_c()

    def _end(self) -> None:
        """End the run because the process ends: what else ends with it has to be done by the same moment."""
        others = sum(not hooks.finished for hooks in _watching if hooks is not self)
        self.finish(ending.left(self.run.patience, others))

    def _outcome(self) -> tuple[str, str]:
        if self._interrupted:
            return "stopped", self._interrupted
        if self._exception:
            return "failure", ""
        code = self._exit_code()
        return ("failure", f"exit code {code}") if code else ("success", "")

    # ---------------------------------------------------------------- exceptions

    def _on_exception(self, kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if self._active and not hasattr(sys, "ps1"):  # at a prompt an exception ends nothing
            if issubclass(kind, KeyboardInterrupt):
                self._interrupted = "KeyboardInterrupt"
                self._exception = ""  # it ended the program; what a thread met before did not
            self._record(kind, value, trace, "uncaught")
        self._before["excepthook"](kind, value, trace)

    def _on_thread_exception(self, args: threading.ExceptHookArgs, /) -> None:
        if self._active and args.exc_type is not SystemExit:
            name = args.thread.name if args.thread else "?"
            self._record(args.exc_type, args.exc_value, args.exc_traceback, f"uncaught in thread {name}")
        self._before["thread"](args)

    def _record(
        self, kind: type[BaseException], value: BaseException | None, trace: TracebackType | None, what: str
    ) -> None:
        """Make an uncaught exception a record of the run, past every handler but ours: the terminal has it already."""
        try:
            record = uncaught(kind, value, trace, what)
            if not issubclass(kind, KeyboardInterrupt):
                self._exception = self._exception or record.exc_text or ""
            self.run.take(record)
        except Exception as error:
            self.run.voice.say(f"the uncaught {kind.__name__} could not be recorded: {type(error).__name__}")

    # ---------------------------------------------------------------- exit codes

    def _on_exit(self, code: Any = None, /) -> NoReturn:
        try:
            self._before["exit"](code)
        except SystemExit as exit_:
            if self._active and threading.current_thread() is threading.main_thread():
                self._exit = exit_
            raise
        raise SystemExit(code)  # whatever was there before us did not leave

    def _exit_code(self) -> int:
        """Return the code of the sys.exit() that ended the process, 0 if it was caught on its way or there was none."""
        exit_ = self._exit
        trace = exit_.__traceback__ if exit_ else None
        if exit_ is None or exit_.code is None or trace is None or _was_caught(trace.tb_frame):
            return 0
        return exit_.code if isinstance(exit_.code, int) else 1

    # ---------------------------------------------------------------- signals

    def _watch(self, number: int) -> None:
        before = signal.getsignal(number)
        is_reload = number == getattr(signal, "SIGHUP", None) and callable(before)  # goes on, as daemons do
        if before is signal.SIG_DFL or (callable(before) and not is_reload):
            self._signals[number] = before
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        before: Callable[[int, FrameType | None], Any] | int | None = self._signals.get(number)
        first = not self._interrupted
        if self._active:
            self._interrupted = signal.Signals(number).name
        if callable(before):
            before(number, frame)
            return
        if first and self.run.pid == os.getpid():  # a forked child just dies: its parent delivers
            _end_all(signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _end_all(reason: str) -> None:
    """End every run that is watched over: a signal is about to end the process."""
    for hooks in reversed(_watching):
        hooks._interrupted = hooks._interrupted or reason
        hooks._end()
    waiting.tell()


def uncaught(
    kind: type[BaseException], value: BaseException | None, trace: TracebackType | None, what: str
) -> logging.LogRecord:
    """Return an uncaught exception as a record, at the line that raised it; `what` begins its message."""
    record = logging.LogRecord("uncaught", logging.CRITICAL, "", 0, f"{what} {kind.__name__}: {value}", (), None)
    record.exc_text = "".join(traceback.format_exception(kind, value, trace)).rstrip("\n")
    for frame in traceback.extract_tb(trace)[-1:] if trace else []:
        record.filename, record.lineno = os.path.basename(frame.filename), frame.lineno or 0
    return record


def _die_of_ctrl_c() -> None:
    """Have the interpreter end as by SIGINT, which it forgets when any thread has called `eval` or `exec` meanwhile.

    Importing a module with a named tuple in it does. What `exec` lets through last is what counts (CPython's
    `unhandled_keyboard_interrupt`); shells stop their loops by it.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


def _was_caught(frame: FrameType | None) -> bool:
    """Whether an exception that passed through `frame` was caught there or further out.

    One that went all the way ended every frame on it; a frame that goes on, or that came to its return, did not let it
    through.
    """
    running: FrameType | None = sys._getframe()
    alive = []
    while running is not None:
        alive.append(running)
        running = running.f_back
    while frame is not None:
        if frame in alive or opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN_"):
            return True
        frame = frame.f_back
    return False
