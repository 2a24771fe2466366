"""No home, no right to it, no room in it: the program runs on, and says so in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loghook.testing import FakeLoghookServer

from ..scripts import Ended, Script, events

MakeScript = Callable[..., Script]
LOST = re.compile(r"(\d+) events for local are lost: the disk could not hold them \((.+)\)")
KEY = {"LOGHOOK_API_KEY": "a-key-for-tests-0001"}

LOGGING = """\
import logging, loghook
loghook.install("run")
for i in range({}):
    logging.getLogger("train").info("%d", i, extra={{"metrics": {{"loss": 0.5}}}})
print("done")
"""

DROP_RIGHTS = """\
import ctypes
libc = ctypes.CDLL(None)
if hasattr(libc, "capset"):  # root is held to permissions too
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""

LIMIT = """\
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
"""


@pytest.fixture
def server() -> Iterator[FakeLoghookServer]:
    """A platform in good health."""
    with FakeLoghookServer() as server:
        yield server


def delivered(server: FakeLoghookServer) -> list[str]:
    """The messages of all records that the platform holds."""
    return [event["message"] for event in server.platform.records()]


def lost(ended: Ended, why: str) -> int:
    """How many events the second of two lines on stderr says are lost, for the reason that the first one gives."""
    first, last = ended.ours
    assert f"can't hold a spool ({why}" in first
    found = LOST.search(last)
    assert found
    assert found[2].startswith(why)
    return int(found[1])


def test_a_home_that_is_a_file_costs_two_lines(script: MakeScript, tmp_path: Path) -> None:
    """Where the home folder can't be made the script runs to its end; a line says so, and one how much is lost."""
    (tmp_path / "file").write_text("")
    ended = script(LOGGING.format(1000), install=False).run(LOGHOOK_HOME=str(tmp_path / "file" / "home"))
    assert (ended.status, ended.out, ended.others) == (0, "done\n", "")
    assert lost(ended, "Not a directory") == 1000 + 3


def test_a_home_that_may_not_be_written_costs_two_lines(script: MakeScript, tmp_path: Path) -> None:
    """Where the user may not write in the home folder the script runs to its end, and a line says how much is lost."""
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    ended = script(DROP_RIGHTS + LOGGING.format(1000), install=False).run()
    assert (ended.status, ended.out, ended.others) == (0, "done\n", "")
    assert lost(ended, "Permission denied") == 1000 + 3


def test_a_user_without_a_home_is_served(script: MakeScript, tmp_path: Path) -> None:
    """Without HOME, and with a home folder that does not exist, the spool lies among the temporary files."""
    (tmp_path / "t").mkdir()
    variables = {"HOME": "/nonexistent", "LOGHOOK_HOME": "", "TMPDIR": str(tmp_path / "t")}
    ended = script(LOGGING.format(10), install=False).run(**variables)
    assert (ended.status, ended.out, ended.err) == (0, "done\n", "")
    assert len(events(tmp_path / "t" / f"loghook-{os.getuid()}", "record")) == 10


@pytest.mark.parametrize("limit", [0, 100, 4096, 70_000])
def test_a_full_disk_costs_two_lines(limit: int, script: MakeScript, home: Path) -> None:
    """Where no file may grow, from the start or later, the script runs to its end; what is not on disk is counted."""
    ended = script(LIMIT.format(limit) + LOGGING.format(5000), install=False).run()
    assert (ended.status, ended.out, ended.others) == (0, "done\n", "")
    assert lost(ended, "File too large") == 5000 + 3 - len(events(home))


@pytest.mark.parametrize("limit", [0, 4096, 70_000])
def test_a_platform_gets_what_the_disk_can_not_hold(limit: int, script: MakeScript, server: FakeLoghookServer) -> None:
    """With a platform that answers, a full disk loses nothing: events go from memory, once and in order."""
    ended = script(LIMIT.format(limit) + LOGGING.format(5000), install=False).run(LOGHOOK_URL=server.url, **KEY)
    assert (ended.status, ended.out, ended.others) == (0, "done\n", "")
    assert len(ended.ours) == 1
    assert delivered(server) == [str(i) for i in range(5000)]
    assert server.violations == []


FREED_LATE = """\
import atexit, logging, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = logging.getLogger("train")
nothing, most = (1000, resource.RLIM_INFINITY), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

def late():
    resource.setrlimit(resource.RLIMIT_FSIZE, most)
    log.info("late")

atexit.register(late)  # before loghook's own, and so called after it
import loghook
loghook.install("run")
resource.setrlimit(resource.RLIMIT_FSIZE, nothing)
for i in range(1000):
    log.info("%d" + "x" * 200, i)
"""


def test_a_disk_that_is_freed_at_the_very_end_is_tried(script: MakeScript, home: Path) -> None:
    """What is logged after all else has ended goes to a disk that takes it again, and is not said to be lost."""
    ended = script(FREED_LATE, install=False).run()
    assert ended.status == 0
    stored = events(home, "record")
    assert stored[-1]["message"] == "late"
    *_, last = ended.ours
    found = LOST.search(last)
    assert found
    assert int(found[1]) == 1000 + 1 - len(stored) + 1  # the run's end among them


