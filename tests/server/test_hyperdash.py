"""Hyperdash's SDK protocol: what its messages become, what is answered, and that nothing is stored twice."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server
from loghook.server.compat.hyperdash_messages import Malformed, read
from loghook.server.ingest import Ingest
from loghook.server.status import LOST_AFTER, status
from loghook.server.store import Store, views

RUN = "8aac02e3-a62a-4f0a-aa25-7c59da5eab80"
ID = RUN.replace("-", "")
Post = Callable[..., requests.Response]


def message(kind: str, *, at: float | None = None, **payload: Any) -> dict[str, Any]:
    """Return a message as the SDK makes it; `at` in epoch seconds."""
    ms = int((time.time() if at is None else at) * 1000)
    return {"type": kind, "timestamp": ms, "sdk_run_uuid": RUN, "payload": payload}


def log(body: str, level: str = "INFO", **more: Any) -> dict[str, Any]:
    """Return a log message."""
    return message("log", uuid=str(uuid.uuid4()), level=level, body=body, **more)


def metric(name: str, value: object, at: float, *, is_internal: bool = False) -> dict[str, Any]:
    """Return a metric message."""
    return message("metric", name=name, timestamp=int(at * 1000), value=value, is_internal=is_internal)


@pytest.fixture
def post(server: Server) -> Post:
    """Sends a message, or a body as it is, with the server's key."""

    def post(content: object, key: str | None = None, server: Server = server, **headers: str) -> requests.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {
            "x-hyperdash-auth": server.key if key is None else key,
            "x-hyperdash-version": "0.15.3",
            "x-hyperdash-api": "experiment",
            "Content-Type": "application/json",
            **headers,
        }
        return requests.post(f"{server.url}/api/v1/sdk/http", data=body, headers=sent, timeout=60)

    return post


def test_a_run(post: Post, client: Any) -> None:
    """A run's name, parameters, metrics, text and end are in the read API, and its source is hyperdash."""
    now = time.time()
    for content in (
        message("run_started", at=now - 9, job_name="Dogs vs. Cats"),
        message("param", params={"rate": 0.1, "layers": [1, 2]}, is_internal=False),
        message("param", params={"hd_iter_0_epochs": 5}, is_internal=True),
        metric("hd_iter_0", 0, now - 8, is_internal=True),
        metric("loss", 0.5, now - 7),
        metric("loss", 0.25, now - 6),
        log("one\ntwo\n"),
        log("oh no", "ERROR"),
        message("heartbeat"),
        message("run_ended", at=now, final_status="success"),
    ):
        answer = post(content)
        assert (answer.status_code, answer.json()) == (200, {})
    run = client.read(f"/runs/{ID}")
    assert (run["name"], run["source"], run["status"]) == ("Dogs vs. Cats", "hyperdash", "success")
    assert (run["started_at"], run["ended_at"]) == (pytest.approx(now - 9, abs=0.01), pytest.approx(now, abs=0.01))
    assert run["params"] == {"rate": 0.1, "layers": [1, 2], "hd_iter_0_epochs": 5}
    assert run["internal"] == {"metrics": ["hd_iter_0"], "params": ["hd_iter_0_epochs"]}
    lines = [line for line in client.read(f"/runs/{ID}/logs")["logs"] if line["message"]]
    assert [(line["level"], line["stream"], line["message"]) for line in lines] == [
        ("INFO", "stdout", "one"),
        ("INFO", "stdout", "two"),
        ("ERROR", "stderr", "oh no"),
    ]
    points = client.read(f"/runs/{ID}/metrics/loss")["points"]
    assert [(step, value) for step, _, value in points] == [(0, 0.5), (1, 0.25)]
    assert points[0][1] == pytest.approx(now - 7, abs=0.01)


def test_internal_metrics_are_no_main_ones(post: Post, client: Any) -> None:
    """What the SDK keeps for itself is listed as internal, and is not among the metrics of the overview."""
    now = time.time()
    post(metric("hd_iter_0", 0, now, is_internal=True))
    post(metric("loss", 1.5, now))
    listed = {one["name"]: one.get("internal", False) for one in client.read(f"/runs/{ID}/metrics")["metrics"]}
    assert listed == {"hd_iter_0": True, "loss": False}
    (run,) = client.read("/overview")["runs"]
    assert [one["name"] for one in run["metrics"]] == ["loss"]


