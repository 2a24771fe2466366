"""The listener: everything in the spool to one destination, exactly once, whatever the platform does."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loghook.credentials import KeySource
from loghook.destinations import destination
from loghook.listener import Destination, Listener
from loghook.spool import Limits, Log, writers
from loghook.testing import Answer, FakeLoghookServer, Platform, RecordingTransport, Request, lost_reply, reply_lost
from loghook.transports.base import Batch, Delivered, Gap, Outcome, Refused, TryLater
from loghook.voice import Voice

KEY = "a-key-for-tests-0001"
NAME = "platform"
Start = Callable[..., Listener]


def event(number: int, **more: Any) -> bytes:
    """One record as it lies in the spool."""
    record = {"time": 1.0, "level": "INFO", "logger": "train", "message": str(number), **more}
    return json.dumps(record).encode() + b"\n"


@pytest.fixture
def log(home: Path) -> Iterator[Log]:
    """A log in small segments, whose destination is the platform."""
    log = Log(home, "run", {"destinations": {NAME: "memory://"}}, Limits(segment=4096))
    yield log
    log.close()


@pytest.fixture
def start(log: Log, home: Path) -> Iterator[Start]:
    """A function that starts a listener on the log with a transport; all are ended afterwards."""
    listeners: list[Listener] = []

    def start(transport: Any, *, name: str = NAME, batch_size: int = 2000, quiet: bool = True) -> Listener:
        opener = transport if callable(transport) else lambda: transport
        where = Destination(name, "memory://", KeySource(environ={}), opener)
        voice = Voice(quiet=quiet)
        listeners.append(Listener(where, log, home, interval=0.01, batch_size=batch_size, voice=voice))
        assert listeners[-1].start()
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close(time.monotonic() + 5)


def numbers(platform: Platform) -> list[int]:
    """The numbers of all records that a platform holds."""
    return [int(event["message"]) for event in platform.records()]


def put(log: Log, count: int, start: int = 0) -> None:
    """Log numbered records."""
    for number in range(start, start + count):
        assert log.put(event(number))


def test_everything_arrives_in_order(log: Log, start: Start) -> None:
    """What lay there before the listener and what comes later arrives once, in order, in batches of bounded size."""
    transport = RecordingTransport()
    put(log, 100)
    start(transport)
    put(log, 400, 100)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 500)
    assert numbers(transport.platform) == list(range(500))
    assert all(len(batch.body) <= 2000 for batch in transport.sent)


MISHAPS: dict[str, list[Any]] = {
    "later": [TryLater("busy")],
    "lost replies": [reply_lost, None, reply_lost, reply_lost],
    "a moment asked for": [TryLater("busy", after=0.1)],
    "no key": [TryLater("no key", key=True)],
    "too large": [Refused("too large", too_large=True), None, Refused("too large", too_large=True)],
    "refused without a line": [Refused("something in it"), None],
    "an error": [RuntimeError("broken")],
    "nothing taken": [Delivered(0)],
    "half taken": [lambda batch, deliver: deliver(batch.head(events=3))],
    "a gap without sense": [Gap(10**12)],
}


@pytest.mark.parametrize("mishap", MISHAPS)
def test_everything_arrives_once_through_mishaps(mishap: str, log: Log, start: Start) -> None:
    """Whatever goes wrong on the way, every record arrives exactly once and in order."""
    put(log, 100)
    transport = RecordingTransport(script=tuple(MISHAPS[mishap]))
    listener = start(transport)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 100, 20), listener.error
    assert numbers(transport.platform) == list(range(100))
    assert transport.platform.lost == []


def test_a_platform_that_lost_its_memory_gets_it_again(log: Log, start: Start, wait_until: Callable[..., None]) -> None:
    """A platform that was set back asks for an earlier offset, and gets everything from there that is still spooled."""
    transport = RecordingTransport()
    put(log, 20)
    start(transport)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 20)
    transport.platform.forget("run", log.writer)
    put(log, 20, 20)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 40)
    assert numbers(transport.platform) == list(range(40))
    wait_until(lambda: log.acks.get(NAME).events == 40)


def test_one_bad_event_is_set_aside(log: Log, start: Start, wait_until: Callable[..., None]) -> None:
    """An event that the platform refuses is kept apart with the reason, counted, and the rest arrives."""
    platform = Platform(refuse=lambda event: "not 37" if event["message"] == "37" else None)
    put(log, 100)
    start(RecordingTransport(platform=platform))
    wait_until(lambda: log.acks.get(NAME).offset == log.end())
    assert numbers(platform) == [number for number in range(100) if number != 37]
    assert log.directory
    kept = [json.loads(line) for line in (log.directory / "refused.ndjson").read_text().splitlines()]
    assert [(one["reason"], json.loads(one["event"])["message"]) for one in kept] == [("not 37", "37")]
    assert log.acks.get(NAME)[1:] == (99, 1)


def test_a_bad_event_that_is_not_named_is_found(log: Log, start: Start, wait_until: Callable[..., None]) -> None:
    """Where the platform does not say which event it refuses, batches are halved until it stands alone."""
    platform = Platform(refuse=lambda event: "no" if event["message"] == "37" else None, names_lines=False)
    put(log, 100)
    start(RecordingTransport(platform=platform))
    wait_until(lambda: log.acks.get(NAME).offset == log.end())
    assert numbers(platform) == [number for number in range(100) if number != 37]
    assert log.acks.get(NAME)[1:] == (99, 1)


def test_refused_events_are_spoken_of_when_they_come(
    log: Log, start: Start, wait_until: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """That events were refused is one line, which is not said again while none is."""
    platform = Platform(refuse=lambda event: "no" if event["message"] == "3" else None)
    put(log, 10)
    start(RecordingTransport(platform=platform), quiet=False)
    wait_until(lambda: log.acks.get(NAME).offset == log.end())
    assert capfd.readouterr().err.splitlines() == [
        "loghook: memory:// will not take 1 event(s); they are kept in refused.ndjson"
    ]


def test_trouble_is_one_line_on_stderr_and_its_end_none(
    log: Log,
    start: Start,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    wait_until: Callable[..., None],
) -> None:
    """A platform that fails several times is spoken of once; that it takes events again only the logger is told."""
    put(log, 10)
    transport = RecordingTransport(script=(TryLater("memory: busy"), TryLater("memory: busy")))
    logging.getLogger("loghook").addHandler(caplog.handler)
    listener = start(transport, quiet=False)
    wait_until(lambda: listener.error == "memory: busy")
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 10)
    wait_until(lambda: listener.error == "")
    logging.getLogger("loghook").removeHandler(caplog.handler)
    said = "memory: busy; events wait in the spool and are sent later"
    assert capfd.readouterr().err.splitlines() == [f"loghook: {said}"]
    assert caplog.messages == [said, "memory:// takes events again"]


def test_a_single_failure_is_not_spoken_of(
    log: Log, start: Start, capfd: pytest.CaptureFixture[str], wait_until: Callable[..., None]
) -> None:
    """Of a batch that gets through at its second try nobody hears."""
    put(log, 10)
    transport = RecordingTransport(script=(TryLater("memory: busy"),))
    listener = start(transport, quiet=False)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 10)
    wait_until(lambda: listener.error == "")
    assert capfd.readouterr().err == ""


def test_a_transport_that_can_not_be_made_is_tried_again(log: Log, start: Start) -> None:
    """A transport whose making fails stops nothing: it is made again later."""
    transport = RecordingTransport()
    attempts = []

    def opener() -> RecordingTransport:
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            raise OSError("not yet")
        return transport

    put(log, 3)
    listener = start(opener)
    deadline = time.monotonic() + 10
    while len(attempts) < 2 and time.monotonic() < deadline:
        listener.wake.ring()
        time.sleep(0.01)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 3)


def test_closing_delivers_what_is_there(log: Log, start: Start) -> None:
    """`close` returns once everything is delivered, and the transport is closed."""
    transport = RecordingTransport()
    listener = start(transport)
    put(log, 1000)
    listener.close(time.monotonic() + 10)
    assert numbers(transport.platform) == list(range(1000))
    assert transport.closed


def seconds_to_close(listener: Listener, seconds: float) -> float:
    """How long closing takes that may take so many seconds."""
    started = time.monotonic()
    listener.close(started + seconds)
    return time.monotonic() - started


def test_closing_in_trouble_ends_in_time(log: Log, start: Start) -> None:
    """While the platform fails, `close` tries until its deadline, backoff or not, and then ends."""
    put(log, 10)
    transport = RecordingTransport(script=(TryLater("busy"),) * 100)
    assert 0.2 < seconds_to_close(start(transport), 0.3) < 10
    assert len(transport.sent) > 1


def test_closing_waits_for_no_wish_that_goes_beyond_it(log: Log, start: Start, wait_until: Callable[..., None]) -> None:
    """A platform that wants to be left alone for longer than `close` may take is not waited for at all."""
    put(log, 10)
    listener = start(RecordingTransport(script=(TryLater("busy", after=60.0),) * 100))
    wait_until(lambda: listener.error)
    assert seconds_to_close(listener, 30) < 10


HOPELESS: dict[str, Any] = {
    "nobody is there": TryLater("refused", absent=True),
    "the key is refused": TryLater("401", key=True),
    "it breaks": RuntimeError("broken"),
}


@pytest.mark.parametrize("trouble", HOPELESS)
def test_closing_waits_a_moment_only_where_there_is_no_hope(trouble: str, log: Log, start: Start) -> None:
    """What won't pass within seconds is tried for as long as a restart takes, and the rest is left in the spool."""
    put(log, 10)
    transport = RecordingTransport(script=(HOPELESS[trouble],) * 100)
    assert seconds_to_close(start(transport), 5) < 4.9
    assert len(transport.sent) > 1


