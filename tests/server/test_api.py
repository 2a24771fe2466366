"""The read API: runs, their state, logs and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from loghook.server import Server

Record = Callable[..., dict[str, Any]]


def started(when: float, **run: Any) -> dict[str, Any]:
    """Return a run_started event."""
    return {"time": when, "event": "run_started", "run": {"name": "digits", "host": "box", "pid": 7, **run}}


def test_run(client: Any) -> None:
    """What a run says of itself is what one reads of it."""
    now = time.time()
    client.send(
        [
            {"time": now - 5, "event": "writer_started", "writer": {"pid": 7, "host": "box", "rank": 0}},
            started(
                now - 5, argv=["train.py"], git={"commit": "abc", "dirty": True}, params={"lr": 0.1}, python="3.11"
            ),
            {"time": now - 4, "event": "params", "params": {"depth": [1, 2]}},
            {"time": now - 3, "event": "dropped", "dropped": {"full": 3}, "since": 1.0, "until": 2.0},
            {"time": now - 2, "event": "dropped", "dropped": {"full": 4, "torn": 1}},
            {"time": now - 1, "event": "heartbeat"},
        ]
    )
    run = client.read("/runs/run")
    assert run.pop("duration") == pytest.approx(5, abs=2)
    assert run == {
        "id": "run",
        "name": "digits",
        "status": "running",
        "started_at": now - 5,
        "ended_at": None,
        "params": {"lr": 0.1, "depth": [1, 2]},
        "source": "loghook",
        "last_seen": now - 1,
        "host": "box",
        "pid": 7,
        "rank": None,
        "python": "3.11",
        "missing_bytes": 0,
        "set_aside": 0,
        "argv": ["train.py"],
        "git": {"commit": "abc", "dirty": True},
        "exception": None,
        "reason": None,
        "dropped": {"full": 7, "torn": 1},
        "internal": {"metrics": [], "params": []},
        "project": None,
        "group": None,
        "tags": [],
        "description": None,
        "writers": [
            {"id": "writer", "pid": 7, "host": "box", "rank": 0, "last_seen": now - 1, "missing_bytes": 0},
        ],
        "counts": {"logs": 0, "metrics": 0},
    }


def test_beginning_of_an_id(server: Server, client: Any, record: Record) -> None:
    """Eight characters of a run's id or more are as good as all, in each part of the API, if one run only has them."""
    for run in ("abcdefgh-one", "abcdefgh-two", "abcdefgh"):
        client.send([record(run, metrics={"m": 1.0})], run=run)
    for path in ("", "/logs", "/metrics", "/metrics/m", "/series?name=m"):
        assert client.read(f"/runs/abcdefgh-t{path}")
        for unknown in ("abcdefg", "abcdefgh-three", "abcdefgh_", "abcdefgi"):
            assert client.get(f"/runs/{unknown}{path}").status_code == 404
        several = client.get(f"/runs/abcdefgh-{path}")
        assert (several.status_code, "several" in several.json()["error"]) == (404, True)
    assert client.read("/runs/abcdefgh-o")["id"] == "abcdefgh-one"
    assert client.read("/runs/abcdefgh")["id"] == "abcdefgh"


def test_failure(client: Any) -> None:
    """A run that failed says why."""
    now = time.time()
    ended = {"time": now, "event": "run_ended", "status": "failure", "exception": "ValueError: x", "reason": "error"}
    client.send([started(now - 9), ended])
    run = client.read("/runs/run")
    assert (run["status"], run["ended_at"], run["duration"]) == ("failure", now, pytest.approx(9))
    assert (run["exception"], run["reason"]) == ("ValueError: x", "error")


def test_resumed(client: Any) -> None:
    """A run that starts again is running, from its first start on, even when its old end comes late."""
    now = time.time()
    client.send([started(now - 9)], writer="a")
    client.send([started(now - 2)], writer="b")
    offset = client.send([started(now - 9)], writer="c")
    client.send([{"time": now - 5, "event": "run_ended", "status": "failure"}], offset, writer="c")
    run = client.read("/runs/run")
    assert (run["status"], run["ended_at"], run["started_at"]) == ("running", None, now - 9)


