"""Starting and stopping: one server to a home and a port, private files, a prompt end, no loss by SIGKILL."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.errors import ConfigurationError, ServerError
from loghook.server import Server

SCRIPT = Path(__file__).with_name("serving_process.py")
Record = Callable[..., dict[str, Any]]
Body = Callable[[list[dict[str, Any]]], bytes]


@contextmanager
def process(home: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run a server in a process; yields it, its URL and the sign-in link."""
    running = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(home), str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        first, second = running.stdout.readline(), running.stdout.readline()
        yield running, first.rpartition(" ")[2].strip(), second.rpartition(" ")[2].strip()
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops(home: Path, number: signal.Signals) -> None:
    """A signal ends the server soon, with exit code 0 and nothing on stderr, even while a page polls it."""
    with process(home) as (running, url, link):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        with requests.Session() as page:
            assert page.get(link, timeout=60).status_code == 200
            began = time.monotonic()
            running.send_signal(number)
            _, err = running.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert (running.returncode, err) == (0, "")


def test_busy_port(home: Path, tmp_path: Path) -> None:
    """A port that is taken is said to be, and stays with whom it was."""
    with Server(home, port=0) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(ServerError, match=f"port {port} of 127.0.0.1 is in use"):
            Server(tmp_path / "other", port=port).start()
        assert requests.get(first.url + "/healthz", timeout=60).status_code == 200


def test_busy_port_of_another_program(home: Path) -> None:
    """A port that some other program listens on is not taken from it."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ServerError, match="in use"):
        Server(home, port=other.getsockname()[1]).start()


def test_second_server(home: Path) -> None:
    """A second server on one home is refused and told of the first."""
    with Server(home, port=0) as first:
        with pytest.raises(ServerError, match=f"process {os.getpid()}, {first.url}"):
            Server(home, port=0).start()
        assert requests.get(first.url + "/healthz", timeout=60).status_code == 200
    with Server(home, port=0):
        pass


def test_one_line(home: Path) -> None:
    """What hinders a start is one line and an exit code."""
    with Server(home, port=0):
        done = subprocess.run([sys.executable, str(SCRIPT), str(home), "0"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ServerError: another server" in done.stderr


def test_newer_database(home: Path) -> None:
    """A database of a newer version is refused with words, and left as it is."""
    with Server(home, port=0):
        pass
    path = home / "server" / "loghook.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=999")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ServerError, match="newer loghook"):
        Server(home, port=0).start()
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database" * 100, "other"])
def test_foreign_database(home: Path, content: bytes | str) -> None:
    """A file that is no database of ours is refused with words."""
    path = home / "server" / "loghook.db"
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE other (x)")
        connection.close()
    with pytest.raises(ServerError, match="move it away"):
        Server(home, port=0).start()


def test_unusable_home(tmp_path: Path) -> None:
    """A home folder that cannot be is refused with words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot be used"):
        Server(tmp_path / "file" / "home", port=0).start()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "no such host.invalid"])
def test_foreign_address(home: Path, host: str) -> None:
    """An address that is not this machine's is refused with words."""
    with pytest.raises(ConfigurationError, match="no address of this machine"):
        Server(home, host=host, port=0).start()


def test_certificate(home: Path, tmp_path: Path) -> None:
    """A certificate that cannot be used is refused with words."""
    with pytest.raises(ConfigurationError, match="certificate"):
        Server(home, port=0, certfile=tmp_path / "none.pem").start()


def test_private_files(home: Path, as_client: Callable[..., Any], record: Record) -> None:
    """Folders are their owner's alone, and so are the files in them."""
    before = os.umask(0)
    try:
        with Server(home, port=0) as server:
            as_client(server).send([record()])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    finally:
        os.umask(before)
    assert modes["home"] == modes["server"] == 0o700
    assert {"loghook.json", "loghook.db", "loghook.db-wal", "loghook.db-shm", "lock"} <= set(modes)
    assert {mode for name, mode in modes.items() if name not in ("home", "server")} == {0o600}


def test_key_is_kept(home: Path, as_client: Callable[..., Any]) -> None:
    """The first start writes a key into the home folder's settings, later ones use it, and other settings stay."""
    home.mkdir()
    settings = home / "loghook.json"
    settings.write_text('{"level": "DEBUG"}')
    with Server(home, port=0) as server:
        first = server.key
    with Server(home, port=0) as server:
        assert server.key == first
    assert json.loads(settings.read_text()) == {
        "level": "DEBUG",
        "api_key": first,
        "api_key_url": [server.url, server.url.replace("127.0.0.1", socket.gethostname())],
    }
    settings.write_text('{"api_key": "one of some other server"}')
    with Server(home, port=0) as server:
        assert server.key != first
        assert as_client(server).get("/runs").status_code == 200
        assert as_client(server, first).get("/runs").status_code == 200


