"""What ``import loghook`` costs over a bare interpreter, and ``install()`` after it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TextIO

__all__ = ["run"]

ROUNDS = 15
INSTALL = "import loghook, time; t = time.perf_counter(); loghook.install('x'); print(time.perf_counter() - t)"


def run(progress: TextIO) -> list[dict[str, object]]:
    """Return rows of medians in milliseconds; bare interpreter and import alternate."""
    progress.write("startup\n")
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "LOGHOOK_HOME": home}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        _time("import loghook", environ)
        pairs = [(_time("pass", environ), _time("import loghook", environ)) for _ in range(ROUNDS)]
        installs = [float(_output(INSTALL, environ)) for _ in range(ROUNDS)]
    over = statistics.median(full - bare for bare, full in pairs)
    return [
        {"what": "bare interpreter", "ms": f"{statistics.median(bare for bare, _ in pairs) * 1e3:.1f}"},
        {"what": "import loghook, over it", "ms": f"{over * 1e3:.1f}"},
        {"what": "install()", "ms": f"{statistics.median(installs) * 1e3:.1f}"},
    ]


def _time(code: str, environ: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    return time.perf_counter() - start


def _output(code: str, environ: dict[str, str]) -> str:
    return subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True).stdout