@pytest.mark.slow
def test_closing_waits_longer_where_there_is_hope(log: Log, start: Start) -> None:
    """A platform that was out of reach, and is only busy while the process ends, is tried to the deadline."""
    put(log, 10)
    script = (*[TryLater("refused", absent=True)] * 2, *[TryLater("busy"), TryLater("401", key=True)] * 100)
    assert seconds_to_close(start(RecordingTransport(script=script)), 5) > 4.9


def test_closing_tries_once_more(log: Log, start: Start) -> None:
    """Of a key that has been refused for long another is tried once the process ends, and not only before."""
    put(log, 10)
    refused: list[float] = []
    listeners: list[Listener] = []

    def refuse(batch: Batch, deliver: Callable[[Batch], Outcome]) -> Outcome:
        refused.append(time.monotonic())
        if refused[-1] - refused[0] > 1.1:  # longer than anybody is waited for
            listeners[0].hurry(time.monotonic() + 30)
            transport.script(None)
        else:
            transport.script(refuse)
        return TryLater("401", key=True)

    transport = RecordingTransport(script=(refuse,))
    listeners.append(start(transport))
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 10)


@pytest.mark.slow
def test_closing_takes_the_time_that_was_asked_for(log: Log, start: Start) -> None:
    """Who allows more than the default has it used: the disk with the spool may go with the machine."""
    put(log, 10)
    transport = RecordingTransport(script=(TryLater("refused", absent=True),) * 100)
    assert seconds_to_close(start(transport), 10) > 9.8