def test_a_repeated_message_is_stored_once(post: Post, client: Any, server: Server, home: Path) -> None:
    """A message that comes again, at once, later or to a server that was started anew, is answered and not stored."""
    now = time.time()
    sent = [
        message("run_started", job_name="again"),
        log("only once\n"),
        metric("loss", 0.5, now),
        message("param", params={"a": 1}, is_internal=False),
        message("run_ended", final_status="failure"),
    ]
    for content in sent:
        assert post(content).status_code == post(content).status_code == 200
    before = client.read(f"/runs/{ID}/logs")["logs"]
    port = int(server.url.rpartition(":")[2])
    server.stop()
    with Server(home, port=port):
        assert [post(content).status_code for content in sent] == [200] * len(sent)
        assert client.read(f"/runs/{ID}/logs")["logs"] == before
        assert client.read(f"/runs/{ID}/metrics/loss")["count"] == 1
    assert [line["message"] for line in before if line["message"]] == ["only once"]


def test_equal_text_is_kept(post: Post, client: Any) -> None:
    """The same text twice, in two messages, is two lines."""
    now = time.time()
    post(log("epoch\n", at=now))
    post(log("epoch\n", at=now))
    assert len(client.read(f"/runs/{ID}/logs")["logs"]) == 2


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\n\nb", ["a", "", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("10%\r20%\r30%", ["30%"]),
        ("\r10%\r20%\r", ["20%"]),
        ("\ud800 half", ["? half"]),
        ("\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
        ("", []),
    ],
)
def test_lines(body: str, lines: list[str]) -> None:
    """A body becomes its lines; of one that was written over what it showed last."""
    events = read(json.dumps(log(body)).encode()).lines.splitlines()
    assert [json.loads(event)["message"] for event in events] == lines


@pytest.mark.parametrize(
    ("said", "ending", "reason"),
    [
        ("success", "success", None),
        ("failure", "failure", None),
        ("user_canceled", "stopped", "user_canceled"),
        ("exploded", "failure", "exploded"),
    ],
)
def test_endings(post: Post, client: Any, said: str, ending: str, reason: str | None) -> None:
    """A run ends as its message says; after Ctrl-C, which the SDK calls user_canceled, it is stopped."""
    post(message("run_ended", final_status=said))
    run = client.read(f"/runs/{ID}")
    assert (run["status"], run["reason"]) == (ending, reason)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_values_that_are_not_finite(post: Post, client: Any, value: str) -> None:
    """NaN and the infinities are kept, as Python's json writes them."""
    content = json.dumps(metric("loss", float(value), time.time())).encode()
    assert post(content).status_code == 200
    assert client.read(f"/runs/{ID}/metrics/loss")["points"][0][2] == value


