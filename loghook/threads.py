"""What loghook's own threads must not disturb: the user's log, and forks.

What they log is left out, by thread, whatever its logger is called. What they import is waited for by a fork: a child
that is born while another thread imports a module finds that module's lock taken by a thread that it does not have,
and would wait for ever when it imports the same module.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

__all__ = ["barred", "importing", "own_threads"]

own_threads: set[int] = set()
"""Identifiers of the threads whose records the handler leaves out."""

_importing: set[int] = set()
_PATIENCE = 2.0


@contextlib.contextmanager
def barred() -> Iterator[None]:
    """Leave out what the current thread logs in this block: it is loghook's own work."""
    own_threads.add(threading.get_ident())
    try:
        yield
    finally:
        own_threads.discard(threading.get_ident())


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Let forks on other threads wait, two seconds at most, until the imports of this block are done."""
    _importing.add(threading.get_ident())
    try:
        yield
    finally:
        _importing.discard(threading.get_ident())


def _before_fork() -> None:
    deadline = time.monotonic() + _PATIENCE
    while _importing - {threading.get_ident()} and time.monotonic() < deadline:
        time.sleep(0.002)


def _forked() -> None:
    own_threads.clear()
    _importing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_forked)