def test_a_platform_that_comes_back_while_closing_gets_everything(log: Log, start: Start) -> None:
    """Where nobody was there and somebody is before the moment is over, everything arrives."""
    put(log, 10)
    transport = RecordingTransport(script=(TryLater("refused", absent=True),) * 2)
    listener = start(transport)
    listener.close(time.monotonic() + 30)
    assert numbers(transport.platform) == list(range(10))


def test_closing_tries_to_the_last_for_what_lies_in_memory(home: Path) -> None:
    """What would go with the process is tried until the deadline, even where nobody is."""
    log = Log(home, "memory", {"destinations": {NAME: "memory://"}}, Limits(), mapped=False)
    put(log, 10)
    transport = RecordingTransport(script=(TryLater("refused", absent=True),) * 100)
    listener = Listener(Destination(NAME, "memory://", KeySource(environ={}), lambda: transport), log, home)
    assert listener.start()
    assert seconds_to_close(listener, 2.5) > 2.4
    log.close()


def test_what_comes_after_the_end_is_drained(log: Log, start: Start) -> None:
    """What is logged once the listener has ended is delivered by `drain`, on the calling thread."""
    transport = RecordingTransport()
    listener = start(transport)
    listener.close(time.monotonic() + 5)
    put(log, 3)
    listener.drain(time.monotonic() + 5)
    assert numbers(transport.platform) == [0, 1, 2]


def test_draining_raises_nothing(log: Log, start: Start) -> None:
    """A platform that breaks while the interpreter ends has its words in `error`, and no traceback."""
    transport = RecordingTransport()
    listener = start(transport)
    listener.close(time.monotonic() + 5)
    put(log, 3)
    transport.script(RuntimeError("broken"))
    listener.drain(time.monotonic() + 5)
    assert listener.error == "RuntimeError: broken"


# ---------------------------------------------------------------- what dead writers left