@pytest.mark.parametrize("key", ["", "wrong", "lh_" + "A" * 43])
def test_unknown_key(post: Post, client: Any, key: str) -> None:
    """Without a key that is known, the answer is the code that stops the SDK, not the status that drops messages."""
    answer = post(message("run_started", job_name="secret"), key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_requred")
    assert client.read("/runs")["runs"] == []


def test_no_key(server: Server) -> None:
    """The SDK leaves the header out when it has no key."""
    answer = requests.post(f"{server.url}/api/v1/sdk/http", json=message("heartbeat"), timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_requred")


BAD: list[object] = [
    b"",
    b"no json",
    b"\xff\xfe",
    b"[" * 100_000,
    [],
    {},
    {**message("heartbeat"), "type": "coffee"},
    {**message("heartbeat"), "type": ["log"]},
    {**message("heartbeat"), "timestamp": "now"},
    {**message("heartbeat"), "timestamp": True},
    {**message("heartbeat"), "timestamp": -1},
    {**message("heartbeat"), "timestamp": 10**400},
    {**message("heartbeat"), "sdk_run_uuid": None},
    {**message("heartbeat"), "sdk_run_uuid": "../x"},
    {**message("heartbeat"), "payload": []},
    message("run_started"),
    message("run_started", job_name=5),
    message("log", level="INFO", body=None),
    message("log", level=7, body="x"),
    message("metric", name="loss", value="high", is_internal=False),
    message("metric", name="loss", value=True, is_internal=False),
    message("metric", name=None, value=1.0, is_internal=False),
    message("metric", name="loss", value=1.0, timestamp="x", is_internal=False),
    message("param", params=[], is_internal=False),
    message("run_ended"),
    b" " * (5 * 1024 * 1024),
]


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_malformed(post: Post, client: Any, content: object) -> None:
    """A message that makes no sense, or is too large, is a 400: the SDK drops it and goes on with the next."""
    answer = post(content)
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed"
    assert answer.json()["message"]
    assert client.read("/runs")["runs"] == []


def test_odd_numbers() -> None:
    """Numbers that 64 bits do not hold come through as floats or text."""
    lines = read(b'{"type":"param","timestamp":1,"sdk_run_uuid":"ab","payload":{"params":{"a":1e999,"b":%d}}}' % 10**30)
    assert json.loads(lines.lines)["params"] == {"a": "Infinity", "b": 1e30}
    with pytest.raises(Malformed):
        read(b'{"type":"param","timestamp":1,"sdk_run_uuid":"ab","payload":{"params":{"a":%s}}}' % (b"1" * 5000))


def test_old_metrics_do_not_move_the_start(post: Post, client: Any) -> None:
    """A metric may be older than its run, as with files of TensorBoard: the run began when it says, and it lives."""
    now = time.time()
    post(message("run_started", at=now - 2, job_name="backfill"))
    post(metric("loss", 1.0, now - 86400))
    run = client.read(f"/runs/{ID}")
    assert run["started_at"] == pytest.approx(now - 2, abs=0.01)
    assert run["status"] == "running"


def test_a_client_with_a_wrong_clock_lives(post: Post, client: Any) -> None:
    """A run whose machine's clock is a day behind is running as long as it sends."""
    post(message("heartbeat", at=time.time() - 86400))
    assert client.read(f"/runs/{ID}")["status"] == "running"


def test_silence_is_a_lost_run(tmp_path: Path) -> None:
    """A run whose heartbeats stop is lost when its patience is over, and running again when it is heard of."""
    now = 1000.0
    store = Store(tmp_path / "test.db")
    ingest = Ingest(store, clock=lambda: now)
    account = store.writer.run(
        lambda connection: connection.execute("INSERT INTO accounts (name, created) VALUES ('a', 0)").lastrowid
    )

    def state() -> str:
        with store.reading() as connection:
            details = views.run_details(connection, account or 0, ID, now)
        assert details is not None
        return str(details["status"])

    for moment in (1000.0, 1005.0):
        now = moment
        beat = read(json.dumps(message("heartbeat", at=now)).encode())
        ingest.append(account or 0, ID, "hyperdash", beat.lines, digest=None, source="hyperdash", time=beat.time)
    now = 1005.0 + LOST_AFTER
    assert state() == "running" == status(None, None, None, 1005.0, now)
    now += 1
    assert state() == "lost"
    ingest.append(account or 0, ID, "hyperdash", b"", digest=None, source="hyperdash", time=now)
    assert state() == "running"
    store.close()


def test_a_page_of_another_site_gets_nowhere(server: Server) -> None:
    """What programs may post without a key or a cookie, a browser's page of another site may not."""
    for path in ("/api/v1/sdk/http", "/api/v1/users", "/api/v1/sessions"):
        for headers in (
            {"Origin": "https://evil.example", "Content-Type": "application/json"},
            {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"},
            {"Content-Type": "text/plain"},
            {},
        ):
            answer = requests.post(server.url + path, data=b"{}", headers=headers, timeout=60)
            assert answer.status_code == 403, (path, headers)
            assert answer.json()["message"]
