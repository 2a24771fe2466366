"""A deleted run is gone at once, goes away in slices, gives its space back, and does not come back by itself."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.errors import ConfigurationError
from loghook.server import Server
from loghook.server.care.export import Removed, export
from loghook.server.care.removal import Remover, condemn
from loghook.server.care.retention import Keep, Retention, Uptime
from loghook.server.ingest import Ingest
from loghook.server.store import Store
from loghook.server.store.schema import connect_reader
from loghook.spool import writers

NOW = 1_763_740_000.0
DAY = 24 * 3600.0
TABLES = (
    "logs",
    "words",
    "metrics",
    "points",
    "open_points",
    "summaries",
    "set_aside",
    "internal",
    "writers",
    "messages",
)


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
    return found


def rows(path: Path) -> dict[str, int]:
    """Return how many rows each table of a run's content has."""
    connection = sqlite3.connect(path)
    try:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    finally:
        connection.close()


def ended(record: Callable[..., dict[str, Any]], count: int = 5) -> list[dict[str, Any]]:
    """Return the events of a run that is over, with something for each table."""
    return [
        {"time": NOW, "event": "run_started", "run": {"name": "over", "params": {"rate": 0.1}}},
        {"time": NOW, "event": "internal", "internal": {"metrics": ["m1"]}},
        *(record(f"line {n}", step=n, metrics={"m1": n, "m2": -n}) for n in range(count)),
        {"time": NOW + 1, "event": "run_ended", "status": "success"},
    ]


def delete(client: Any, run: str, **query: Any) -> requests.Response:
    """Return the answer to the deletion of a run."""
    headers = {"Authorization": f"Bearer {client.key}"}
    return client.session.delete(f"{client.url}/api/v1/runs/{run}", params=query, headers=headers, timeout=60)  # type: ignore[no-any-return]


def test_a_deleted_run_is_gone_at_once_and_then_for_good(
    server: Server, client: Any, record: Callable[..., dict[str, Any]]
) -> None:
    """After DELETE a run is nowhere, soon nothing of it is in any table, and other runs are as they were."""
    client.send(ended(record, 3_000), run="gone")
    client.post(b"no json\n", 0, run="gone", writer="w2")
    client.send(ended(record), run="stays")
    stays = client.read("/runs/stays/logs")
    answer = delete(client, "gone")
    assert (answer.status_code, answer.json()) == (200, {"deleted": "gone", "name": "over"})
    for path in ("", "/logs", "/metrics", "/metrics/m1", "/series", "/export"):
        assert client.get(f"/runs/gone{path}").status_code == 404
    assert [run["id"] for run in client.read("/runs")["runs"]] == ["stays"]
    assert delete(client, "gone").status_code == 404
    expected = {"logs": 5, "metrics": 2, "writers": 1, "internal": 1, "set_aside": 0, "points": 0, "summaries": 0}
    wait_for(lambda: rows(server.database).items() >= expected.items())
    assert client.read("/runs/stays/logs") == stays
    assert client.read("/runs/stays/metrics/m2")["count"] == 5


def test_a_run_that_goes_on_is_deleted_by_force_alone(
    server: Server, client: Any, record: Callable[..., dict[str, Any]]
) -> None:
    """DELETE answers 409 for a run that is heard of; with force it goes, and what its writer sends is thrown away."""
    now = time.time()
    offset = client.send([{**record("before"), "time": now}], run="live")
    refused = delete(client, "live")
    assert refused.status_code == 409
    assert "goes on" in refused.json()["error"]
    assert delete(client, "live", force="maybe").status_code == 400
    assert delete(client, "live", force="true").status_code == 200
    for _ in range(2):  # what comes again is thrown away as well
        later = client.send([{**record("after"), "time": now}], offset, run="live")
        assert later > offset
    assert client.post(b"", later + 1000, run="live").json() == {"offset": later + 1000}
    assert client.read("/runs")["runs"] == []
    client.send([{**record("anew"), "time": now}], 0, run="live", writer="another")
    assert [line["message"] for line in client.read("/runs/live/logs")["logs"]] == ["anew"]


