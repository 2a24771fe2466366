"""What monitored code prints, on its way to the screen: passed on first, then captured for the run that it belongs to.

Nothing is put in the place of `sys.stdout` and `sys.stderr`. Each stream stays the object that it is, and only its
`write` is replaced, on the instance: whatever else a program asks of it (isatty, fileno, encoding, buffer,
reconfigure, its class) it answers as before, references to it that somebody kept are captured too, and whoever puts
another object in its place, then or later, is not in the way of undoing it.

Which run a print belongs to is said by a context variable, so that asyncio's tasks are told apart, and threads that
are started meanwhile inherit it. Threads that have nothing to do with a run are in none.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from loghook.capture.lines import Lines
from loghook.capture.recorder import Recorder

__all__ = ["Captured"]

_route: ContextVar[tuple[Captured, ...]] = ContextVar("loghook_captured", default=())
_inside = threading.local()
_installing = [threading.RLock()]
_open: list[Captured] = []
_undo: list[Callable[[], None]] = []
_all: weakref.WeakSet[Captured] = weakref.WeakSet()


class Captured:
    """What is captured for one run: the lines of each thread and stream, on their way to its recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lines: dict[tuple[str, int], tuple[Lines, str]] = {}
        self._lock = threading.RLock()
        self.is_open = False
        _all.add(self)

    def open(self) -> None:
        """Begin to capture what those print who are on the route of this run."""
        with _installing[0]:
            self.is_open = True
            _open.append(self)
            _install()

    def close(self) -> None:
        """Record what is left, and capture no more; the streams are as before once nobody captures."""
        with _installing[0]:
            if not self.is_open:
                return
            self.is_open = False
            _open.remove(self)
            if not _open:
                _uninstall()
        with self._lock:
            for (stream, _), (lines, thread) in self._lines.items():
                self._recorder.lines(stream, lines.end(), thread)
            self._lines.clear()

    def write(self, stream: str, text: str) -> None:
        """Capture what the current thread wrote to "stdout" or "stderr"."""
        ident = threading.get_ident()
        with self._lock:
            found = self._lines.get((stream, ident))
            if found is None:
                is_main = ident == threading.main_thread().ident
                found = Lines(), "" if is_main else threading.current_thread().name
                self._lines[stream, ident] = found
            self._recorder.lines(stream, found[0].feed(text), found[1])

    def tick(self) -> None:
        """Record the states of progress lines that are due; to be called a few times a second."""
        with self._lock:
            for key, (lines, thread) in list(self._lines.items()):
                self._recorder.lines(key[0], lines.due(), thread)
                if lines.is_empty:
                    del self._lines[key]
        self._recorder.flush()

    # ---------------------------------------------------------------- whose prints these are

    def follow(self) -> None:
        """From here on, in this context, prints belong to this run, through whatever the streams are by now."""
        with _installing[0]:
            if self.is_open:
                _install()
        if self not in _route.get():
            _route.set((*_route.get(), self))

    def leave(self) -> None:
        """From here on, in this context, prints belong to whichever run they did before."""
        _route.set(tuple(captured for captured in _route.get() if captured is not self))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """In this block prints belong to this run."""
        before = _route.get()
        _route.set((*before, self))
        try:
            yield
        finally:
            _route.set(before)

    def _forked(self) -> None:
        """In a forked child: whoever held the lock is not here, and what was half written is the parent's."""
        self._lock = threading.RLock()
        self._lines = {}


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """What this thread prints in this block is captured for nobody."""
    before, _inside.busy = getattr(_inside, "busy", False), True
    try:
        yield
    finally:
        _inside.busy = before


def _current() -> Captured | None:
    for captured in reversed(_route.get()):
        if captured.is_open:
            return captured
    return None


# -------------------------------------------------------------------- putting it in, and taking it out


def _install() -> None:
    streams: list[Any] = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        write = getattr(stream, "write", None)
        if write is not None and not hasattr(write, "_loghook") and not any(stream is other for other in streams):
            streams.append(stream)
            _replace(name, stream)
    if not hasattr(threading.Thread.start, "_loghook"):
        _hand_down()


def _uninstall() -> None:
    while _undo:
        _undo.pop()()


def _replace(name: str, stream: Any) -> None:
    original = stream.write
    was_own = vars(stream).get("write") if hasattr(stream, "__dict__") else None

    def write(text: Any, /, *rest: Any) -> Any:
        captured = None if getattr(_inside, "busy", False) else _current()
        if captured is None:
            return original(text, *rest)
        with aside():  # a stream that writes to another one must not be captured twice
            result = original(text, *rest)
            if isinstance(text, str):
                captured.write(name, text)
        return result

    def undo() -> None:
        if vars(stream).get("write") is not write:
            return  # somebody wrapped ours, which goes on passing on what it gets
        if was_own is None:
            del stream.write
        else:
            stream.write = was_own

    write._loghook = True  # type: ignore[attr-defined]
    try:
        stream.write = write
    except (AttributeError, TypeError):  # an object that takes no attributes: its output can't be captured
        return
    _undo.append(undo)


def _hand_down() -> None:
    """Let threads inherit the route of those who start them."""
    original = threading.Thread.start
    thread_class: Any = threading.Thread

    def start(thread: threading.Thread) -> None:
        route = tuple(captured for captured in _route.get() if captured.is_open)
        if route:
            run = thread.run

            def routed() -> None:
                _route.set(route)
                thread.__dict__.pop("run", None)
                run()

            thread.run = routed  # type: ignore[method-assign]
        original(thread)

    def undo() -> None:
        if threading.Thread.start is start:
            thread_class.start = original

    start._loghook = True  # type: ignore[attr-defined]
    thread_class.start = start
    _undo.append(undo)


def _forked() -> None:
    _installing[0] = threading.RLock()
    for captured in list(_all):
        captured._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
