"""The handler: every record taken, none of our own, and never an error into the caller."""

from __future__ import annotations

import copy
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import urllib3

import loghook
from loghook import session
from loghook.testing import FakeLoghookServer
from loghook.threads import barred

from .scripts import events, messages

KEY = "a-key-for-tests-0001"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of this test's own, at DEBUG, whose handlers are closed afterwards, and the run with them."""
    made = logging.Logger("train", logging.DEBUG)
    yield made
    for handler in made.handlers:
        handler.close()
    run = session.current()
    if run:
        session.close(run)


@pytest.fixture
def handler(logger: logging.Logger) -> loghook.LogHookHandler:
    """A handler on that logger, at DEBUG."""
    made = loghook.LogHookHandler("run", level="DEBUG")
    logger.addHandler(made)
    return made


@pytest.fixture(params=[True, False], ids=["raising", "not raising"])
def raising(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both settings of logging.raiseExceptions."""
    monkeypatch.setattr(logging, "raiseExceptions", request.param)


def test_a_record_is_safe_when_the_call_returns(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """What was logged can be read from the spool by anybody at once, in order."""
    for number in range(1000):
        logger.info("%d", number)
        if number % 100 == 0:
            assert messages(home)[-1] == str(number)
    assert messages(home) == [str(number) for number in range(1000)]


def test_two_handlers_are_two_doors_into_one_run(logger: logging.Logger, handler: loghook.LogHookHandler) -> None:
    """A second handler without a name of its own joins the run that is there."""
    assert loghook.LogHookHandler().run is handler.run
    assert loghook.LogHookHandler("run").run is handler.run


def test_a_wrong_setting_is_told_to_whoever_makes_the_handler() -> None:
    """A wrong argument raises ConfigurationError, and leaves nothing behind that logging could call."""
    before = len(logging._handlerList)  # type: ignore[attr-defined]
    with pytest.raises(loghook.ConfigurationError, match="timeout='soon'"):
        loghook.LogHookHandler(timeout="soon")
    with pytest.raises(loghook.ConfigurationError, match="no setting 'colour'"):
        loghook.LogHookHandler(colour="red")
    assert len(logging._handlerList) == before  # type: ignore[attr-defined]


@pytest.mark.usefixtures("raising")
def test_a_log_call_never_raises(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is logged, the call returns, nothing is printed, and a record is there."""

    class Evil:
        def no(self, *args: object) -> NoReturn:
            raise RuntimeError("no")

        __str__ = __repr__ = __float__ = __len__ = __iter__ = items = no

    logger.info(Evil())
    logger.info("%d", "x")
    logger.info("%s", Evil())
    logger.info("m", extra={"metrics": Evil(), "step": Evil(), "note": Evil()})
    logger.info("m", exc_info=(Evil, Evil(), None))  # type: ignore[arg-type]
    logger.info("\ud800\0", extra={"stream": Evil()})
    logger.info("%(a)s %s", {"a": 1}, 2)
    logger.log(10**30, "a level without end")
    assert len(messages(home)) == 8
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.usefixtures("raising")
def test_a_record_that_can_not_be_taken_is_counted(
    logger: logging.Logger, handler: loghook.LogHookHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    """Should even our own formatter fail, one record is counted as dropped, in one line, and the call returns."""

    class Failing(loghook.LogHookFormatter):
        def event(self, record: logging.LogRecord) -> bytes:
            raise MemoryError

    handler.setFormatter(Failing())
    logger.info("hi")
    logger.info("hi")
    assert session.stats()["dropped"] == {"error": 2}
    assert capfd.readouterr().err == "loghook: a record of logger 'train' could not be taken\n"


def test_filters_are_asked(logger: logging.Logger, handler: loghook.LogHookHandler, home: Path) -> None:
    """A filter on the handler may refuse a record, and may change what it passes on."""

    def filtered(record: logging.LogRecord) -> bool:
        record.note = "seen"
        return "secret" not in record.getMessage()

    handler.addFilter(filtered)
    logger.info("plain")
    logger.info("secret")
    assert messages(home) == ["plain"]
    assert events(home, "record")[0]["extra"] == {"note": "seen"}


def test_a_filter_of_its_own_is_asked(logger: logging.Logger, handler: loghook.LogHookHandler, home: Path) -> None:
    """A subclass that overrides `filter`, `emit` or `handle`, and a copy with filters of its own, go by them."""

    class Mine(loghook.LogHookHandler):
        def filter(self, record: logging.LogRecord) -> Any:
            return "secret" not in record.msg

    copied = copy.copy(handler)
    copied.filters = [lambda record: "copy" not in record.msg]
    for door in (Mine(), copied):
        logger.handlers[:] = [door]
        logger.info("usual")
        logger.info("secret copy")
    assert messages(home) == ["usual", "usual"]


def test_a_record_without_a_thread_is_taken(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """A filter that takes attributes away, those that the handler looks at too, costs no record and raises nothing."""

    class Takes(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            del record.thread, record.process
            return True

    logger.addFilter(Takes())
    logger.info("hello")
    assert messages(home) == ["hello"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters return records from 3.12 on")
def test_a_filter_may_return_another_record(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """The record that a filter returns is taken in place of the one that it was given."""
    another: Any = lambda record: logging.makeLogRecord({**record.__dict__, "msg": "another"})  # noqa: E731
    handler.addFilter(another)
    logger.info("one")
    assert messages(home) == ["another"]


def test_levels_are_kept(logger: logging.Logger, handler: loghook.LogHookHandler, home: Path) -> None:
    """A record below the handler's level is not taken."""
    handler.setLevel("WARNING")
    logger.info("low")
    logger.warning("high")
    assert messages(home) == ["high"]


def test_another_formatter_words_the_message(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """A formatter that is not ours makes the message; metrics and traceback keep their places, not doubled."""
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed", extra={"metrics": {"loss": 0.5}}, stack_info=True)
    event = events(home, "record")[0]
    assert event["message"] == "[ERROR] failed"
    assert event["metrics"] == {"loss": 0.5}
    assert event["exception"].endswith("ValueError: no")
    assert event["stack"].startswith("Stack")
    handler.setFormatter(None)
    logger.info("plain")
    assert messages(home)[-1] == "plain"


def test_another_formatter_that_fails_costs_no_record(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where a formatter that is not ours raises, ours serves, and it is said once."""
    handler.setFormatter(logging.Formatter("%(user)s %(message)s"))
    logger.info("one")
    logger.info("two", extra={"user": "me"})
    logger.info("three")
    assert messages(home) == ["one", "me two", "three"]
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_formatter_of_ones_own_is_warned_of(
    logger: logging.Logger, handler: loghook.LogHookHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is no metric is named once, also where a `LogHookFormatter` that the program made met it."""
    handler.setFormatter(loghook.LogHookFormatter())
    logger.info("hi", extra={"metrics": {"note": "no number"}})
    logger.info("hi", extra={"metrics": {"note": "no number"}})
    session.close(handler.run)
    said = [line for line in capfd.readouterr().err.splitlines() if "'note'" in line]
    assert len(said) == 1


def test_other_handlers_get_the_record_as_it_was(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """A handler that comes after ours sees the record's own attributes, exception included."""
    seen: list[dict[str, Any]] = []

    class Looking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(dict(record.__dict__))

    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(Looking())
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("%s", "failed")
    assert (seen[0]["msg"], seen[0]["args"]) == ("%s", ("failed",))
    assert seen[0]["exc_info"][0] is ValueError
    assert "asctime" not in seen[0]


def test_our_own_work_is_left_out(logger: logging.Logger, handler: loghook.LogHookHandler, home: Path) -> None:
    """What is logged in a block of our own work is not taken, on that thread and in no other."""
    with barred():
        logger.info("ours")
        thread = threading.Thread(target=logger.info, args=("theirs",))
        thread.start()
        thread.join()
    logger.info("after")
    assert messages(home) == ["theirs", "after"]


def test_another_process_may_have_our_threads_number(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """A record that came from another process is taken, whatever the number of the thread that made it there."""
    record = logging.makeLogRecord({"msg": "far", "name": "train", "levelno": 20, "process": 1})
    near = logging.makeLogRecord({"msg": "near", "name": "train", "levelno": 20})
    done = threading.Event()

    def relay() -> None:
        with barred():
            near.thread = record.thread = threading.get_ident()
            logger.handle(near)
            logger.handle(record)
        done.set()

    threading.Thread(target=relay).start()
    assert done.wait(10)
    assert messages(home) == ["far"]


def test_it_does_not_feed_on_itself_and_spares_the_users(home: Path) -> None:
    """With everything at DEBUG our own requests leave no record, while the user's own urllib3 records all go."""
    root = logging.getLogger()
    with FakeLoghookServer() as server, FakeLoghookServer() as other:
        loghook.install("run", level="DEBUG", url=server.url, api_key_getter=lambda: KEY, flush_interval=0.02)
        level = logging.getLogger("urllib3").level
        logging.getLogger("urllib3").setLevel(logging.DEBUG)
        root.info("one")
        assert loghook.flush(10)
        count = len(server.requests)
        assert server.platform.wait(lambda: len(server.platform.records()) == 1)
        pool = urllib3.PoolManager()
        pool.request("GET", other.url + "/theirs")
        pool.clear()
        assert loghook.flush(10)
        logging.getLogger("urllib3").setLevel(level)
        theirs = [event for event in server.platform.records() if event["logger"].startswith("urllib3")]
        assert theirs
        assert all(str(other.port) in event["message"] for event in theirs)
        assert len(server.platform.records()) == 1 + len(theirs)
        assert len(server.requests) <= count + 3
        loghook.uninstall()


def test_objects_that_log_while_they_are_shown_lose_nothing(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """A `__repr__` and a `__del__` that log neither deadlock nor lose the record around them."""

    class Chatty:
        def __repr__(self) -> str:
            logger.info("while shown")
            return "chatty"

        def __del__(self) -> None:
            logger.info("while dying")

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    for _ in range(100):
        logger.info("%r", Chatty())
    gc.set_threshold(*thresholds)
    found = messages(home)
    assert [found.count(text) for text in ("while shown", "chatty", "while dying")] == [100, 100, 100]


def test_signal_handlers_may_log(logger: logging.Logger, handler: loghook.LogHookHandler, home: Path) -> None:
    """A signal handler that logs every few milliseconds, in the middle of log calls, deadlocks and loses nothing."""
    struck = 0

    def strike(number: int, frame: object) -> None:
        nonlocal struck
        struck += 1
        logger.info("signal")

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    count = 0
    deadline = time.monotonic() + 20
    while struck < 100 and time.monotonic() < deadline:
        logger.info("plain %s", "x" * 200)
        count += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    found = messages(home)
    assert struck >= 100
    assert found.count("signal") == struck
    assert len(found) == struck + count


def test_many_threads_lose_nothing(logger: logging.Logger, handler: loghook.LogHookHandler, home: Path) -> None:
    """Records of many threads are all there, each thread's in its order."""

    def work(name: int) -> None:
        for number in range(1000):
            logger.info("%d %d", name, number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [tuple(map(int, message.split())) for message in messages(home)]
    assert len(found) == 8000
    for name in range(8):
        assert [number for one, number in found if one == name] == list(range(1000))


def test_a_record_after_close_is_still_taken(
    logger: logging.Logger, handler: loghook.LogHookHandler, home: Path
) -> None:
    """`close`, which dictConfig calls, waits for nothing, and a record that comes later is taken."""
    handler.close()
    logger.info("later")
    handler.close()
    assert messages(home) == ["later"]


def test_flush_and_close_wait_for_nothing(logger: logging.Logger) -> None:
    """With a platform that never answers, flush and close of the handler return at once."""
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    handler = loghook.LogHookHandler("run", url=url, shutdown_timeout=60, quiet=True, api_key_getter=lambda: KEY)
    logger.addHandler(handler)
    logger.info("hi")
    started = time.monotonic()
    handler.flush()
    handler.close()
    assert time.monotonic() - started < 20
    handler.run.close(0.1)
    silent.close()


def test_it_says_what_it_is(handler: loghook.LogHookHandler) -> None:
    """The handler's repr names the run and the level."""
    assert repr(handler) == "<LogHookHandler 'run' (DEBUG)>"