def test_a_run_number_is_never_given_twice(server: Server, client: Any, record: Callable[..., dict[str, Any]]) -> None:
    """A run that is made after the newest one was deleted shares nothing with it."""
    for name in ("a", "b"):
        client.send(ended(record, 50), run=name)
        assert delete(client, name).status_code == 200
        wait_for(lambda: rows(server.database)["writers"] == 0)
    client.send([record("new")], run="c")
    connection = sqlite3.connect(server.database)
    numbers = dict(connection.execute("SELECT id, number FROM runs").fetchall())
    connection.close()
    assert numbers["c"] == 3
    assert client.read("/runs/c")["counts"] == {"logs": 1, "metrics": 0}


@pytest.mark.parametrize("until", ["record", "metric", "point"])
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_of_what_is_deleted_meanwhile_has_no_end(
    tmp_path: Path, record: Callable[..., dict[str, Any]], form: str, until: str
) -> None:
    """An export whose run is deleted while it is written breaks off, without the line that says that it is whole."""
    store = Store(tmp_path / "a.db")
    events = [record("line", metrics={"m1": step, "m2": step}, step=step) for step in range(3_000)]
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    Ingest(store).events(1, "gone", "w", 0, body)
    with contextlib.closing(connect_reader(store.path)) as connection:
        parts = export(connection, 1, "gone", form, NOW)
        assert parts is not None
        came = []
        for part in parts:
            came.append(part)
            if any(line.startswith((f'{{"type":"{until}"'.encode(), until.encode())) for line in part.splitlines()):
                break
        store.writer.run(lambda connection: condemn(connection, 1, "gone", NOW, closed=True, force=True))
        remover = Remover(store)
        while remover.look():
            pass
        with pytest.raises(Removed, match="the run was deleted while it was exported"):
            came.extend(parts)
    assert came
    assert not any(line.startswith((b'{"type":"end"', b"end")) for line in b"".join(came).splitlines())
    store.close()


def test_an_export_ends_only_after_its_run_was_seen_to_be_there(
    tmp_path: Path, record: Callable[..., dict[str, Any]]
) -> None:
    """A run that is out of sight, and of which nothing is missing yet, gets no last line either."""
    store = Store(tmp_path / "a.db")
    Ingest(store).events(1, "gone", "w", 0, json.dumps(record("line", metrics={"m": 1.0})).encode() + b"\n")
    with contextlib.closing(connect_reader(store.path)) as connection:
        parts = export(connection, 1, "gone", "ndjson", NOW)
        assert parts is not None
        assert next(parts).startswith(b'{"type":"run"')
        store.writer.run(lambda connection: condemn(connection, 1, "gone", NOW, closed=True, force=True))
        Ingest(store).events(1, "gone", "w2", 0, json.dumps(record("another run")).encode() + b"\n")
        left: list[bytes] = []
        with pytest.raises(Removed, match="the run was deleted"):
            left.extend(parts)
    assert [json.loads(line)["type"] for line in b"".join(left).splitlines()] == ["record", "metric", "point"]
    store.close()


@pytest.mark.slow
def test_the_file_becomes_small_again(tmp_path: Path, record: Callable[..., dict[str, Any]]) -> None:
    """Slices take every row of a run, one after the other, and then the file gives its space back and is sound."""
    store = Store(tmp_path / "a.db")
    ingest = Ingest(store)
    body = "".join(json.dumps(record("x" * 500, metrics={"m": 1.5})) + "\n" for _ in range(4_000)).encode()
    for run in range(4):
        ingest.events(1, f"r{run}", "w", 0, body)
    remover = Remover(store)
    assert not remover.look()
    for run in range(3):
        store.writer.run(partial(condemn, account=1, run=f"r{run}", now=NOW + DAY, closed=True))
    slices = 0
    while remover.look():
        slices += 1
    store.close()
    assert slices >= 3
    assert rows(store.path)["logs"] == 4_000
    assert store.path.stat().st_size < 2 * len(body)
    connection = sqlite3.connect(store.path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.close()


def test_a_deletion_that_breaks_off_goes_on_with_the_next_server(
    home: Path, as_client: Callable[..., Any], record: Callable[..., dict[str, Any]]
) -> None:
    """What a server had condemned and not deleted yet when it died, the next one deletes."""
    (home / "server").mkdir(parents=True)
    path = home / "server" / "loghook.db"
    store = Store(path)
    Ingest(store).events(1, "r", "w", 0, json.dumps(record()).encode() + b"\n")
    store.writer.run(lambda connection: condemn(connection, 1, "r", NOW + DAY, closed=True))
    store.close()
    assert rows(path)["logs"] == 1
    with Server(home, port=0) as server:
        assert as_client(server).read("/runs")["runs"] == []
        wait_for(lambda: rows(path)["logs"] == rows(path)["writers"] == 0)


SCRIPT = """
import logging, sys, loghook
loghook.install("local", run_id="local-run")
logging.warning("first")
loghook.flush(30)
print("ready", flush=True)
for line in sys.stdin:
    logging.warning(line.strip())
    print("logged", flush=True)
"""


def test_a_run_of_this_machine_does_not_come_back_from_its_spool(home: Path, as_client: Callable[..., Any]) -> None:
    """A living program's run that is deleted by force stays away, while it logs on, after it ended, and next time."""
    pipe = subprocess.PIPE
    with Server(home, port=0) as server:
        client = as_client(server)
        with subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=pipe, stdout=pipe, text=True) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            wait_for(lambda: client.get("/runs/local-run").status_code == 200)
            assert delete(client, "local-run", force="true").status_code == 200
            program.stdin.write("second\n")
            program.stdin.flush()
            assert program.stdout.readline() == "logged\n"
            program.communicate(timeout=60)
        wait_for(lambda: not list(writers(home)))
        assert client.read("/runs")["runs"] == []
    with Server(home, port=0) as server:
        assert as_client(server).read("/runs")["runs"] == []