WRITER = """\
import json, os, signal, sys
from pathlib import Path
from loghook.spool import Limits, Log
log = Log(Path(sys.argv[1]), sys.argv[2], {"destinations": {"platform": "memory://"}}, Limits(segment=4096))
for number in range(1000, 1100):
    log.put(json.dumps({"time": 1.0, "level": "INFO", "logger": "train", "message": str(number)}).encode() + b"\\n")
print("ready", flush=True)
if sys.argv[3] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def writer(home: Path, run: str, fate: str) -> subprocess.Popen[str]:
    """Start another writer, which logs the numbers 1000 to 1099 and dies, or lives on until its input is closed."""
    command = [sys.executable, "-c", WRITER, str(home), run, fate]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    if fate == "die":
        with process:
            process.wait(10)
    return process


@pytest.mark.parametrize("run", ["run", "another"])
def test_a_dead_writers_spool_is_adopted(
    run: str, log: Log, start: Start, home: Path, wait_until: Callable[..., None]
) -> None:
    """What a writer left that was killed is delivered under its own name, once, and then deleted."""
    writer(home, run, "die")
    transport = RecordingTransport()
    put(log, 10)
    start(transport)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 110)
    assert [int(e["message"]) for e in transport.platform.records(run) if int(e["message"]) >= 1000] == list(
        range(1000, 1100)
    )
    wait_until(lambda: [spool.writer for spool in writers(home)] == [log.writer])


def test_a_living_writers_spool_is_left_alone(log: Log, start: Start, home: Path) -> None:
    """What a living writer logs is its own to deliver; once it is dead it is adopted."""
    process = writer(home, "run", "live")
    transport = RecordingTransport()
    put(log, 10)
    listener = start(transport)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 10)
    listener.close(time.monotonic() + 5)
    assert numbers(transport.platform) == list(range(10))
    with process:
        process.communicate(timeout=60)
    again = RecordingTransport(platform=transport.platform)
    start(again)
    assert again.platform.wait(lambda: len(again.platform.records()) == 110)


def test_a_spool_bound_elsewhere_is_left_alone(log: Log, start: Start, home: Path) -> None:
    """A dead writer's events go to its own destinations and to no other."""
    writer(home, "run", "die")
    transport = RecordingTransport()
    put(log, 10)
    start(transport, name="elsewhere")
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 10)
    start(RecordingTransport(), name="third").close(time.monotonic() + 5)
    assert numbers(transport.platform) == list(range(10))
    assert len(list(writers(home))) == 2


def test_two_listeners_do_not_deliver_one_spool_twice(log: Log, start: Start, home: Path) -> None:
    """Of several listeners that find a dead writer's spool, one delivers it."""
    writer(home, "run", "die")
    platform = Platform()
    transports = [RecordingTransport(platform=platform) for _ in range(3)]
    for transport in transports:
        start(transport)
    assert platform.wait(lambda: len(platform.records("run")) >= 100)
    sent = [batch for transport in transports for batch in transport.sent if batch.writer != log.writer]
    assert len({(batch.writer, batch.offset) for batch in sent}) == len(sent)


def leave(home: Path, run: str, number: int) -> Path:
    """Leave a dead writer's spool with one record in it; return its folder."""
    log = Log(home, run, {"destinations": {NAME: "memory://"}}, Limits(segment=4096))
    put(log, 1, number)
    log.close()
    assert log.directory
    return log.directory


def open_locks(home: Path) -> int:
    """How many lock files below a home folder this process holds open."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            target = str(descriptor.readlink())
            count += target.startswith(str(home)) and target.endswith("/lock")
    return count


def test_many_dead_writers_take_few_file_descriptors(log: Log, start: Start, home: Path) -> None:
    """However many spools were left, few at a time are held; all are delivered, at the end of a program too."""
    for number in range(60):
        leave(home, f"run{number}", 1000 + number)
    most = []

    def count(batch: Batch, deliver: Callable[[Batch], Outcome]) -> Outcome:
        most.append(open_locks(home))
        return deliver(batch)

    transport = RecordingTransport(script=(count,) * 200)
    put(log, 1)
    listener = start(transport)
    listener.close(time.monotonic() + 20)
    assert sorted(numbers(transport.platform)) == [0, *range(1000, 1060)]
    assert max(most) < 20


def test_a_spool_that_can_not_be_read_holds_up_none_of_the_others(
    log: Log, start: Start, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a dead writer's spool that can't be opened one line is said; live events and the other spools go."""
    broken = leave(home, "a", 1000)
    (broken / "00000002.seg").mkdir()
    leave(home, "b", 1001)
    transport = RecordingTransport()
    put(log, 1)
    listener = start(transport, quiet=False)
    assert transport.platform.wait(lambda: len(transport.platform.records()) == 2)
    assert sorted(numbers(transport.platform)) == [0, 1001]
    assert listener.error == ""
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"loghook: {broken} can't be delivered (")


