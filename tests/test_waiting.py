"""What waits at the end: one line for a destination, however many runs there were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loghook.testing import Answer, FakeLoghookServer
from loghook.voice import Voice
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


def left(url: str, voice: Voice, folder: Path | None = None, *, events: int = 3, why: str = "") -> Left:
    """What a run leaves for a destination."""
    return Left(url, url, folder, 0, events, why, voice)


def test_each_destination_has_its_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Destinations are told of one by one, each with the first reason that is known, and once."""
    waiting, one, other = Waiting(), Voice(), Voice()
    folders = [tmp_path / "spool" / name / "w" for name in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
    waiting.add(left("http://x", one, folders[0], why="refused"))
    waiting.add(left("http://x", other, folders[1], events=4, why="401"))
    waiting.add(left("http://y", other, folders[1]))
    waiting.add(left("http://z", other, None))
    waiting.add(left("http://z", Voice(quiet=True), folders[0]))
    waiting.tell()
    waiting.tell()
    assert capfd.readouterr().err.splitlines() == [
        f"loghook: 7 events of 2 runs for http://x wait in {tmp_path}/spool; `loghook sync` sends them (refused)",
        f"loghook: 3 events for http://y wait in {folders[1]}; `loghook sync` sends them",
    ]


def test_a_spool_that_is_gone_waits_no_more(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What lay in a folder that others have delivered and deleted is not told of."""
    waiting = Waiting()
    waiting.add(left("http://x", Voice(), tmp_path / "gone"))
    waiting.tell()
    assert capfd.readouterr().err == ""