@pytest.mark.slow
def test_a_spool_that_nothing_was_read_of_goes_with_its_run(
    home: Path, as_client: Callable[..., Any], record: Callable[..., dict[str, Any]]
) -> None:
    """A dead program's spool of a deleted run goes too; one that waits for another platform stays, for that alone."""
    code = "import logging, loghook; loghook.install('x', run_id='r', shutdown_timeout=0); logging.warning('m')"
    for url in ("", "http://127.0.0.1:9"):
        env = {**os.environ, "LOGHOOK_URL": url, "LOGHOOK_QUIET": "1", "LOGHOOK_API_KEY": "k"}
        subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
    assert len(list(writers(home))) == 2
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_for(lambda: client.get("/runs/r").status_code == 200)
        client.send(ended(record), run="r", writer="remote")
        assert delete(client, "r", force="true").status_code == 200
        wait_for(lambda: len(list(writers(home))) == 1)
    (left,) = writers(home)
    assert "local" not in left.destinations
    with Server(home, port=0) as server:
        assert as_client(server).read("/runs")["runs"] == []


def ids(store: Store) -> list[str]:
    """Return the ids of the runs that are there."""
    with store.reading() as connection:
        return [run for (run,) in connection.execute("SELECT id FROM runs WHERE account > 0 ORDER BY id").fetchall()]


def kept(store: Store, keep: Keep, now: float, up: float = DAY) -> None:
    """Let go what has to go, at a server that has been up for some seconds."""
    remover, retention = Remover(store), Retention(store, keep, clock=lambda: now, up=lambda: up)
    while remover.look() or retention.look():
        pass


def fill(store: Store, run: str, at: float, *, end: bool = True, lines: int = 1) -> int:
    """Store a run that was heard of at a time, and return its writer's offset."""
    events = [{"time": at, "level": "INFO", "message": "x" * 500, "metrics": {"m": 1.0}}] * lines
    events += [{"time": at, "event": "run_ended", "status": "success"}] if end else []
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    return Ingest(store, clock=lambda: at).events(1, run, "w", 0, body).offset


