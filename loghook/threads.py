"""Which threads are loghook's own: what they log is left out, whatever its logger is called."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

__all__ = ["barred", "own_threads"]

own_threads: set[int] = set()
"""Identifiers of the threads whose records the handler leaves out."""


@contextlib.contextmanager
def barred() -> Iterator[None]:
    """Leave out what the current thread logs in this block: it is loghook's own work."""
    own_threads.add(threading.get_ident())
    try:
        yield
    finally:
        own_threads.discard(threading.get_ident())


def _forked() -> None:
    """In a forked child: those threads are not here, and the system gives their identifiers to new ones."""
    own_threads.intersection_update({threading.get_ident()})


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
