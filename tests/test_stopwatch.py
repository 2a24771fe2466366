"""The stopwatch that the ends of programs are measured with."""

from __future__ import annotations

import subprocess
import sys
import time

from .stopwatch import Stopwatch


def test_waiting_counts() -> None:
    """A process that sleeps, and so waits for no processor, is gone when its sleep is over."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
    watch = Stopwatch(process.pid)
    process.wait()
    assert 0.9 < watch.since(began) < 30


def test_work_counts() -> None:
    """A process that works counts for as long as it has a processor."""
    code = "import time\nwhile time.process_time() < 0.5: pass\n"
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code])
    watch = Stopwatch(process.pid)
    process.wait()
    assert 0.4 < watch.since(began) < 30


def test_a_process_that_is_gone_already_is_no_trouble() -> None:
    """A process that nobody can see any more was gone when it was looked for."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert Stopwatch(process.pid).since(time.monotonic()) < 30
