"""What ``import loghook`` costs over a bare interpreter, ``install()`` after it, and the end of a program.

Processor time, but for the end of a program, which waits for delivery: that is by the clock.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from typing import TextIO

from tests.bench.sink import Sink

__all__ = ["run"]

ROUNDS = 15
NAMES = "import loghook; loghook.install, loghook.LogHookHandler"
INSTALL = f"import time; {NAMES}; t = time.thread_time(); loghook.install('x'); print(time.thread_time() - t)"
END = """
import atexit, logging, time
began = []
atexit.register(lambda: print(time.perf_counter() - began[0]))  # called last, since it came first
import loghook
logging.getLogger().setLevel(logging.INFO)
loghook.install("x")
log = logging.getLogger("train")
for i in range(1000):
    log.info("epoch %d", i)
time.sleep(1)
log.info("the last one")
began.append(time.perf_counter())
"""


def run(progress: TextIO, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Return medians in milliseconds; bare interpreter, import and first use alternate."""
    progress.write("startup\n")
    with Sink() as sink, tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "LOGHOOK_HOME": home}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        delivered = {**environ, "LOGHOOK_URL": f"http://127.0.0.1:{sink.port}", "LOGHOOK_API_KEY": "a-key"}
        _time("import loghook", environ)
        bare, imported, named, local, remote, end = [], [], [], [], [], []
        for _ in range(rounds):
            bare.append(_time("pass", environ))
            imported.append(_time("import loghook", environ) - bare[-1])
            named.append(_time(NAMES, environ) - bare[-1])
            local.append(_output(INSTALL, environ))
            remote.append(_output(INSTALL, delivered))
        for _ in range(max(3, rounds // 3)):
            end.append(_output(END, delivered))
    figures = {
        "bare interpreter ms": bare,
        "import ms": imported,
        "import and install named ms": named,
        "install() ms": local,
        "install() with URL ms": remote,
        "exit ms": end,
    }
    return {name: statistics.median(values) * 1e3 for name, values in figures.items()}


def _time(code: str, environ: dict[str, str]) -> float:
    process = subprocess.Popen([sys.executable, "-c", code], env=environ)
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return used.ru_utime + used.ru_stime


def _output(code: str, environ: dict[str, str]) -> float:
    done = subprocess.run([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)