def test_runs_go_by_age(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With days to keep, runs that were last heard of before that go, each told in one line; younger ones stay."""
    store = Store(tmp_path / "a.db")
    fill(store, "old", NOW - 31 * DAY)
    fill(store, "old-lost", NOW - 30.5 * DAY, end=False)
    fill(store, "young", NOW - 29 * DAY)
    kept(store, Keep(), NOW)
    assert len(ids(store)) == 3
    kept(store, Keep(days=30), NOW)
    assert ids(store) == ["young"]
    assert rows(store.path)["logs"] == 1
    store.close()
    told = [record.getMessage() for record in caplog.records if "was removed" in record.getMessage()]
    assert [line.split()[1] for line in told] == ["old", "old-lost"]
    assert all("30 days" in line for line in told)


@pytest.mark.parametrize("keep", [Keep(days=2), Keep(size=1)])
def test_a_server_that_was_away_takes_no_run_for_lost(tmp_path: Path, keep: Keep) -> None:
    """A run without an end, not heard of while no server was up, stays until a server was up for a day; others go."""
    store = Store(tmp_path / "a.db")
    offset = fill(store, "training", NOW - 3 * DAY, end=False)
    fill(store, "over", NOW - 3 * DAY)
    kept(store, keep, NOW, up=0)
    assert ids(store) == ["training"]
    kept(store, keep, NOW + DAY - 1, up=DAY - 1)
    assert ids(store) == ["training"]
    body = b'{"time":%d,"message":"still there"}\n' % (NOW + DAY)
    Ingest(store, clock=lambda: NOW + DAY).events(1, "training", "w", offset, body)
    kept(store, keep, NOW + 1.9 * DAY, up=1.9 * DAY)
    assert ids(store) == ["training"]
    kept(store, keep, NOW + 4 * DAY, up=4 * DAY)
    assert ids(store) == []
    store.close()


def test_a_server_is_up_since_its_last_long_pause() -> None:
    """Time counts from the start, and anew after a stop, a suspension and a jump of the clock, whichever way."""
    shown, passed = NOW, 0.0
    up = Uptime(lambda: shown, lambda: passed)

    def after(seconds: float, jump: float = 0.0) -> float:
        nonlocal shown, passed
        passed += seconds
        shown += seconds + jump
        return up()

    assert [after(600.0) for _ in range(200)][-1] == 120_000
    assert after(1.0, jump=-5.0) == 120_001
    for seconds, jump in ((2 * DAY, 0.0), (1.0, 2 * DAY), (1.0, -2 * DAY)):
        assert after(seconds, jump) == 0
        assert after(600.0) == 600


def test_runs_go_by_size_the_oldest_first(tmp_path: Path) -> None:
    """With a size to keep, the oldest runs go until the rest fits; those that may go on stay, whatever they take."""
    store = Store(tmp_path / "a.db")
    fill(store, "living", NOW - 3600, end=False, lines=2_000)
    for number in range(5):
        fill(store, f"r{number}", NOW - 1000 + number, lines=2_000)
    with store.reading() as connection:
        ((pages,), (page,)) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    size = pages * page
    kept(store, Keep(size=size * 2 // 3), NOW)
    left = ids(store)
    assert left[0] == "living"
    assert left[1:] == [f"r{number}" for number in range(6 - len(left), 5)]
    assert 1 < len(left) < 6
    kept(store, Keep(size=1), NOW)
    assert ids(store) == ["living"]
    kept(store, Keep(size=1), NOW + 2 * DAY)
    assert ids(store) == []
    store.close()
    assert store.path.stat().st_size < size / 4


def test_a_writer_whose_old_run_went_goes_on_where_it_was(tmp_path: Path) -> None:
    """A program that wakes up after its run went by age goes on at its offset, in a run that holds what is new."""
    store = Store(tmp_path / "a.db")
    offset = fill(store, "asleep", NOW - 40 * DAY, end=False)
    kept(store, Keep(days=30), NOW)
    assert ids(store) == []
    ingest = Ingest(store)
    assert ingest.expected(1, "asleep", "w") == offset
    body = b'{"time":%d,"message":"awake"}\n' % NOW
    assert ingest.events(1, "asleep", "w", 0, bytes(offset - 1) + b"\n").offset == offset
    assert ids(store) == []
    assert ingest.events(1, "asleep", "w", offset, body).offset == offset + len(body)
    with store.reading() as connection:
        found = connection.execute("SELECT logs, missing_bytes FROM runs WHERE id = 'asleep'").fetchone()
    assert found == (1, 0)
    store.close()


@pytest.mark.slow
def test_a_batch_waits_for_no_more_than_a_slice(tmp_path: Path, record: Callable[..., dict[str, Any]]) -> None:
    """While large runs are deleted, batches are stored between slices, of which there are more than runs."""
    store = Store(tmp_path / "a.db")
    for run in map(str, range(8)):  # a slice takes as many lines as it can in its time
        fill(store, run, NOW - DAY, lines=30_000)
        store.writer.run(partial(condemn, account=1, run=run, now=NOW, closed=True))
    remover, ingest = Remover(store), Ingest(store)
    offset = stored = 0
    body = json.dumps(record()).encode() + b"\n"
    while remover.look():
        offset = ingest.events(1, "busy", "w", offset, body).offset
        stored += 1
    assert stored > 16
    with store.reading() as connection:
        assert connection.execute("SELECT logs FROM runs WHERE id = 'busy'").fetchone() == (stored,)
    store.close()


def test_an_older_database_is_made_to_give_back_space(tmp_path: Path) -> None:
    """A database that cannot give space back in slices is rewritten once, with all that lies in it."""
    path = tmp_path / "a.db"
    store = Store(path)
    fill(store, "r", NOW, lines=100)
    store.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    connection.execute("PRAGMA auto_vacuum=NONE")
    connection.execute("VACUUM")
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    connection.close()
    store = Store(path)
    with store.reading() as reading:
        assert reading.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert ids(store) == ["r"]
    store.close()


def test_a_protocol_without_offsets_stays_away_too(tmp_path: Path) -> None:
    """What comes by another program's protocol for a deleted run is thrown away, but not where it went by its age."""
    store = Store(tmp_path / "a.db")
    ingest = Ingest(store, clock=lambda: NOW)
    body = b'{"time":1,"message":"m"}\n'

    def append(digest: bytes) -> bool:
        return ingest.append(1, "r", "w", body, digest=digest, source="hyperdash", time=NOW - DAY)

    assert append(b"1")
    store.writer.run(partial(condemn, account=1, run="r", now=NOW, closed=True, force=True))
    assert append(b"2")
    assert append(b"3")
    assert ids(store) == []
    with store.reading() as connection:
        (row,) = connection.execute("SELECT next_offset, closed, discarded FROM gone").fetchall()
    assert row == (3 * len(body), 1, 2)
    store.writer.run(lambda connection: connection.execute("UPDATE gone SET closed = 0"))
    assert append(b"4")
    assert ids(store) == ["r"]
    store.close()


def test_a_server_lets_go_of_old_runs(
    home: Path, as_client: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A server that keeps runs for some days, as its file of settings says, removes older ones by itself."""
    with Server(home, port=0) as server:
        client = as_client(server)
        for run, days in (("old", 40), ("young", 20)):
            at = time.time() - days * DAY
            end = {"time": at, "event": "run_ended", "status": "success"}
            client.send([{"time": at, "message": run}, end], run=run)
    content = json.loads((home / "loghook.json").read_bytes())
    (home / "loghook.json").write_text(json.dumps({**content, "keep_days": 30, "keep_size": "20GB"}))
    with Server(home, port=0) as server:
        client = as_client(server)
        wait_for(lambda: [run["id"] for run in client.read("/runs")["runs"]] == ["young"])
        wait_for(lambda: rows(server.database)["logs"] == 1)
    assert "run old ('old', 1 lines, last heard of 40.0 days ago) was removed" in caplog.text


@pytest.mark.parametrize(
    "entry",
    [{"keep_days": "many"}, {"keep_days": 0}, {"keep_days": float("inf")}, {"keep_size": "0"}, {"keep_size": []}],
)
def test_a_wrong_time_to_keep_is_told(home: Path, entry: dict[str, Any]) -> None:
    """A server whose settings say nothing sensible about what is kept does not start, and says so."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "loghook.json").write_text(json.dumps(entry))
    with pytest.raises(ConfigurationError, match=next(iter(entry))):
        Server(home, port=0).start()


def test_nobody_deletes(server: Server, client: Any, record: Callable[..., dict[str, Any]]) -> None:
    """Without a key, with a wrong one, or from another site's page, no run is deleted."""
    client.send(ended(record), run="r")
    address = f"{server.url}/api/v1/runs/r"
    assert requests.delete(address, timeout=60).status_code == 401
    assert requests.delete(address, headers={"Authorization": "Bearer wrong"}, timeout=60).status_code == 401
    with requests.Session() as browser:
        browser.trust_env = False
        browser.get(server.sign_in_link, timeout=60)
        assert browser.delete(address, timeout=60).status_code == 403
        assert browser.delete(address, headers={"Origin": "http://evil.example"}, timeout=60).status_code == 403
        assert client.get("/runs/r").status_code == 200
        assert browser.delete(address, headers={"Origin": server.url}, timeout=60).status_code == 200
