"""The end of a program while the platform is up, down, or worse: prompt, quiet, and nothing lost."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loghook.credentials import KeySource
from loghook.destinations import destination
from loghook.sync import sync
from loghook.testing import Answer, AwkwardServer, FakeLoghookServer, Platform, Request

from ..scripts import Ended, Script, events, finish, messages

MakeScript = Callable[..., Script]

COUNT = 10_000
MANY = f"""\
for i in range({COUNT}):
    log.info("%d", i)
sys.exit(3)
"""
SHUTDOWN = 1.0
KEY = {"LOGHOOK_API_KEY": "a-key-for-tests-0001"}
QUICK = {"LOGHOOK_SHUTDOWN_TIMEOUT": str(SHUTDOWN), **KEY}
PATIENT = {"LOGHOOK_SHUTDOWN_TIMEOUT": "60", **KEY}
"""Where the platform is well: what it gets is the question, and not how long a busy machine takes for that."""
ALLOWANCE = 6.0
"""Seconds for the interpreter, the imports and 10,000 records."""


@pytest.fixture
def server() -> Iterator[FakeLoghookServer]:
    """A platform in good health."""
    with FakeLoghookServer() as server:
        yield server


def delivered(platform: Platform) -> list[str]:
    """The messages of the script's own records that a platform holds."""
    return [event["message"] for event in platform.records() if event["logger"] == "train"]


def deliver_the_rest(home: Path, url: str) -> None:
    """Do what `loghook sync` does, whatever URL the spools were bound for."""
    keys = KeySource(environ={"LOGHOOK_API_KEY": "a-key-for-tests-0001"})
    sync(home, lambda name, bound: destination(url, keys, 5.0))


@pytest.mark.parametrize("count", [0, 1, 10, 3000])
def test_a_short_script_delivers_all_of_itself(
    count: int, script: MakeScript, server: FakeLoghookServer, home: Path
) -> None:
    """A script that logs and ends at once has all of it on the platform, with no call to flush, and says nothing."""
    ended = script(f"for i in range({count}): log.info('%d', i)\n").run(LOGHOOK_URL=server.url, **PATIENT)
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert delivered(server.platform) == [str(i) for i in range(count)]
    assert [event["event"] for event in server.platform.events() if "event" in event] == [
        "writer_started",
        "run_started",
        "run_ended",
    ]
    assert server.violations == []


def test_what_is_delivered_leaves_nothing_behind(script: MakeScript, server: FakeLoghookServer, home: Path) -> None:
    """Once the platform has everything, the spool of a program that ended is gone."""
    script("log.info('hi')").run(LOGHOOK_URL=server.url, **PATIENT)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_what_is_logged_last_of_all_is_delivered(script: MakeScript, server: FakeLoghookServer) -> None:
    """What an atexit callback logs after the run has ended still reaches the platform."""
    code = (
        "import atexit, logging\n"
        "atexit.register(lambda: logging.getLogger('train').info('last'))\n"
        "import loghook\n"
        "loghook.install('run')\n"
        "logging.getLogger('train').info('first')\n"
    )
    ended = script(code, install=False).run(LOGHOOK_URL=server.url, **PATIENT)
    assert (ended.status, ended.err) == (0, "")
    assert delivered(server.platform) == ["first", "last"]


KILL = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)"


@pytest.mark.parametrize("ending", ["raise ValueError('no')", KILL])
def test_a_script_that_is_ended_delivers_its_tail(ending: str, script: MakeScript, server: FakeLoghookServer) -> None:
    """An exception or a SIGTERM loses nothing of what was logged before it, nor the run's end."""
    script(f"for i in range(100): log.info('%d', i)\n{ending}\n").run(LOGHOOK_URL=server.url, **PATIENT)
    assert delivered(server.platform) == [str(i) for i in range(100)]
    assert server.platform.events()[-1]["event"] == "run_ended"


def refusing() -> tuple[str, Callable[[], None]]:
    """A port of this machine where nobody listens."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{holder.getsockname()[1]}", holder.close


def silent() -> tuple[str, Callable[[], None]]:
    """A port that takes connections and never says a word."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    return f"http://127.0.0.1:{holder.getsockname()[1]}", holder.close


def answering(answer: Answer) -> tuple[str, Callable[[], None]]:
    """A server that has one answer for everything."""
    server = AwkwardServer(lambda request: answer)
    return server.url, server.close


