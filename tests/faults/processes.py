"""Many processes: however they begin and end, each one's records are in the one run, once, under its pid and rank."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from loghook.spool import writers
from tests.campaign.scripts import API

from .campaign import Campaign, Figures, Row
from .counting import logs, serving

__all__ = ["ROWS"]

HANGING = (300, 3000)
"""Seconds after which a program, in the short and in the long form, is taken to hang."""

HEAD = """
import concurrent.futures, logging, multiprocessing, os, signal, sys, threading, time
import loghook

log = logging.getLogger("count")

def told():
    return os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def say(number):  # a line is written down once its logging call has returned
    log.info("%d %d", os.getpid(), number, extra={"metrics": {"number": float(number)}, "step": number})
    file = told()
    os.write(file, b"%d %d\\n" % (os.getpid(), number))
    os.close(file)
"""

BUSY = """
stop = False
def busy(thread):
    number = thread * 10**6
    while not stop:
        say(number)
        number += 1
        time.sleep(0.002)
threads = [threading.Thread(target=busy, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
"""

FORKS = f"""
loghook.install("processes")
{BUSY}
ends = set()
for number in range(int(sys.argv[2])):
    if not os.fork():
        signal.alarm(30)  # a child that hangs ends by it
        for line in range(3): say(line)
        os._exit(0)
    ends.add(os.waitstatus_to_exitcode(os.wait()[1]))
stop = True
for thread in threads: thread.join()
assert ends == {{0}}, f"children ended with {{ends}}"
"""

FORK_IN_THREAD = """
loghook.install("processes")
ends = set()
def forks():
    for number in range(int(sys.argv[2])):
        if not os.fork():
            signal.alarm(30)
            thread = threading.Thread(target=say, args=(0,))
            thread.start()
            thread.join()
            say(1)
            os._exit(0 if loghook.flush(20) else 9)
        ends.add(os.waitstatus_to_exitcode(os.wait()[1]))
thread = threading.Thread(target=forks)
thread.start()
number = 0
while thread.is_alive():
    say(number)
    number += 1
    if not number % 10: time.sleep(0.002)
assert ends == {0}, f"children ended with {ends}"
"""

TOGETHER = """
def work(process):
    def points(thread):
        for number in range(int(sys.argv[2])): say(thread * 10**6 + number)
    threads = [threading.Thread(target=points, args=(number,)) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

if __name__ == "__main__":
    loghook.install("processes")
    workers = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(8)]
    for worker in workers: worker.start()
    for worker in workers: worker.join(300)
    assert [worker.exitcode for worker in workers] == [0] * 8, workers
"""

START = """
def work(name):
    loghook.install("processes")
    for number in range(20): say(number)

def fail():
    loghook.install("processes")
    say(0)
    raise SystemExit(7)

if __name__ == "__main__":
    loghook.install("processes")
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        for _ in range(int(sys.argv[2])):
            workers = [context.Process(target=work, args=(method,)) for _ in range(2)]
            for worker in workers: worker.start()
            say(0)
            for worker in workers: worker.join(60)
            assert [worker.exitcode for worker in workers] == [0, 0], f"{method}: {workers}"
            failing = context.Process(target=fail)
            failing.start()
            failing.join(60)
            assert failing.exitcode == 7, f"{method}: {failing}"
"""

POOLS = """
if __name__ == "__main__":
    loghook.install("processes")
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        tasks = range(int(sys.argv[2]))
        with context.Pool(3, loghook.install, ("processes",), maxtasksperchild=20) as pool: pool.map(say, tasks)
        with concurrent.futures.ProcessPoolExecutor(3, context, loghook.install, ("processes",)) as pool:
            list(pool.map(say, tasks))
"""

WSGI = f"""
{HEAD}
sys.argv = ["gunicorn", os.environ["TOLD"]]
loghook.install("processes")

def app(environ, start_response):
    say(int(environ["PATH_INFO"].strip("/")))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

LOADER = """
import torch.utils.data

class Data(torch.utils.data.Dataset):
    def __len__(self): return 64
    def __getitem__(self, index):
        say(index)
        return index

if __name__ == "__main__":
    loghook.install("processes")
    for epoch in range(int(sys.argv[2])):
        seen = []
        for batch in torch.utils.data.DataLoader(Data(), batch_size=8, num_workers=4):
            say(10**6 + len(seen) + epoch * 1000)
            seen += batch.tolist()
        assert sorted(seen) == list(range(64))
"""

RANKS = """
import torch, torch.distributed
import torch.utils.data

class Data(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, index):
        say(10**6 + index)
        return index

if __name__ == "__main__":
    loghook.install("processes")
    torch.distributed.init_process_group("gloo")
    for step in range(int(sys.argv[2])):
        total = torch.ones(1)
        torch.distributed.all_reduce(total)
        assert total.item() == 4
        say(step)
    list(torch.utils.data.DataLoader(Data(), num_workers=1))
    torch.distributed.destroy_process_group()
"""


@dataclass
class Books:
    """What processes said that they had logged, against what a server has of them."""

    folder: Path
    lost: int = 0
    twice: int = 0
    records: int = 0
    processes: int = 0
    ranks: set[int | None] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    @property
    def told(self) -> Path:
        """The file where each record is noted whose logging call has returned."""
        return self.folder / "told"

    def compare(self, api: API, what: str) -> None:
        """Read the only run there is, and hold it against what was told."""
        told = Counter({(int(pid), int(number)): count for (pid, number), count in self._said().items()})
        runs = api.get("/runs")["runs"]
        if len(runs) != 1:
            self.wrong.append(f"{what}: there are {len(runs)} runs")
            return
        details = api.get(f"/runs/{runs[0]['id']}")
        pids = {writer["id"]: writer["pid"] for writer in details["writers"]}
        found: Counter[tuple[int, int]] = Counter()
        by_pid: dict[int, set[int | None]] = {}
        for line in logs(api, runs[0]["id"]):
            if line["logger"] != "count":
                continue
            pid, number = map(int, line["message"].split())
            found[pid, number] += 1
            by_pid.setdefault(pid, set()).add(line.get("rank"))
            if pids[line["writer"]] != pid:
                self.wrong.append(f"{what}: a record of process {pid} is under process {pids[line['writer']]}")
        self.records = sum(found.values())
        self.processes = len(by_pid)
        self.ranks = set().union(*by_pid.values())
        self.lost = sum((told - found).values())
        self.twice = sum((found - told).values())
        totals = {metric["name"]: metric["count"] for metric in api.get(f"/runs/{runs[0]['id']}/metrics")["metrics"]}
        if totals != {"number": self.records}:
            self.wrong.append(f"{what}: of {self.records} records, each with a point, the metrics are {totals}")
        if runs[0]["status"] != "success":
            self.wrong.append(f"{what}: the run is shown as {runs[0]['status']}")
        self.wrong += [
            f"{what}: process {pid} has the ranks {ranks}" for pid, ranks in by_pid.items() if len(ranks) != 1
        ]

    def _said(self) -> Counter[tuple[bytes, bytes]]:
        lines = self.told.read_bytes().splitlines() if self.told.exists() else []
        return Counter((pid, number) for pid, number in map(bytes.split, lines))


def program(campaign: Campaign, code: str, times: int) -> Figures:
    """Run a program to its end, with a server to send to, and compare."""
    books = Books(campaign.folder)
    with serving(campaign.folder / "server") as api:
        start(campaign, api, books, code, times)
        compare(campaign, books, api)
    return figures(books)


def start(campaign: Campaign, api: API, books: Books, code: str, times: int, *launcher: str, **more: str) -> None:
    """Run a program to its end, by a launcher's arguments and with more variables if there are any."""
    script = campaign.folder / "script.py"
    script.write_text(HEAD + code, encoding="utf-8")
    command = [sys.executable, *launcher, str(script), str(books.told), str(times)]
    process = subprocess.Popen(
        command,
        env={**environ(api), **more},
        cwd=campaign.folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    finish(process, books, campaign.times(*HANGING))


def environ(api: API) -> dict[str, str]:
    """The environment of a program that sends to a server."""
    return {**os.environ, "LOGHOOK_URL": api.url, "LOGHOOK_API_KEY": api.key}


def finish(process: subprocess.Popen[str], books: Books, timeout: float) -> None:
    """Wait for a program, which must end well, without a word from loghook; one that hangs is killed with its own."""
    try:
        _, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, err = process.communicate()
        books.wrong.append(f"the program was hanging after {timeout:.0f} s")
    if process.returncode:
        books.wrong.append(f"the program ended with {process.returncode}: {err[-2000:]}")
    ours = [line for line in err.splitlines() if line.startswith("loghook: ")]
    if ours:
        books.wrong.append(f"loghook said: {ours[0]}")


def compare(campaign: Campaign, books: Books, api: API) -> None:
    """Compare, once what ended without delivering, a killed child say, was delivered by `loghook sync`."""
    if list(writers(campaign.home)):
        synced = subprocess.run(
            [sys.executable, "-m", "loghook", "sync"], env=environ(api), capture_output=True, text=True, timeout=300
        )
        if synced.returncode:
            books.wrong.append(f"`loghook sync` ended with {synced.returncode}: {synced.stderr[-500:]}")
        books.wrong += [f"{spool.directory} is still there" for spool in list(writers(campaign.home))[:1]]
    books.compare(api, f"seed {campaign.seed}")


def figures(books: Books, note: str = "") -> Figures:
    """What the books came to, for each process that logged."""
    note = note or f"{books.records:,} records of {books.processes:,} processes, one run"
    return Figures(books.processes, books.lost, books.twice, tuple(books.wrong), note)


def without(*packages: str) -> Figures | None:
    """What a row comes to where a package that it needs is missing; None where all are there."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return Figures(0, note=f"not tried: {' and '.join(missing)} is missing") if missing else None


def gunicorn(campaign: Campaign) -> Figures:
    """Let workers that gunicorn forks, and replaces after some requests, log for each request."""
    if (missing := without("gunicorn")) is not None:
        return missing
    (campaign.folder / "served.py").write_text(WSGI, encoding="utf-8")
    books = Books(campaign.folder)
    requests = campaign.times(100, 5000)
    with serving(campaign.folder / "server") as api, socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        options = ["--preload", "--workers", "3", "--max-requests", "15", "--bind", f"fd://{listening.fileno()}"]
        command = [sys.executable, "-m", "gunicorn", *options, "--log-level", "warning", "served:app"]
        master = subprocess.Popen(
            command,
            env={**environ(api), "TOLD": str(books.told)},
            cwd=campaign.folder,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        answered = [0] * 4
        clients = [threading.Thread(target=ask, args=(url, range(n, requests, 4), answered, n)) for n in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        master.terminate()
        finish(master, books, campaign.times(*HANGING))
        compare(campaign, books, api)
    if sum(answered) != requests:
        books.wrong.append(f"{requests - sum(answered)} of {requests} requests got no answer")
    return figures(books)


def ask(url: str, numbers: range, answered: list[int], client: int) -> None:
    """Ask a web server for pages, and count the answers; a worker that is being replaced may take one with it."""
    for number in numbers:
        for _ in range(5):
            try:
                with urllib.request.urlopen(f"{url}/{number}", timeout=30) as answer:
                    answered[client] += answer.status == 200
                break
            except OSError:
                continue


def loader(campaign: Campaign) -> Figures:
    """Let the workers of a DataLoader log."""
    return without("torch", "numpy") or program(campaign, LOADER, campaign.times(2, 50))


def ranks(campaign: Campaign) -> Figures:
    """Let four ranks log, and a loader's worker of each."""
    if (missing := without("torch", "numpy")) is not None:
        return missing
    books = Books(campaign.folder)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4")
    with serving(campaign.folder / "server") as api:
        start(campaign, api, books, RANKS, campaign.times(50, 5000), *launcher, OMP_NUM_THREADS="1")
        compare(campaign, books, api)
        if books.ranks != {0, 1, 2, 3}:
            books.wrong.append(f"the ranks are {books.ranks}")
        [run] = api.get("/runs")["runs"]
        metric = api.get(f"/runs/{run['id']}/series?name=number&by=rank")["series"]["number"]
        if sorted(metric["ranks"]) != ["0", "1", "2", "3"]:
            books.wrong.append(f"the metric is known of the ranks {sorted(metric['ranks'])}")
    return figures(books)


PROMISE = "no hang; each child's records once, under its pid; one run"

ROWS = [
    Row(
        "Processes",
        "fork while 8 threads log; the child logs and ends by `os._exit`",
        PROMISE,
        lambda campaign: program(campaign, FORKS, campaign.times(100, 1000)),
    ),
    Row(
        "Processes",
        "fork in a thread while the listener sends; a thread of the child logs, and the child flushes",
        PROMISE,
        lambda campaign: program(campaign, FORK_IN_THREAD, campaign.times(30, 1000)),
    ),
    Row(
        "Processes",
        "8 processes of 4 threads that log points of one metric",
        f"{PROMISE}; each point",
        lambda campaign: program(campaign, TOGETHER, campaign.times(100, 5000)),
    ),
    Row(
        "Processes",
        "`multiprocessing.Process` by fork, spawn and fork server",
        PROMISE,
        lambda campaign: program(campaign, START, campaign.times(1, 50)),
    ),
    Row(
        "Processes",
        "`multiprocessing.Pool` and `concurrent.futures`, each by fork, spawn and fork server",
        PROMISE,
        lambda campaign: program(campaign, POOLS, campaign.times(100, 3000)),
    ),
    Row("Processes", "gunicorn's workers, forked and replaced while they answer", PROMISE, gunicorn),
    Row("Processes", "the workers of a PyTorch DataLoader", PROMISE, loader),
    Row(
        "Processes", "torchrun: 4 ranks on gloo, each with a DataLoader's worker", f"{PROMISE}, each by its rank", ranks
    ),
]