def test_a_clock_set_back(client: Any) -> None:
    """A run whose clock was set back before it ended has ended; the order of its log decides, not its times."""
    now = time.time()
    offset = client.send([started(now)])
    client.send([{"time": now - 3600, "event": "run_ended", "status": "success"}], offset)
    run = client.read("/runs/run")
    assert (run["status"], run["ended_at"]) == ("success", now - 3600)


def test_resumed_with_a_clock_set_back(client: Any) -> None:
    """A writer that tells of a start after an end has resumed its run, even at an earlier time, and may end it."""
    now = time.time()
    offset = client.send([started(now - 9), {"time": now, "event": "run_ended", "status": "failure"}])
    offset = client.send([started(now - 3600)], offset)
    assert client.read("/runs/run")["status"] == "running"
    client.send([{"time": now - 3599, "event": "run_ended", "status": "stopped"}], offset)
    assert client.read("/runs/run")["status"] == "stopped"


def test_lost(client: Any, record: Record) -> None:
    """A run that was last heard of long ago is lost, and running again when it is heard of."""
    offset = client.send([record("long ago")])
    assert client.read("/runs/run")["status"] == "lost"
    client.send([record("back", time=time.time())], offset)
    assert client.read("/runs/run")["status"] == "running"


def test_skewed_clock(client: Any, record: Record) -> None:
    """A run on a machine whose clock is wrong is running, and its times are its own."""
    client.send([record("now", time=1000.0)], headers={"Loghook-Sent": "1001.5"})
    run = client.read("/runs/run")
    assert (run["status"], run["started_at"]) == ("running", 1000.0)
    assert client.read("/runs/run/logs")["logs"][0]["time"] == 1000.0


def test_odd_run_started(client: Any) -> None:
    """A run whose facts have odd types is a run all the same."""
    odd = {"name": 5, "host": [], "pid": 2**70, "rank": True, "argv": {"a": 1}, "git": None, "params": [], "python": 3}
    client.send([{"time": time.time(), "event": "run_started", "run": odd}])
    run = client.read("/runs/run")
    assert (run["name"], run["host"], run["pid"], run["argv"]) == ("run", None, None, {"a": 1})