def test_what_is_lost_is_said(script: MakeScript, tmp_path: Path) -> None:
    """What neither disk nor platform could take is counted in a line at the end."""
    (tmp_path / "file").write_text("")
    ended = script(LOGGING.format(10), install=False).run(
        LOGHOOK_HOME=str(tmp_path / "file"), LOGHOOK_URL="http://127.0.0.1:9", LOGHOOK_SHUTDOWN_TIMEOUT="0.3", **KEY
    )
    assert ended.status == 0
    assert any("lost: the disk could not hold them" in line or "can't hold a spool" in line for line in ended.ours)


def test_memory_is_bounded_and_what_it_drops_is_counted(script: MakeScript, tmp_path: Path) -> None:
    """Without a disk no more than the memory limit waits; the rest is dropped, and counted exactly."""
    (tmp_path / "file").write_text("")
    code = (
        "import logging, loghook\n"
        "run = loghook.install('run', memory_limit='256KiB')\n"
        "for i in range(5000): logging.getLogger('train').info('%d' + 'x' * 100, i)\n"
        "found = loghook.stats()\n"
        "print(found['accepted'], found['dropped'], found['destinations']['local']['pending'])\n"
    )
    ended = script(code, install=False).run(LOGHOOK_HOME=str(tmp_path / "file"))
    accepted, dropped = ended.out.partition(" ")[0], ended.out.partition("}")[0].rpartition(" ")[2]
    pending = ended.out.rpartition(" ")[2]
    assert ended.status == 0
    assert 5002 <= int(accepted) <= 5010
    assert int(accepted) == int(dropped) + int(pending)
    assert 0 < int(dropped) < 5000


@pytest.mark.parametrize("harm", ["os.truncate(path, 1000)", "os.remove(path)"], ids=["cut", "gone"])
def test_what_goes_while_no_server_runs_is_counted(harm: str, script: MakeScript, home: Path) -> None:
    """Of a file that somebody cuts short or deletes what is gone is told in the spool, though nobody delivers it."""
    code = (
        "import glob, logging, loghook, os, time\n"
        "run = loghook.install('run', flush_interval=0.02)\n"
        "for i in range(20_000):\n"
        "    logging.getLogger('train').info('%d' + 'x' * 100, i)\n"
        "    if not i % 1000: time.sleep(0.05)\n"
        "time.sleep(1.5)\n"
        "path = sorted(glob.glob(str(run.spool.log.directory) + '/*.seg'))[1]\n"
        f"{harm}\n"
    )
    ended = script(code, install=False).run()
    assert (ended.status, ended.others) == (0, "")
    gone = 20_000 - len(events(home, "record"))
    told = [event["dropped"] for event in events(home, "dropped") if event["dropped"]]
    assert told == [{"deleted": gone}]
    assert gone > 500
    assert [line.partition(" ")[2] for line in ended.ours] == [
        f"{gone} records were dropped ({gone} for deleted); the run says so too"
    ]


def test_what_the_last_look_finds_is_delivered(script: MakeScript, server: FakeLoghookServer) -> None:
    """What the keeper counts as dropped when the listeners have ended already reaches the platform all the same."""
    code = (
        "import logging, loghook\n"
        "run = loghook.install('run')\n"
        "def look():\n"
        "    if not any(listener._at_work for listener in run.listeners):\n"
        "        run.spool.log.drops.add('deleted', 7)\n"
        "logging.getLogger('train').info('hi')\n"
        "loghook.flush()\n"
        "run.chores.append(look)\n"
    )
    ended = script(code, install=False).run(LOGHOOK_URL=server.url, **KEY)
    assert (ended.status, ended.others) == (0, "")
    assert [event["dropped"] for event in server.platform.events() if "dropped" in event] == [{"deleted": 7}]
    assert [line.partition(" ")[2] for line in ended.ours] == [
        "7 records were dropped (7 for deleted); the run says so too"
    ]


def test_the_spool_has_a_limit(script: MakeScript, home: Path) -> None:
    """At the spool's limit plain records are dropped and counted, metrics go on, and the platform is told."""
    code = (
        "import logging, loghook, time\n"
        "run = loghook.install('run', spool_limit='1MiB')\n"
        "log = logging.getLogger('train')\n"
        "for i in range(20_000): log.info('%d' + 'x' * 100, i)\n"
        "for i in range(200): log.info('precious', extra={'metrics': {'loss': 0.5}})\n"
        "found = loghook.stats()\n"
        "print(found['accepted'] - sum(found['dropped'].values()) == found['destinations']['local']['pending'])\n"
    )
    ended = script(code, install=False).run()
    assert (ended.status, ended.out, ended.others) == (0, "True\n", "")
    records = events(home, "record")
    first, last = ended.ours
    assert "the spool is full" in first
    assert f"{20_200 - len(records)} records were dropped" in last
    assert [record["message"] for record in records].count("precious") == 200  # more than fit by being short
    dropped = sum(event["dropped"]["limit"] for event in events(home, "dropped"))
    assert dropped + len(records) == 20_200
