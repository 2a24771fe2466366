"""What waits at the end: one line for a destination, however many runs there were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loghook.testing import Answer, FakeLoghookServer
from loghook.waiting import Left, Waiting

from .scripts import Script, events

KEY = {"LOGHOOK_API_KEY": "a-key-for-tests-0001", "LOGHOOK_SHUTDOWN_TIMEOUT": "1"}
TEN = """\
import time
import loghook
for number in range(10):
    exp = loghook.Experiment(f"number {number}", capture_io=False)
    exp.metric("loss", 1.0, log=False)
"""


@pytest.mark.parametrize("then", ["pass", "time.sleep(0.3)", "exp.end()"])
def test_ten_experiments_say_what_one_does(then: str, tmp_path: Path, home: Path) -> None:
    """With nobody at the URL ten runs, ended or not, need two lines: what is in the way, and how much waits."""
    url = "http://127.0.0.1:9"
    ended = Script(tmp_path, TEN + f"    {then}\n", install=False).run(LOGHOOK_URL=url, **KEY)
    assert (ended.status, ended.others) == (0, "")
    *first, last = ended.ours
    assert first in ([], [f"loghook: {url}: Connection refused; events wait in the spool and are sent later"])
    said = rf"loghook: (\d+) events of 10 runs for {url} wait in {home}/spool; `loghook sync` sends them( \(.+\))?"
    found = re.fullmatch(said, last)
    assert found
    assert int(found[1]) == len(events(home))
    assert bool(first) != bool(found[2])


def test_what_is_delivered_meanwhile_waits_no_more(tmp_path: Path) -> None:
    """What an experiment left and another of the same program has delivered since is not told of at the end."""
    code = (
        "import sys, time, urllib.request\n"
        "import loghook\n"
        "with loghook.Experiment('one', capture_io=False) as exp:\n"
        "    exp.metric('loss', 1.0, log=False)\n"
        "urllib.request.urlopen(f'{sys.argv[1]}/mended').read()\n"
        "other = loghook.Experiment('other', capture_io=False)\n"
        "time.sleep(0.5)\n"
    )
    with FakeLoghookServer() as server:
        respond, server.respond = server.respond, lambda request: mended(request.path)

        def mended(path: str) -> Answer:
            if path == "/mended":
                server.respond = respond
                return Answer()
            return Answer(503)

        patient = {**KEY, "LOGHOOK_SHUTDOWN_TIMEOUT": "60"}
        ended = Script(tmp_path, code, install=False).run(server.url, LOGHOOK_URL=server.url, **patient)
        names = [event["run"]["name"] for event in server.platform.events() if event.get("event") == "run_started"]
        assert sorted(names) == ["one", "other"]
    assert [line for line in ended.ours if "loghook sync" in line] == []


def left(url: str, folder: Path, *, events: int = 3, why: str = "", quiet: bool = False) -> Left:
    """What a run leaves for a destination, in a folder of its home's."""
    return Left(url, url, folder.parents[2], folder, 0, events, why, quiet)


def test_each_destination_has_its_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Destinations, and homes, are told of one by one, each with the first reason that is known, and once."""
    waiting = Waiting()
    folders = [tmp_path / home / "spool" / name / "w" for home in ("h", "i") for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir(parents=True)
    waiting.add(left("http://x", folders[0], why="refused"))
    waiting.add(left("http://x", folders[1], events=5))
    waiting.add(left("http://x", folders[1], events=4, why="401"))
    waiting.add(left("http://x", folders[2], quiet=True))
    waiting.add(left("http://x", folders[3]))
    waiting.add(left("http://y", folders[1]))
    waiting.tell()
    waiting.tell()
    assert capfd.readouterr().err.splitlines() == [
        f"loghook: 7 events of 2 runs for http://x wait in {tmp_path}/h/spool; `loghook sync` sends them (refused)",
        f"loghook: 3 events for http://x wait in {folders[3]}; `loghook sync` sends them",
        f"loghook: 3 events for http://y wait in {folders[1]}; `loghook sync` sends them",
    ]


def test_a_spool_that_is_gone_waits_no_more(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What lay in a folder that others have delivered and deleted is not told of."""
    waiting = Waiting()
    waiting.add(left("http://x", tmp_path / "h" / "spool" / "gone" / "w"))
    waiting.tell()
    assert capfd.readouterr().err == ""
