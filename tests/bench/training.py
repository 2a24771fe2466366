"""A real training loop, with and without: PyTorch on one core, a small CNN, ten log lines and metrics in each step."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any, TextIO

from tests.bench.compare import CHECKOUT
from tests.bench.environments import environment
from tests.bench.serving import Serve

__all__ = ["run"]

REQUIREMENTS = ("torch==2.13.0", "tensorboard", "requests", "python-json-logger", "orjson", "click")
EPOCHS = 20
STEPS = 50

SCRIPT = """
import json, logging, resource, statistics, sys, time
import torch
import loghook

torch.set_num_threads(1)
torch.manual_seed(1)
log = logging.Logger("train", logging.INFO)
ours, none = loghook.LogHookHandler("bench"), logging.NullHandler()
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU(),
    torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(32 * 25, 10),
)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
images, labels = torch.randn(SIZE, 1, 28, 28), torch.randint(0, 10, (SIZE,))

def epoch(handler, steps, number):
    log.handlers[:] = [handler]
    calls = 0.0
    start, mine, used = time.perf_counter(), time.thread_time(), resource.getrusage(resource.RUSAGE_SELF)
    for step in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        value = loss.item()
        before = time.thread_time()
        for i in range(10):
            log.info("epoch %d step %d: part %d of the batch is done", number, step, i)
        log.info("step %d", step, extra={"metrics": {"loss": value, "rate": 0.01}, "step": number * steps + step})
        calls += time.thread_time() - before
    seconds, own = time.perf_counter() - start, time.thread_time() - mine
    now = resource.getrusage(resource.RUSAGE_SELF)
    return seconds, own, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, calls

epochs, steps = int(sys.argv[1]), int(sys.argv[2])
epoch(ours, steps, 0), epoch(none, steps, 0)
pairs = []
for number in range(epochs):
    sides = [("with", ours), ("without", none)]
    pairs.append({name: epoch(handler, steps, number) for name, handler in (sides if number % 2 else sides[::-1])})

def percent(which):
    return (statistics.median(one["with"][which] / one["without"][which] for one in pairs) - 1) * 100

def quartiles(which):
    low, _, high = statistics.quantiles([(one["with"][which] / one["without"][which] - 1) * 100 for one in pairs], n=4)
    return [low, high]

def share():
    over = [(one["with"][3] - one["without"][3]) / one["without"][1] for one in pairs]
    return statistics.median(over) * 100

print(json.dumps({
    "calls' share %": share(),
    "slower %": percent(0), "slower %, quartiles": quartiles(0), "thread's CPU %": percent(1),
    "thread's CPU %, quartiles": quartiles(1), "process's CPU %": percent(2),
    "steps/s": steps / statistics.median(one["without"][0] for one in pairs),
}))
"""


def run(progress: TextIO, *, epochs: int = EPOCHS, size: int = 64) -> dict[str, Any]:
    """Return by how many percent a loop is slower with loghook sending to a server: medians of alternating epochs.

    By the clock, and in processor time of the thread that trains, and of the whole process; "calls' share": what the
    calls took of that thread's time over what they take with a NullHandler, which a busy machine blurs least. Raises
    Unavailable.
    """
    python = environment("torch", REQUIREMENTS, progress)
    progress.write("training\n")
    with Serve() as server, tempfile.TemporaryDirectory() as home:
        environ = {**server.environ(home), "PYTHONPATH": os.pathsep.join([str(CHECKOUT)])}
        done = subprocess.run(
            [python, "-c", SCRIPT.replace("SIZE", str(size)), str(epochs), str(STEPS)],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