def test_start_and_stop(home: Path) -> None:
    """A server can be stopped twice, and started again."""
    server = Server(home, port=0)
    for _ in range(2):
        server.start()
        url = server.url
        server.stop()
        server.stop()
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=60)


def test_restart_on_its_port(home: Path, as_client: Callable[..., Any]) -> None:
    """A server that comes back on its port at once gets it, though connections of the old one linger."""
    with Server(home, port=0) as server:
        as_client(server).read("/runs")
        port = int(server.url.rpartition(":")[2])
    with Server(home, port=port) as server:
        as_client(server).read("/runs")


def test_delivers_for_others(home: Path) -> None:
    """The hook for other platforms' spools is called with the home folder, and may fail."""
    called = threading.Event()

    def deliver(folder: Path) -> None:
        assert folder == home
        called.set()

    with Server(home, port=0, deliver=deliver):
        assert called.wait(10)


def test_bombs(home: Path) -> None:
    """Bodies that unpack to gigabytes cost no memory."""
    stream = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    bomb = b"".join(stream.compress(zeros) for _ in range(4096)) + stream.flush()
    with process(home) as (running, url, _), requests.Session() as session:
        key = json.loads((home / "loghook.json").read_text())["api_key"]
        session.headers.update({"Authorization": f"Bearer {key}", "Content-Encoding": "gzip"})
        before = memory(running.pid)
        for _ in range(5):
            answer = session.post(f"{url}/api/v1/runs/r/writers/w/events?offset=0", data=bomb, timeout=60)
            assert answer.status_code == 413
        assert memory(running.pid) - before < 64 * 1024


def memory(pid: int) -> int:
    """Return the most memory that a process ever held, in KiB."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1])


def test_sigkill(home: Path, as_client: Callable[..., Any], record: Record, body: Body) -> None:
    """A server that is killed again and again under load has every record once, in order, and a sound database."""
    chance = random.Random(7)
    total, per_batch, writers = 0, 50, 3
    offsets = [0] * writers
    counts = [0] * writers
    for _ in range(5):
        with process(home) as (running, url, _):
            key = json.loads((home / "loghook.json").read_text())["api_key"]
            threads = [
                threading.Thread(target=flood, args=(url, key, number, offsets, counts, per_batch, record, body))
                for number in range(writers)
            ]
            for thread in threads:
                thread.start()
            threading.Event().wait(chance.uniform(0.05, 0.6))
            running.kill()
            for thread in threads:
                thread.join(30)
    total = sum(counts)
    assert total > 0
    connection = sqlite3.connect(home / "server" / "loghook.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with Server(home, port=0) as server:
        client = as_client(server)
        for number in range(writers):
            # The batch under way at the last kill may have been stored without an answer.
            flood(server.url, server.key, number, offsets, counts, per_batch, record, body, once=True)
            found: list[str] = []
            after = 0
            while page := client.read(f"/runs/r{number}/logs", after=after, limit=5000):
                found += [line["message"] for line in page["logs"]]
                after = page["next"]
                if not page["logs"]:
                    break
            assert found == [str(index) for index in range(counts[number])]
            (metric,) = client.read(f"/runs/r{number}/metrics")["metrics"]
            assert metric["count"] == counts[number]


def flood(
    url: str,
    key: str,
    number: int,
    offsets: list[int],
    counts: list[int],
    size: int,
    record: Record,
    body: Body,
    once: bool = False,
) -> None:
    """Send batches until the server is gone; what was not answered is sent again the next time."""
    headers = {"Authorization": f"Bearer {key}"}
    with requests.Session() as session:
        while True:
            start = counts[number]
            batch = body([record(str(index), metrics={"m": 1.0}, step=index) for index in range(start, start + size)])
            try:
                answer = session.post(
                    f"{url}/api/v1/runs/r{number}/writers/w/events",
                    params={"offset": offsets[number]},
                    data=batch,
                    headers=headers,
                    timeout=60,
                )
            except requests.RequestException:
                return
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"offset": offsets[number] + len(batch)}
            offsets[number] += len(batch)
            counts[number] += size
            if once:
                return