TROUBLES: dict[str, Callable[[], tuple[str, Callable[[], None]]]] = {
    "refuses": refusing,
    "never answers": silent,
    "503": lambda: answering(Answer(503)),
    "503 for an hour": lambda: answering(Answer(503, {"Retry-After": "3600"})),
    "one byte per second": lambda: answering(Answer(200, body=b"x" * 1000, pace=1.0)),
    "401": lambda: answering(Answer(401)),
    "endless": lambda: answering(Answer(200, body=b" " * 1000, endless=True)),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_platform_in_trouble_holds_nobody_up(
    trouble: str, script: MakeScript, home: Path, server: FakeLoghookServer
) -> None:
    """The process is gone within the shutdown timeout, its exit code its own; one line says what waits, and it does."""
    url, close = TROUBLES[trouble]()
    try:
        ended = script(MANY).run(LOGHOOK_URL=url, LOGHOOK_HEARTBEAT_INTERVAL="600", **QUICK)
    finally:
        close()
    assert ended.status == 3
    assert ended.seconds < SHUTDOWN + ALLOWANCE
    assert (ended.out, ended.others) == ("", "")
    last = [line for line in ended.ours if "loghook sync" in line]
    assert len(last) == 1
    assert len(ended.ours) <= 2
    said = rf"loghook: {COUNT + 3} events for {url} wait in {home}/\S+; `loghook sync` sends them"
    assert re.fullmatch(rf"{said}( \(.+\))?", last[0])  # with the reason, if it was known by then and not said before
    assert messages(home) == [str(i) for i in range(COUNT)]
    deliver_the_rest(home, server.url)
    deliver_the_rest(home, server.url)
    assert delivered(server.platform) == [str(i) for i in range(COUNT)]
    assert server.violations == []


def test_the_second_sigterm_waits_for_nothing(script: MakeScript) -> None:
    """While the first SIGTERM still delivers, a second one ends the process at once, by that signal."""
    url, close = silent()
    made = script("log.info('hi')\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = made.start(LOGHOOK_URL=url, LOGHOOK_SHUTDOWN_TIMEOUT="60", LOGHOOK_API_KEY="k")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    ended = interrupt_twice(process, signal.SIGTERM)
    close()
    assert ended.status == -signal.SIGTERM
    assert ended.seconds < 10
    assert ended.others == ""


def test_the_second_ctrl_c_waits_for_nothing(script: MakeScript) -> None:
    """While a program that Ctrl-C ended still delivers, a second Ctrl-C stops the waiting without another traceback."""
    url, close = silent()
    made = script("log.info('hi')\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = made.start(LOGHOOK_URL=url, LOGHOOK_SHUTDOWN_TIMEOUT="60", LOGHOOK_API_KEY="k")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    ended = interrupt_twice(process, signal.SIGINT)
    close()
    assert ended.status == -signal.SIGINT
    assert ended.seconds < 10
    assert ended.others.count("Traceback") == 1
    assert ended.others.splitlines()[-1] == "KeyboardInterrupt"


def interrupt_twice(process: subprocess.Popen[str], number: signal.Signals) -> Ended:
    """Send a signal until the process is gone, as an impatient person does, once in half a second."""
    started = time.monotonic()
    for _ in range(10):
        process.send_signal(number)
        try:
            process.wait(0.5)
            break
        except subprocess.TimeoutExpired:
            continue
    ended = finish(process, 30)
    return Ended(ended.status, ended.out, ended.err, time.monotonic() - started)


def test_a_dead_destination_does_not_hold_up_the_other(script: MakeScript, server: FakeLoghookServer) -> None:
    """With two destinations and one of them silent, the other has everything before the program is gone."""
    url, close = silent()
    ended = script(MANY).run(LOGHOOK_URL=f"{url},{server.url}", LOGHOOK_SHUTDOWN_TIMEOUT="5", **KEY)
    close()
    assert ended.status == 3
    assert delivered(server.platform) == [str(i) for i in range(COUNT)]
    assert len([line for line in ended.ours if "wait in" in line]) == 1
    assert ended.seconds < 5 + ALLOWANCE


def test_quiet_means_not_a_byte(script: MakeScript) -> None:
    """With LOGHOOK_QUIET set nothing is written to stdout or stderr, whatever happens."""
    url, close = refusing()
    ended = script("log.info('hi')").run(
        LOGHOOK_URL=f"{url},nonsense://x", LOGHOOK_QUIET="1", LOGHOOK_TIMEOUT="soon", LOGHOOK_SHUTDOWN_TIMEOUT="0.1"
    )
    close()
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_nothing_is_said_while_all_is_well(script: MakeScript) -> None:
    """A program without a destination and without trouble has not one line of ours on its terminal."""
    ended = script("for i in range(1000): log.info('%d', i, extra={'metrics': {'loss': 1.0}})").run()
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_without_a_url_no_socket_is_made(script: MakeScript) -> None:
    """Where records stay on this machine, no socket is created and requests is not imported, from start to end."""
    code = (
        "import sys\n"
        "sys.addaudithook(lambda event, args: print(event, args) if event.startswith('socket.') else None)\n"
        "import logging, loghook\n"
        "loghook.install('run')\n"
        "logging.getLogger('train').info('hi')\n"
        "import time; time.sleep(0.6)\n"
        "print({'requests', 'urllib3', 'socket'} & set(sys.modules) - {'socket'})\n"
    )
    assert script(code, install=False).run().out == "set()\n"


def test_install_is_quick_whatever_the_platform(script: MakeScript) -> None:
    """`install()` returns at once when no server answers, and touches no network on the caller's thread."""
    url, close = silent()
    code = (
        "import logging, sys, threading, time, loghook\n"
        "main = threading.get_ident()\n"
        "touched = []\n"
        "def watch(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo') and threading.get_ident() == main:\n"
        "        touched.append(event)\n"
        "sys.addaudithook(watch)\n"
        "def waited():\n"
        "    with open('/proc/thread-self/schedstat') as file:\n"
        "        return int(file.read().split()[1]) / 1e9\n"
        "start = time.perf_counter() - waited()\n"
        "loghook.install('run')\n"
        "taken = time.perf_counter() - waited() - start\n"
        "logging.getLogger('train').info('hi')\n"
        "print(touched, taken < 3)\n"
    )
    ended = script(code, install=False).run(LOGHOOK_URL=url, **{**QUICK, "LOGHOOK_SHUTDOWN_TIMEOUT": "0.2"})
    close()
    assert ended.out == "[] True\n"


NO_FILES = """\
import resource
log.info("before")
loghook.flush(10)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
log.info("after")
"""


@pytest.mark.parametrize(("ending", "status"), [("sys.exit(3)", 3), (KILL, -signal.SIGTERM)])
def test_a_process_that_can_open_no_file_ends_as_it_would(
    ending: str, status: int, script: MakeScript, server: FakeLoghookServer
) -> None:
    """Where no file can be opened any more the exit status and the terminal stay as they would be without us."""
    ended = script(f"{NO_FILES}{ending}\n").run(LOGHOOK_URL=server.url, **QUICK)
    assert (ended.status, ended.others) == (status, "")


TWO = """\
import loghook
loghook.Experiment("beside", capture_io=False)
log.info("hi")
"""


def test_a_signal_ends_every_run(script: MakeScript, home: Path) -> None:
    """SIGTERM ends the run of install and an experiment that is open beside it, each with its reason."""
    assert script(f"{TWO}{KILL}\n").run().status == -signal.SIGTERM
    ends = events(home, "run_ended")
    assert [(end["status"], end["reason"]) for end in ends] == [("stopped", "SIGTERM")] * 2


@pytest.mark.slow
def test_several_runs_end_by_one_deadline(script: MakeScript) -> None:
    """However many runs there are, all of them together take no longer than the shutdown timeout."""
    url, close = silent()
    code = "import loghook\nopen_ = [loghook.Experiment(str(n), capture_io=False) for n in range(3)]\nlog.info('hi')\n"
    ended = script(code).run(LOGHOOK_URL=url, LOGHOOK_SHUTDOWN_TIMEOUT="4", **KEY)
    close()
    assert ended.status == 0
    assert len([line for line in ended.ours if "loghook sync" in line]) == 1
    assert 3 < ended.seconds < 4 + ALLOWANCE


def test_a_disk_that_hangs_holds_nobody_up(script: MakeScript) -> None:
    """A keeper that does not come back is left behind; one line says so, and the exit status is the program's own."""
    code = (
        "run = loghook.install()\n"
        "run.chores.append(lambda: time.sleep(600))\n"
        "log.info('hi')\n"
        "time.sleep(1)\n"
        "sys.exit(3)\n"
    )
    ended = script(code).run(LOGHOOK_SHUTDOWN_TIMEOUT="2")
    assert (ended.status, ended.others) == (3, "")
    assert len(ended.ours) == 1
    assert "does not answer" in ended.ours[0]
    assert ended.seconds < 1 + 2 + ALLOWANCE


def test_where_nobody_listens_nobody_waits(script: MakeScript) -> None:
    """Where the connection is refused the end does not cost the whole of the default shutdown timeout, 5 s."""
    url, close = refusing()
    ended = script("log.info('hi')\nsys.exit(3)\n").run(LOGHOOK_URL=url, **KEY)
    close()
    assert ended.status == 3
    assert ended.seconds < 4.9
    assert len([line for line in ended.ours if "loghook sync" in line]) == 1


def test_what_comes_last_of_all_waits_for_nobody_for_long(script: MakeScript, server: FakeLoghookServer) -> None:
    """A platform that falls silent behind the end of the run does not hold up what an atexit callback logs."""
    code = (
        "import atexit, logging, urllib.request\n"
        "def last():\n"
        f"    urllib.request.urlopen('{server.url}/silence').read()\n"
        "    logging.getLogger('train').info('last')\n"
        "atexit.register(last)\n"
        "import loghook\n"
        "loghook.install('run')\n"
        "logging.getLogger('train').info('first')\n"
    )
    respond = server.respond

    def silence(request: Request) -> Answer:
        if request.path == "/silence":
            server.respond = lambda request: Answer(delay=60.0)
            return Answer()
        return respond(request)

    server.respond = silence
    ended = script(code, install=False).run(LOGHOOK_URL=server.url, LOGHOOK_SHUTDOWN_TIMEOUT="2", **KEY)
    assert ended.status == 0
    assert ended.seconds < 2 + ALLOWANCE
