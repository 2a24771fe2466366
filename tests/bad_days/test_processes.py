"""Several processes and one run: forks, spawned workers, pools, subprocesses and ranks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loghook.testing import FakeLoghookServer

from ..scripts import Script, by_writer, events, finish, last_end, messages

MakeScript = Callable[..., Script]
KEY = {"LOGHOOK_API_KEY": "a-key-for-tests-0001"}

WORKERS = """\
import logging, multiprocessing, sys, time
import loghook

def work(number):
    loghook.install("run")
    logging.getLogger("train").info("child %d", number)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    loghook.install("run")
    logging.getLogger("train").info("parent")
    workers = [context.Process(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    started = time.monotonic()
    for worker in workers:
        worker.join()
    print([worker.exitcode for worker in workers], time.monotonic() - started < 20)
"""


@pytest.fixture
def server() -> Iterator[FakeLoghookServer]:
    """A platform in good health."""
    with FakeLoghookServer() as server:
        yield server


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_are_writers_of_the_same_run(method: str, script: MakeScript, home: Path) -> None:
    """However they are started, workers write for themselves into their parent's run, whose end is the parent's."""
    ended = script(WORKERS, install=False).run(method)
    assert (ended.status, ended.out) == (0, "[0, 0, 0] True\n")
    assert ended.others == ""
    logs = by_writer(home)
    assert len({run for run, _ in logs}) == 1
    assert sorted(messages(home)) == ["child 0", "child 1", "child 2", "parent"]
    assert len(logs) == 4
    assert len(events(home, "run_started")) == 1
    assert (last_end(home) or {})["status"] == "success"
    assert len({event["writer"]["pid"] for event in events(home, "writer_started")}) == 4
    for log in logs.values():
        assert log[0]["event"] == "writer_started"


def test_a_pool_loses_nothing(script: MakeScript, home: Path) -> None:
    """Every task of a pool's workers has its record, though the workers are terminated and not ended."""
    code = (
        "import multiprocessing\n"
        "def work(i): log.info('%d', i)\n"
        "with multiprocessing.get_context('fork').Pool(3) as pool: pool.map(work, range(200))\n"
    )
    ended = script(code).run()
    assert (ended.status, ended.others) == (0, "")
    assert sorted(map(int, messages(home))) == list(range(200))
    assert (last_end(home) or {})["status"] == "success"


def test_a_worker_that_fails_does_not_fail_the_run(script: MakeScript, home: Path) -> None:
    """A worker's exit code is its own, and no second end of the run comes from it."""
    code = (
        "import multiprocessing\n"
        "def work(): sys.exit(5)\n"
        "p = multiprocessing.get_context('fork').Process(target=work)\n"
        "p.start(); p.join(); print(p.exitcode)\n"
    )
    assert script(code).run().out == "5\n"
    assert (last_end(home) or {})["status"] == "success"


FORKED = {
    "os._exit": "os._exit(0)",
    "sys.exit": "sys.exit(0)",
    "an exception": "raise ValueError('no')",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)",
}


@pytest.mark.parametrize("ending", FORKED)
def test_a_forked_child_ends_nobodys_run(ending: str, script: MakeScript, home: Path) -> None:
    """However a forked child ends, its records are there, and the run goes on and ends with its owner."""
    code = (
        "log.info('before')\n"
        "if not os.fork():\n"
        "    log.info('child')\n"
        f"    {FORKED[ending]}\n"
        "os.wait()\n"
        "log.info('after')\n"
    )
    ended = script(code).run()
    assert ended.status == 0
    assert ended.ours == []
    logs = sorted(by_writer(home).values(), key=len)
    assert [[e["message"] for e in log if e.get("logger") == "train"] for log in logs] == [
        ["child"],
        ["before", "after"],
    ]
    assert (last_end(home) or {})["status"] == "success"


def test_a_child_that_logs_nothing_writes_nothing(script: MakeScript, home: Path) -> None:
    """A forked child without a record leaves no writer behind."""
    script("if not os.fork(): sys.exit(0)\nos.wait()\n").run()
    assert len(by_writer(home)) == 1


def test_a_childs_threads_are_not_mistaken_for_ours(script: MakeScript, server: FakeLoghookServer) -> None:
    """A forked child may start threads whose identifiers were a listener's in the parent: they log as any other."""
    code = (
        "time.sleep(0.3)\n"
        "if not os.fork():\n"
        "    for i in range(30):\n"
        "        t = threading.Thread(target=log.info, args=('%d', i)); t.start(); t.join()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    ended = script(code).run(LOGHOOK_URL=server.url, **KEY)
    assert ended.status == 0
    assert sorted(int(event["message"]) for event in server.platform.records()) == list(range(30))


def test_forks_between_busy_threads_all_log(script: MakeScript, home: Path) -> None:
    """While threads log flat out, every one of 50 forked children logs its line and ends."""
    code = (
        "stop = False\n"
        "def busy():\n"
        "    while not stop: log.info('busy')\n"
        "threads = [threading.Thread(target=busy) for _ in range(4)]\n"
        "for t in threads: t.start()\n"
        "for i in range(50):\n"
        "    if not os.fork():\n"
        "        signal.alarm(20)\n"
        "        log.info('child %d', i)\n"
        "        os._exit(0)\n"
        "codes = [os.wait()[1] for _ in range(50)]\n"
        "stop = True\n"
        "print(set(codes))\n"
    )
    ended = script(code).run()
    assert (ended.status, ended.out) == (0, "{0}\n")
    assert {message for message in messages(home) if message != "busy"} == {f"child {i}" for i in range(50)}


def test_a_parent_delivers_what_its_children_leave(script: MakeScript, server: FakeLoghookServer) -> None:
    """What forked children left when they ended is on the platform when the parent ends, once, beside its own."""
    code = (
        "for i in range(100): log.info('parent %d', i)\n"
        "for child in range(3):\n"
        "    if not os.fork():\n"
        "        for i in range(100): log.info('child %d', i)\n"
        "        os._exit(0)\n"
        "for _ in range(3): os.wait()\n"
    )
    ended = script(code).run(LOGHOOK_URL=server.url, **KEY)
    assert (ended.status, ended.ours) == (0, [])
    found = sorted(event["message"] for event in server.platform.records())
    assert found == sorted([f"parent {i}" for i in range(100)] + [f"child {i}" for i in range(100)] * 3)
    assert server.violations == []


def test_a_subprocess_joins_the_run(script: MakeScript, home: Path) -> None:
    """A program that this one starts, and that installs loghook too, is a writer of the same run and not its owner."""
    code = (
        "import subprocess\n"
        "if 'inner' in sys.argv:\n"
        "    log.info('inner')\n"
        "else:\n"
        "    log.info('outer')\n"
        "    subprocess.run([sys.executable, __file__, 'inner'], check=True)\n"
    )
    assert script(code).run().status == 0
    logs = by_writer(home)
    assert (len(logs), len({run for run, _ in logs})) == (2, 1)
    assert sorted(messages(home)) == ["inner", "outer"]
    assert len(events(home, "run_started")) == 1
    assert (last_end(home) or {})["status"] == "success"


def test_two_programs_have_two_runs(script: MakeScript, home: Path) -> None:
    """Programs that do not start each other have runs of their own."""
    made = script("log.info('hi')")
    made.run_both("again")
    assert len({run for run, _ in by_writer(home)}) == 2


def test_ranks_share_a_run_that_rank_0_owns(script: MakeScript, home: Path) -> None:
    """Ranks that a launcher started are writers of one run, each with its rank; rank 0 says how it went."""
    made = script("log.info('rank %s', os.environ['RANK'])\nsys.exit(int(os.environ['RANK']))\n")
    launch = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "job"}
    processes = [made.start(RANK=str(rank), **launch) for rank in range(2)]
    assert [finish(process).status for process in processes] == [0, 1]
    logs = by_writer(home)
    assert (len(logs), len({run for run, _ in logs})) == (2, 1)
    assert sorted(messages(home)) == ["rank 0", "rank 1"]
    assert {event["writer"]["rank"] for event in events(home, "writer_started")} == {0, 1}
    assert [event["run"]["rank"] for event in events(home, "run_started")] == [0]
    assert (last_end(home) or {})["status"] == "success"


def test_a_machine_of_a_launch_without_a_name_has_a_run(script: MakeScript, home: Path) -> None:
    """Where nothing names a launch on two machines, the second machine's ranks are a run that their first one owns."""
    made = script("log.info('rank %s', os.environ['RANK'])\n")
    launch = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "TORCHELASTIC_RUN_ID": "none"}
    processes = [made.start(RANK=str(2 + local), LOCAL_RANK=str(local), **launch) for local in range(2)]
    first, second = (finish(process) for process in processes)
    assert (first.status, second.status, second.ours) == (0, 0, [])
    assert len(first.ours) == 1
    assert "--rdzv-id" in first.ours[0]
    assert len({run for run, _ in by_writer(home)}) == 1
    assert sorted(messages(home)) == ["rank 2", "rank 3"]
    assert [event["run"]["rank"] for event in events(home, "run_started")] == [2]
    assert (last_end(home) or {})["status"] == "success"


