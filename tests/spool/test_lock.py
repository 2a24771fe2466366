"""Who holds a spool: the living writer, nobody after its death, and one of those who claim it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from loghook.spool import Spool, WriterSpool, sweep
from loghook.spool.layout import Lock

from .tools import line, numbers, only, open_log, read_all, start

WRITER = """
import sys, os, time
from pathlib import Path
from loghook.spool import Spool
spool = Spool(Path(sys.argv[1]), "run", meta=lambda: {"destinations": {"a": ""}})
spool.put(b'{"n":1}\\n')
if len(sys.argv) > 2 and os.fork() == 0:
    print("ready", flush=True)
    time.sleep(60)
    os._exit(0)
if len(sys.argv) == 2:
    print("ready", flush=True)
time.sleep(60)
"""

CLAIMANT = """
import sys
from pathlib import Path
from loghook.spool.layout import Lock
locks = [Lock(Path(name)) for name in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.readline()
print(*(int(lock.take()) for lock in locks), flush=True)
sys.stdin.readline()
"""


def test_the_living_writer_holds_its_spool(home: Path) -> None:
    """A spool is held while its log is open, as this very process sees it, and free once it is closed."""
    log = open_log(home)
    spool = only(home)
    assert spool.alive()
    assert not spool.lock.take()
    log.close()
    assert not spool.alive()
    assert spool.lock.take()
    spool.lock.release()


def test_another_process_sees_it_held_until_sigkill(home: Path, wait_until: Callable[..., None]) -> None:
    """A writer's spool is held as seen from outside, and free as soon as it is dead, with what it put."""
    writer = start(WRITER, home)
    assert writer.stdout
    with writer, writer.stdout:
        assert writer.stdout.readline() == b"ready\n"
        assert only(home).alive()
        writer.kill()
        writer.wait(10)
        assert not only(home).alive()
        assert numbers(read_all(only(home))) == [1]


def test_a_forked_child_holds_nothing_of_its_parent(home: Path, wait_until: Callable[..., None]) -> None:
    """A child that outlives its parent does not hold the parent's spool."""
    writer = start(WRITER, home, "fork", start_new_session=True)
    assert writer.stdout
    with writer, writer.stdout:
        assert writer.stdout.readline() == b"ready\n"
        try:
            assert only(home).alive()
            writer.kill()
            writer.wait(10)
            assert not only(home).alive()
        finally:
            os.killpg(writer.pid, signal.SIGKILL)


def test_of_two_claims_at_once_one_wins(tmp_path: Path) -> None:
    """Each of many locks that two processes try to take at the same moment goes to exactly one of them."""
    names = [tmp_path / f"{number}" for number in range(100)]
    both = [start(CLAIMANT, *names, stdin=-1) for _ in range(2)]
    answers = []
    try:
        for one in both:
            assert one.stdout
            assert one.stdout.readline() == b"ready\n"
        for one in both:
            assert one.stdin
            one.stdin.write(b"\n")
            one.stdin.flush()
        for one in both:
            assert one.stdout
            answers.append(one.stdout.readline().split())
    finally:
        for one in both:
            one.communicate(b"\n", timeout=60)
    assert [int(a) + int(b) for a, b in zip(*answers, strict=True)] == [1] * len(names)


def test_asking_does_not_get_in_the_way_of_taking(tmp_path: Path) -> None:
    """A free lock can be taken while another thread keeps asking whether it is held."""
    lock, stop = Lock(tmp_path / "lock"), threading.Event()
    assert not lock.held()
    assert lock.take()
    lock.release()

    def ask() -> None:
        asking = Lock(tmp_path / "lock")
        while not stop.wait(0.0002):
            asking.held()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(300):
            assert lock.take()
            lock.release()
    finally:
        stop.set()
        thread.join()


def test_a_spool_of_a_newer_format_is_left_alone(home: Path) -> None:
    """A reader skips what a newer version wrote."""
    log = open_log(home)
    assert log.put(line(1))
    log.close()
    spool = only(home)
    for content in ('{"version": 2}', '{"version": 2, "destinations": {}}'):
        (spool.directory / "meta.json").write_text(content)
        assert list(spools(home)) == []


def spools(home: Path) -> list[WriterSpool]:
    """Return all spools under `home`."""
    from loghook.spool import writers

    return list(writers(home))


def test_sweeping_deletes_what_nobody_makes_or_deletes_any_more(home: Path) -> None:
    """Folders whose deletion was cut short and old drafts go; drafts that are held or young, and spools, stay."""
    spool = Spool(home, "run")
    spool.put(b"{}\n")
    run = home / "spool" / "run"
    (run / ".dead.gone").mkdir()
    for name in (".old", ".young", ".held"):
        (run / name).mkdir()
        (run / name / "lock").touch()
    held = Lock(run / ".held" / "lock")
    assert held.take()
    long_ago = time.time() - 3600
    for name in (".old", ".held"):
        os.utime(run / name, (long_ago, long_ago))
    sweep(home)
    assert {path.name for path in run.iterdir()} == {".young", ".held", spool.log.writer}
    held.release()
    spool.close()
