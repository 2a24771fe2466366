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
NAMES = "import loghook; loghook.install, loghook.LogHookHandler"
INSTALL = f"{NAMES}; import time; t = time.perf_counter(); loghook.install('x'); print(time.perf_counter() - t)"


def run(progress: TextIO) -> list[dict[str, object]]:
    """Return rows of medians in milliseconds; bare interpreter, import and first use alternate."""
    progress.write("startup\n")
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "LOGHOOK_HOME": home}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        _time("import loghook", environ)
        rounds = [[_time(code, environ) for code in ("pass", "import loghook", NAMES)] for _ in range(ROUNDS)]
        installs = [float(_output(INSTALL, environ)) for _ in range(ROUNDS)]
    over = statistics.median(full - bare for bare, full, _ in rounds)
    names = statistics.median(used - bare for bare, _, used in rounds)
    return [
        {"what": "bare interpreter", "ms": f"{statistics.median(bare for bare, _, _ in rounds) * 1e3:.1f}"},
        {"what": "import loghook, over it", "ms": f"{over * 1e3:.1f}"},
        {"what": "and loghook.install named, over it", "ms": f"{names * 1e3:.1f}"},
        {"what": "install()", "ms": f"{statistics.median(installs) * 1e3:.1f}"},
    ]


def _time(code: str, environ: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    return time.perf_counter() - start


def _output(code: str, environ: dict[str, str]) -> str:
    return subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True).stdout
