"""What loghook's own threads keep out of the user's way."""

from __future__ import annotations

import os
import threading
import time

import pytest

from loghook.threads import barred, importing, own_threads

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def fork() -> None:
    """Fork a child that ends at once, and wait for it."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def test_a_thread_is_barred_within_the_block_alone() -> None:
    """The current thread is among loghook's own as long as the block lasts, and no other thread is."""
    assert threading.get_ident() not in own_threads
    with barred():
        assert own_threads == {threading.get_ident()}
    assert not own_threads


def test_a_fork_waits_for_the_imports_of_another_thread() -> None:
    """While another thread imports no child is born: it would find the module's lock taken for ever."""
    began, done = threading.Event(), threading.Event()

    def work() -> None:
        with importing():
            began.set()
            done.wait(0.2)
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(10)
    fork()
    assert done.is_set()
    thread.join(10)


def test_a_fork_does_not_wait_for_its_own_imports() -> None:
    """A thread that forks while it imports is not held up by itself."""
    took = []
    for _ in range(5):  # one of them may be held up by a busy machine; whoever waits for itself does so each time
        started = time.monotonic()
        with importing():
            fork()
        took.append(time.monotonic() - started)
    assert min(took) < 2


def test_a_fork_does_not_wait_for_ever() -> None:
    """Of an import that takes long a fork waits for two seconds, and goes on."""
    began, over = threading.Event(), threading.Event()

    def work() -> None:
        with importing():
            began.set()
            over.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(10)
    started = time.monotonic()
    fork()
    assert 1.5 < time.monotonic() - started < 20
    over.set()
    thread.join(10)