def test_list(client: Any) -> None:
    """Runs are listed newest first, page by page, each once."""
    for index in range(25):
        client.send([started(1000.0 + index // 2, name=f"run {index}")], run=f"r{index:02}")
    seen: list[str] = []
    cursor = None
    while True:
        page = client.read("/runs", limit=7, **({"before": cursor} if cursor else {}))
        seen += [run["id"] for run in page["runs"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"r{index:02}" for index in range(24, -1, -1)]


def test_search_runs(client: Any) -> None:
    """Runs are found by a part of their name or id, whatever its case."""
    client.send([started(1.0, name="Dogs vs. Cats 100%")], run="aaa")
    client.send([started(2.0, name="digits")], run="bbb")
    assert [run["id"] for run in client.read("/runs", q="vs. c")["runs"]] == ["aaa"]
    assert [run["id"] for run in client.read("/overview", q="BBB")["runs"]] == ["bbb"]
    assert client.read("/runs", q="%")["runs"][0]["id"] == "aaa"
    assert client.read("/runs", q="_")["runs"] == []


def test_overview(client: Any, record: Record) -> None:
    """The overview has at most four metrics of a run, those logged first, with their last value and a small line."""
    metrics = {"loss": 1.0, "b": 2.0, "c": "NaN", "d": 4.0, "e": 5.0}
    offset = client.send([record(metrics=metrics, step=0)])
    offset = client.send([record(metrics={"loss": 3.0}, step=2)], offset)
    before = time.time()
    answer = client.read("/overview")
    assert before - 1 < answer["now"] < time.time() + 1
    found = {metric["name"]: (metric["last"], metric["line"]) for metric in answer["runs"][0]["metrics"]}
    assert found == {"loss": (3.0, "0,24 100,0"), "b": (2.0, "50,12"), "c": ("NaN", ""), "d": (4.0, "50,12")}
    client.send([record(metrics={"loss": 2.0}, step=4)], offset)
    assert client.read("/overview")["runs"][0]["metrics"][0]["line"] == "0,24 50,0 100,12"


def ids(page: dict[str, Any]) -> list[int]:
    """Return the ids of a page of lines."""
    return [line["id"] for line in page["logs"]]


def test_log_pages(client: Any, record: Record) -> None:
    """A log is read from its end backwards and from any line forwards."""
    client.send([record(str(index)) for index in range(1, 11)])
    last = client.read("/runs/run/logs", limit=4)
    assert (ids(last), last["next"], last["first"]) == ([7, 8, 9, 10], 10, 7)
    older = client.read("/runs/run/logs", limit=4, before=last["first"])
    assert (ids(older), older["first"]) == ([3, 4, 5, 6], 3)
    oldest = client.read("/runs/run/logs", limit=4, before=older["first"])
    assert (ids(oldest), oldest["first"]) == ([1, 2], None)
    first = client.read("/runs/run/logs", limit=4, after=0)
    assert (ids(first), first["next"]) == ([1, 2, 3, 4], 4)
    none = client.read("/runs/run/logs", limit=4, after=10)
    assert (ids(none), none["next"]) == ([], 10)


def test_follow(client: Any, record: Record) -> None:
    """Who asks again with `next` gets each later line once, filtered or not."""
    offset = client.send([record("old", level="ERROR")])
    cursor = client.read("/runs/run/logs")["next"]
    filtered = client.read("/runs/run/logs", level="ERROR")["next"]
    seen: list[int] = []
    errors: list[int] = []
    for index in range(5):
        offset = client.send([record("x"), record("y", level="ERROR" if index % 2 else "INFO")], offset)
        page = client.read("/runs/run/logs", after=cursor, limit=1 + index)
        seen, cursor = seen + ids(page), page["next"]
        page = client.read("/runs/run/logs", after=filtered, level="ERROR")
        errors, filtered = errors + ids(page), page["next"]
    seen += ids(client.read("/runs/run/logs", after=cursor))
    assert seen == list(range(2, 12))
    assert errors == [5, 9]


LINES = [
    ("DEBUG", "train", "alpha 50% done"),
    ("INFO", "train.data", "Beta_1"),
    ("WARNING", "training", "gamma \x1b[31mred\x1b[0m"),
    ("ERROR", "eval", 'say "hi"\\n'),
    ("CRITICAL", "train", "GRÜẞE aus Köln"),
    ("Level 35", "a", "naïve"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"level": "WARNING"}, [3, 4, 5, 6]),
        ({"level": "error"}, [4, 5]),
        ({"level": "35"}, [4, 5, 6]),
        ({"level": "INFO"}, [2, 3, 4, 5, 6]),
        ({"logger": "train"}, [1, 2, 5]),
        ({"logger": "train", "level": "INFO"}, [2, 5]),
        ({"q": "BETA"}, [2]),
        ({"q": "50%"}, [1]),
        ({"q": "0% d"}, [1]),
        ({"q": "a_1"}, [2]),
        ({"q": "_"}, [2]),
        ({"q": "%"}, [1]),
        ({"q": "!"}, []),
        ({"q": '"HI"\\'}, [4]),
        ({"q": "\x1b[31m"}, [3]),
        ({"q": "köln"}, [5]),
        ({"q": "AUS KÖLN"}, [5]),
        ({"q": "NAÏVE"}, [6]),
        ({"q": "message"}, []),
        ({"q": "boom"}, [7]),
        ({"q": "a", "level": "CRITICAL", "logger": "train"}, [5]),
    ],
)
def test_filter(client: Any, record: Record, query: dict[str, str], expected: list[int]) -> None:
    """Lines are found by level, logger and text in message or exception, in any combination."""
    events = [record(message, level=level, logger=logger) for level, logger, message in LINES]
    events.append(record("failed", level="DEBUG", logger="z", exception="Traceback\nValueError: Boom"))
    client.send(events)
    assert ids(client.read("/runs/run/logs", **query)) == expected
    assert ids(client.read("/runs/run/logs", after=0, **query)) == expected
    assert ids(client.read("/runs/run/logs", before=99, **query)) == expected


def test_escapes(client: Any) -> None:
    """A text is found however the sender's JSON escaped it."""
    client.post(b'{"time":1,"message":"caf\\u00e9 a\\/b \\u001b[1m"}\n')
    assert len(client.read("/runs/run/logs", q="CAFÉ A/B \x1b")["logs"]) == 1


def test_deep_search(client: Any, record: Record) -> None:
    """A rare line among many is found by following the cursor of each page, whichever way."""
    offset = 0
    for part in range(4):
        extra = [record("needle")] if part == 0 else []
        offset = client.send([record("hay") for _ in range(5000)] + extra, offset)
    found: list[int] = []
    cursor: int | None = 10**9
    while cursor is not None and not found:
        page = client.read("/runs/run/logs", before=cursor, q="needle")
        found, cursor = ids(page), page["first"]
    assert found == [5001]
    assert ids(client.read("/runs/run/logs", after=0, q="needle")) == [5001]


def test_large_lines(client: Any, record: Record) -> None:
    """A page of very long lines ends early, and the next goes on from there."""
    offset = 0
    for _ in range(4):
        offset = client.send([record("x" * 3_000_000)], offset)
    page = client.read("/runs/run/logs")
    assert ids(page) == [2, 3, 4]
    assert ids(client.read("/runs/run/logs", before=page["first"])) == [1]
    up = client.read("/runs/run/logs", after=0)
    assert ids(up) == [1, 2, 3]
    assert ids(client.read("/runs/run/logs", after=up["next"])) == [4]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/runs/run/logs", {"limit": "x"}),
        ("/runs/run/logs", {"limit": "0"}),
        ("/runs/run/logs", {"after": "-1"}),
        ("/runs/run/logs", {"before": "1e9"}),
        ("/runs/run/logs", {"q": "x" * 5000}),
        ("/runs/run/series", {"max_points": "1000000"}),
        ("/runs/run/series", {"name": [str(index) for index in range(1000)]}),
        ("/runs", {"before": "yesterday"}),
        ("/runs", {"before": "1.0_1_2"}),
        ("/runs", {"before": "1.0_" + "9" * 30}),
        ("/runs", {"before": "nan_1"}),
        ("/overview", {"limit": "-5"}),
    ],
)
def test_bad_query(client: Any, record: Record, path: str, query: dict[str, Any]) -> None:
    """A query that makes no sense is answered with a sentence."""
    client.send([record()])
    answer = client.get(path, **query)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_thinned(client: Any, record: Record) -> None:
    """A long metric is thinned to what was asked for, the same each time, and whole when asked for."""
    events = [record("", metrics={"m": float(index == 1234)}, step=index) for index in range(5000)]
    client.send(events)
    thin = client.get("/runs/run/metrics/m", max_points=100)
    assert [1234, record()["time"], 1.0] in thin.json()["points"]
    assert len(thin.json()["points"]) <= 100
    assert thin.json()["count"] == 5000
    assert client.get("/runs/run/metrics/m", max_points=100).content == thin.content
    assert len(client.read("/runs/run/metrics/m", max_points=0)["points"]) == 5000
    both = client.read("/runs/run/series", name=["m", "none"], max_points=100)["series"]
    assert list(both) == ["m"]
    assert both["m"]["points"] == thin.json()["points"]