def test_a_rank_that_is_stopped_delivers_its_tail(script: MakeScript, server: FakeLoghookServer) -> None:
    """SIGTERM at a rank that owns no run still delivers what it logged."""
    made = script("log.info('hi')\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)\n")
    ended = made.run(RANK="1", WORLD_SIZE="2", TORCHELASTIC_RUN_ID="job", LOGHOOK_URL=server.url, **KEY)
    assert ended.status == -15
    assert [event["message"] for event in server.platform.records()] == ["hi"]


def test_a_run_id_may_be_given(script: MakeScript, home: Path) -> None:
    """LOGHOOK_RUN_ID names the run, whose owner is the process that was given it."""
    script("log.info('hi')").run(LOGHOOK_RUN_ID="my-run.1")
    assert {run for run, _ in by_writer(home)} == {"my-run.1"}
    assert (last_end(home) or {})["status"] == "success"


def test_no_function_of_pythons_is_replaced(script: MakeScript) -> None:
    """os.fork, Popen, Process.run, Thread.start and print are the very objects that they were, during and after."""
    code = (
        "import builtins, multiprocessing.process, os, subprocess, threading\n"
        "def all_of_them():\n"
        "    return [os.fork, subprocess.Popen, multiprocessing.process.BaseProcess.run, threading.Thread.start,\n"
        "            threading.Thread.run, builtins.print, os._exit, subprocess.Popen.__init__]\n"
        "before = all_of_them()\n"
        "import loghook\n"
        "loghook.install('run')\n"
        "print(all(a is b for a, b in zip(before, all_of_them())))\n"
        "loghook.uninstall()\n"
        "print(all(a is b for a, b in zip(before, all_of_them())))\n"
    )
    assert script(code, install=False).run().out == "True\nTrue\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a thousand forks are cheap on Linux alone")
def test_a_thousand_forks_between_busy_threads_all_log(script: MakeScript, home: Path) -> None:
    """While eight threads log flat out, every one of 1,000 forked children logs its line and ends."""
    code = (
        "stop = False\n"
        "def busy():\n"
        "    while not stop: log.info('busy'); time.sleep(0.0005)\n"
        "threads = [threading.Thread(target=busy) for _ in range(8)]\n"
        "for t in threads: t.start()\n"
        "codes = set()\n"
        "for i in range(1000):\n"
        "    if not os.fork():\n"
        "        signal.alarm(20)\n"
        "        log.info('child %d', i)\n"
        "        os._exit(0)\n"
        "    codes.add(os.wait()[1])\n"
        "stop = True\n"
        "print(codes)\n"
    )
    ended = script(code).run()
    assert (ended.status, ended.out) == (0, "{0}\n")
    assert len({message for message in messages(home) if message != "busy"}) == 1000
