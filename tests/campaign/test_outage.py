"""A server that comes and goes gets every record exactly once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .scripts import API, Script, key_of, numbers

SERVING = """
import sys
from pathlib import Path
from loghook.server import serve
serve(Path(sys.argv[1]), port=int(sys.argv[2]))
"""


@contextmanager
def serving(home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A server process on `port`; killed at the end, with SIGKILL, if it still lives."""
    command = [sys.executable, "-c", SERVING, str(home), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the server did not start"
            yield process
        finally:
            process.kill()


def test_four_processes_and_a_dying_server_store_each_record_once(
    tmp_path: Path, home: Path, unused_port: int, wait_until: Callable[..., None]
) -> None:
    """Four processes log over HTTP while the server is killed and restarted: each record arrives once, in order."""
    seed = int(os.environ.get("LOGHOOK_SEED") or time.time_ns())
    print(f"LOGHOOK_SEED={seed}")
    chance = random.Random(seed)
    away = tmp_path / "server"
    with serving(away, unused_port):
        key = key_of(away)
    environ = {"LOGHOOK_URL": f"http://127.0.0.1:{unused_port}", "LOGHOOK_API_KEY": key, "LOGHOOK_RUN_ID": "shared"}
    total = 4000
    scripts = [Script("four", total, pause=0.001, LOGHOOK_SHUTDOWN_TIMEOUT="60", **environ) for _ in range(4)]
    while any(script.process.poll() is None for script in scripts):
        with serving(away, unused_port):
            time.sleep(chance.uniform(0.2, 2.0))
        time.sleep(chance.uniform(0.0, 0.5))
        if all(_has_ended(script) for script in scripts):
            break
    with serving(away, unused_port):
        for script in scripts:
            assert script.finish()[0] == total
        api = API(environ["LOGHOOK_URL"], key)
        by_writer = defaultdict(list)
        for line in api.logs("shared"):
            by_writer[line["writer"]].append(line)
    assert sorted(len(lines) for lines in by_writer.values()) == [total] * 4
    for lines in by_writer.values():
        assert numbers(lines) == list(range(total))


def _has_ended(script: Script) -> bool:
    return script.process.poll() is not None


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