def test_a_transport_that_fails_to_close_ends_no_thread(
    log: Log, start: Start, wait_until: Callable[..., None]
) -> None:
    """A transport that raises when it is closed is left behind, and a new one delivers."""

    class Stuck(RecordingTransport):
        def close(self) -> None:
            raise RuntimeError("it does not close")

    good = RecordingTransport()
    made: list[RecordingTransport] = []

    def opener() -> RecordingTransport:
        made.append(good if made else Stuck(script=(RuntimeError("broken"),)))
        return made[-1]

    put(log, 3)
    listener = start(opener)
    wait_until(lambda: listener.error)
    listener.wake.ring()
    assert good.platform.wait(lambda: len(good.platform.records()) == 3)
    assert numbers(good.platform) == [0, 1, 2]


# ---------------------------------------------------------------- over real HTTP


@pytest.fixture
def server() -> Iterator[FakeLoghookServer]:
    """A strict platform over HTTP."""
    with FakeLoghookServer() as server:
        yield server


HTTP: dict[str, list[Any]] = {
    "cut replies": [lost_reply, None, lost_reply],
    "cut in the body": [Answer(200, body=b'{"offset": 1', cut=60)],
    "reset": [Answer(cut=0, reset=True)],
    "429": [Answer(429, {"Retry-After": "0.2"})],
    "429 with a date": [Answer(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})],
    "500": [Answer(500, body=b"Traceback")],
    "413": [Answer(413, {"Content-Type": "application/json"}, b'{"error": "too large", "max_bytes": 500}')],
    "404": [Answer(404)],
    "a login page": [Answer(200, {"Content-Type": "text/html"}, b"<html>sign in</html>")],
}


@pytest.mark.parametrize("mishap", HTTP)
def test_everything_arrives_once_over_http(mishap: str, log: Log, server: FakeLoghookServer, start: Start) -> None:
    """Through every mishap of HTTP each record is on the server exactly once, in order."""
    put(log, 100)
    server.script(*HTTP[mishap])
    made = destination(server.url, KeySource(lambda: KEY), 5.0)
    start(made.open)
    assert server.platform.wait(lambda: len(server.platform.records()) == 100, 20)
    assert numbers(server.platform) == list(range(100))
    assert server.violations == []


def test_a_rotated_key_is_taken_up(log: Log, server: FakeLoghookServer, start: Start) -> None:
    """Events wait while the key is refused; once the getter has the new one they arrive, and none is lost."""
    keys = ["an-old-key"]
    put(log, 10)
    made = destination(server.url, KeySource(lambda: keys[0]), 5.0)
    listener = start(made.open)
    deadline = time.monotonic() + 10
    while "401" not in listener.error and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "api_key_getter" in listener.error
    assert "an-old-key" not in listener.error
    put(log, 10, 10)
    keys[0] = KEY
    listener.wake.ring()
    assert server.platform.wait(lambda: len(server.platform.records()) == 20, 20)
    assert numbers(server.platform) == list(range(20))


def test_a_getter_that_raises_or_returns_nonsense_loses_nothing(
    log: Log, server: FakeLoghookServer, start: Start
) -> None:
    """A key getter may raise and may return anything; events wait until it returns a key."""
    answers: list[Any] = [RuntimeError("vault is closed"), 7, "", None, KEY]

    def getter() -> Any:
        answer = answers[0] if len(answers) == 1 else answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    keys = KeySource(getter)
    keys.retry_missing = 0.01
    put(log, 10)
    listener = start(destination(server.url, keys, 5.0).open)
    deadline = time.monotonic() + 20
    while not server.platform.records() and time.monotonic() < deadline:
        listener.wake.ring()
        time.sleep(0.02)
    assert numbers(server.platform) == list(range(10))


def test_the_platforms_own_wish_is_kept(log: Log, server: FakeLoghookServer, start: Start) -> None:
    """After 429 with Retry-After no request comes before that time, however often the listener is hurried."""
    put(log, 10)
    asked: list[float] = []

    def later(request: Request, respond: Callable[[Request], Answer]) -> Answer:
        asked.append(time.monotonic())
        return Answer(429, {"Retry-After": "1"})

    def now(request: Request, respond: Callable[[Request], Answer]) -> Answer:
        asked.append(time.monotonic())
        return respond(request)

    server.script(later, now)
    listener = start(destination(server.url, KeySource(lambda: KEY), 5.0).open)
    deadline = time.monotonic() + 60
    while len(asked) < 2 and time.monotonic() < deadline:
        listener.wake.ring()
        time.sleep(0.01)
    assert asked[1] - asked[0] >= 0.95
    assert server.platform.wait(lambda: len(server.platform.records()) == 10, 60)
