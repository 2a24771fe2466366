"""One measurement of one peer, in a process of its own: ``python -m tests.bench.worker PEER MEASURE PORT FOLDER``.

Prints one JSON object. Runs in the peer's environment, on a Python as old as 3.9, so it imports nothing of loghook.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.peers import PEERS, BasePeer, load, null_handler, queue_handler

# What is measured may take standard output for itself.
_out = os.fdopen(os.dup(1), "w")

ROUNDS = 150
LONGEST = 10.0


def call(peer: BasePeer, name: str, folder: Path) -> dict[str, Any]:
    """Short blocks of calls, alternating between a NullHandler, the standard QueueHandler and the peer.

    What is taken is the processor time of the calling thread, and "wall_us" by the clock, where a peer makes it wait.
    """
    sides = {"null": null_handler.PEER(0, folder), "queue": queue_handler.PEER(0, folder), "peer": peer}
    most = PEERS[name].calls
    for side in sides.values():
        _block(side, most)
    rounds: list[dict[str, tuple[float, float]]] = []
    end = time.monotonic() + LONGEST
    while len(rounds) < ROUNDS and (time.monotonic() < end or len(rounds) < 5):
        rounds.append({side: _block(one, most) for side, one in sides.items()})
        sides["queue"].close()
        time.sleep(0.01)  # so that a thread in the background does its work now, and not in the next one's time
    over = {side: [one[side][0] - one["null"][0] for one in rounds] for side in ("queue", "peer")}
    medians = {side: statistics.median(values) * 1e6 for side, values in over.items()}
    low, _, high = statistics.quantiles(over["peer"], n=4)
    return {
        "null_us": statistics.median(one["null"][0] for one in rounds) * 1e6,
        "wall_us": statistics.median(one["peer"][1] - one["null"][1] for one in rounds) * 1e6,
        "queue_us": medians["queue"],
        "us": medians["peer"],
        "rounds": len(rounds),
        "us_quartiles": [low * 1e6, high * 1e6],
        "ratio": medians["peer"] / medians["queue"],
    }


def rate(peer: BasePeer, name: str, folder: Path) -> dict[str, Any]:
    """So many records, flat out, and the peer's own end."""
    count = PEERS[name].records
    peer.log(0)
    memory, cpu, start = _memory(), _cpu(), time.time()
    for number in range(1, count):
        peer.log(number)
    logged = time.time()
    peer.close()
    return {
        "records": count,
        "start": start,
        "call_seconds": logged - start,
        "end": time.time(),
        "cpu": _cpu() - cpu,
        "memory": _memory() - memory,
    }


def outage(peer: BasePeer, name: str, folder: Path) -> dict[str, Any]:
    """10,000 records in 20 seconds; whoever measures has the sink down meanwhile."""
    count = int(os.environ.get("BENCH_OUTAGE_RECORDS", "10000"))
    seconds = float(os.environ.get("BENCH_OUTAGE_SECONDS", "20"))
    print("\nBEGUN", file=_out, flush=True)
    time.sleep(1)
    start = time.monotonic()
    for number in range(count):
        peer.log(number)
        if number % 50 == 0:
            time.sleep(max(0.0, start + number * seconds / count - time.monotonic()))
    sys.stdin.readline()  # the sink is up again
    time.sleep(3)
    peer.close()
    return {}


def killed(peer: BasePeer, name: str, folder: Path) -> dict[str, Any]:
    """10,137 records, and SIGKILL behind the last."""
    for number in range(10_137):
        peer.log(number)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def kept(peer: BasePeer, name: str, folder: Path) -> dict[str, Any]:
    """What is in the files that a killed process left."""
    return {"numbers": sorted(set(load(name).kept(folder)))}


MEASURES = {"call": call, "rate": rate, "outage": outage, "killed": killed, "kept": kept}


def _block(peer: BasePeer, count: int) -> tuple[float, float]:
    """Seconds a call: of the thread's processor time, and by the clock."""
    log = peer.log
    start, cpu = time.perf_counter(), time.thread_time()
    for number in range(count):
        log(number)
    return (time.thread_time() - cpu) / count, (time.perf_counter() - start) / count


def _cpu() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure, and print the figures."""
    name, measure, port, folder = sys.argv[1:5]
    peer: Any = None if measure == "kept" else load(name)(int(port), Path(folder))
    result = MEASURES[measure](peer, name, Path(folder))
    print("\nBENCH " + json.dumps(result), file=_out, flush=True)
    sys.stdout.flush()
    if measure != "killed":
        os._exit(0)  # what is measured is over; some peers take a minute to let go


if __name__ == "__main__":
    main()
