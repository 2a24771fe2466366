"""100,000 records flat out to a real `loghook serve`: how soon they are stored, and what it takes besides the calls."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any, TextIO

from tests.bench.serving import Serve
from tests.bench.sink import Sink

__all__ = ["run"]

RECORDS = 100_000
ROUNDS = 5

# Records as training makes them, with numbers that do not repeat.
SCRIPT = """
import json, logging, os, random, resource, sys, time
from tests.bench.serving import memory
import loghook

def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

count, wait = int(sys.argv[1]), sys.argv[2] == "wait"
log = logging.getLogger("train")
log.setLevel(logging.INFO)
log.addHandler(loghook.LogHookHandler("bench"))
values = [random.random() for _ in range(1009)]
for i in range(2000):
    log.info("warming up", extra={"metrics": {"loss": values[i % 1009]}, "step": i})
if wait:
    assert loghook.flush(60)
else:
    time.sleep(3)
base, rss, before = memory(os.getpid(), "RssAnon"), memory(os.getpid()), cpu()
start, mine = time.perf_counter(), time.thread_time()
for i in range(count):
    metrics = {"loss": values[i % 1009], "acc": values[i % 1013 % 1009]}
    log.info("step %d done", i, extra={"metrics": metrics, "step": i})
logged, own = time.perf_counter(), time.thread_time() - mine
stored = loghook.flush(60) if wait else None
end = time.perf_counter()
peak = memory(os.getpid(), "RssAnon")
all_of_it = cpu() - before
print(json.dumps({
    "call": own / count * 1e6, "after": end - logged, "rate": count / (end - start), "stored": stored,
    "beyond": (all_of_it - own) / count * 1e6, "memory": (peak - base) / 1e6, "rss": (memory(os.getpid()) - rss) / 1e6,
}))
sys.stdout.flush()
if not wait:
    os._exit(0)
"""


def run(progress: TextIO, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return medians.

    "stored after s": from the last call until the server has it all; "records/s": from the first call until then; "CPU
    beyond the calls us" a record; "wire share": bytes on the wire over those of the lines; "memory MB": this process's
    own, over the time before, with the server up, and "backlog memory MB" with 400,000 records behind a dead one.
    """
    found = []
    for number in range(rounds):
        progress.write(f"delivery: {number + 1} of {rounds}\n")
        with Serve() as server, tempfile.TemporaryDirectory() as home:
            found.append(_run(server.environ(home), RECORDS, "wait"))
            if not found[-1]["stored"]:
                raise RuntimeError("not all was stored within a minute")
    progress.write("delivery: behind a dead server\n")
    with Sink() as sink, tempfile.TemporaryDirectory() as home:
        sink.down()
        dead = _run(_environ(sink, home), 4 * RECORDS, "go on")
    progress.write("delivery: on the wire\n")
    with Sink() as sink, tempfile.TemporaryDirectory() as home:
        _run(_environ(sink, home), RECORDS, "wait")
        count = sink.count('"message":"step (\\d+) done"')
        lines = sink.lines()["bytes"]
    return {
        "stored after s": statistics.median(one["after"] for one in found),
        "records/s": statistics.median(one["rate"] for one in found),
        "call us": statistics.median(one["call"] for one in found),
        "CPU beyond the calls us": statistics.median(one["beyond"] for one in found),
        "memory MB": statistics.median(one["memory"] for one in found),
        "backlog memory MB": dead["memory"],
        "backlog memory with mapped files MB": dead["rss"],
        "wire share": count["bytes"] / lines,
        "line bytes": lines / RECORDS,
    }


def _environ(sink: Sink, home: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{sink.port}"
    return {**os.environ, "LOGHOOK_HOME": home, "LOGHOOK_URL": url, "LOGHOOK_API_KEY": "a-key", "LOGHOOK_QUIET": "1"}


def _run(environ: dict[str, str], count: int, how: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count), how], env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