def test_every_point(client: Any, record: Record) -> None:
    """A metric with very many points comes whole, part by part."""
    offset = 0
    for part in range(3):
        events = [record("", metrics={"m": 1.0}, step=part * 40_000 + step) for step in range(40_000)]
        offset = client.send(events, offset)
    answer = client.read("/runs/run/metrics/m", max_points=0)
    assert [step for step, _, _ in answer["points"]] == list(range(120_000))
    assert answer["count"] == 120_000


@pytest.mark.parametrize(
    "path", ["/runs/no", "/runs/no/logs", "/runs/no/metrics", "/runs/no/series", "/runs/no/metrics/m"]
)
def test_no_such_run(client: Any, path: str) -> None:
    """A run that does not exist is answered with 404."""
    assert client.get(path).status_code == 404


def test_compressed(client: Any, record: Record) -> None:
    """A long answer is compressed for those who can take it, and only for them."""
    client.send([record("x" * 100) for _ in range(100)])
    assert client.get("/runs/run/logs").headers["Content-Encoding"] == "gzip"
    client.session.headers["Accept-Encoding"] = "identity"
    assert "Content-Encoding" not in client.get("/runs/run/logs").headers


def test_in_process(server: Server, client: Any) -> None:
    """A server tells where it is, and a key that works."""
    assert server.url.startswith("http://127.0.0.1:")
    assert client.read("/runs") == {"runs": [], "next": None}
