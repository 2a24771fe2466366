"""`install()` and its undoing, and what other configurations of logging do to it."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import loghook
from loghook import session

from .scripts import Script, events, last_end, messages

Wait = Callable[..., None]


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger without pytest's own handlers, as in a plain program; all as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    yield root
    loghook.uninstall()
    run = session.current()
    if run:
        session.close(run)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for logger in loggers():
        logger.disabled = False


def loggers() -> list[logging.Logger]:
    """All loggers that there are."""
    return [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Script]:
    """A function that makes a script out of code."""

    def make(code: str, *, install: bool = True) -> Script:
        return Script(tmp_path, code, install=install)

    return make


def state() -> dict[str, Any]:
    """Everything that install may change."""
    root = logging.getLogger()
    return {
        "excepthook": sys.excepthook,
        "exit": sys.exit,
        "thread": threading.excepthook,
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "handlers": list(root.handlers),
        "level": root.level,
        "environ": dict(os.environ),
        "threads": {thread.name for thread in threading.enumerate() if thread.name.startswith("loghook")},
        "lastResort": logging.lastResort,
    }


def ours() -> list[logging.Handler]:
    """Our handlers on the root logger."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, loghook.LogHookHandler)]


def test_uninstall_undoes_everything() -> None:
    """Hooks, signal handlers, handlers, level, environment and threads are after uninstall what they were before."""
    before = state()
    loghook.install("run")
    during = state()
    for name in ("excepthook", "exit", "thread", "signals", "handlers", "level", "environ", "threads"):
        assert during[name] != before[name], name
    loghook.uninstall()
    assert state() == before
    loghook.uninstall()
    assert state() == before


@pytest.mark.parametrize(
    "variables", [{"LOGHOOK_RUN_ID": "mine"}, {"LOGHOOK_RUN_ID": "mine", "LOGHOOK_RUN_PARENT": "1"}], ids=str
)
def test_uninstall_leaves_the_environment_as_it_was(variables: dict[str, str]) -> None:
    """Variables that were set before install have their values again afterwards."""
    os.environ.update(variables)
    before = state()
    assert loghook.install("run").id == "mine"
    loghook.uninstall()
    assert state() == before


def test_installing_twice_is_one_installation(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ten calls make one handler and one run; another name is answered with a word, further params are taken."""
    run = loghook.install("run", params={"a": 1})
    count = len(logging.getLogger().handlers)
    for _ in range(8):
        assert loghook.install() is run
    assert loghook.install("another", params={"b": 2}) is run
    assert len(ours()) == 1
    assert len(logging.getLogger().handlers) == count
    assert "goes on with 'run'" in capfd.readouterr().err
    assert events(home, "run_started")[0]["run"]["params"] == {"a": 1}
    assert [event["params"] for event in events(home, "params")] == [{"b": 2}]


def test_threads_that_install_at_once_make_one_installation() -> None:
    """However many threads call install at the same moment, there is one handler and one run."""
    barrier = threading.Barrier(8)
    runs = []

    def go() -> None:
        barrier.wait()
        runs.append(loghook.install("run"))

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, runs))) == 1
    assert len(ours()) == 1


def test_each_installation_is_a_run(home: Path) -> None:
    """After uninstall, install opens another run; the first one has ended as a success."""
    first = loghook.install("run").id
    loghook.uninstall()
    assert (last_end(home) or {})["status"] == "success"
    assert loghook.install("run").id != first


def test_install_lowers_the_level_to_what_is_sent(root: logging.Logger) -> None:
    """A root logger at WARNING lets INFO through after install, one that is lower stays as it is."""
    loghook.install("run")
    assert root.level == logging.INFO
    loghook.uninstall()
    root.setLevel(logging.DEBUG)
    loghook.install("run")
    assert root.level == logging.DEBUG
    assert ours()[0].level == logging.INFO


@pytest.mark.parametrize(
    ("variables", "argument", "level"),
    [
        ({"POLYAXON_LOG_LEVEL": "debug"}, None, logging.DEBUG),
        ({"POLYAXON_LOG_LEVEL": '"ERROR"'}, None, logging.ERROR),
        ({"POLYAXON_LOG_LEVEL": "30"}, None, logging.WARNING),
        ({"POLYAXON_LOG_LEVEL": "DEBUG", "LOGHOOK_LOG_LEVEL": "ERROR"}, None, logging.ERROR),
        ({"POLYAXON_LOG_LEVEL": "DEBUG", "LOGHOOK_LOG_LEVEL": "ERROR"}, "CRITICAL", logging.CRITICAL),
        ({"POLYAXON_LOG_LEVEL": "loud"}, None, logging.INFO),
    ],
    ids=str,
)
def test_the_level_that_is_asked_for_is_set(
    variables: dict[str, str], argument: str | None, level: int, root: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    """The level that the environment or the argument asks for is the handler's and the logger's; nonsense is INFO."""
    os.environ.update(variables)
    loghook.install("run", level=argument)
    assert (ours()[0].level, root.level) == (level, level)
    assert len(capfd.readouterr().err.splitlines()) == ("loud" in variables.values())


def test_a_level_that_somebody_set_meanwhile_stays(root: logging.Logger) -> None:
    """Uninstall takes back its own level, not one that the program set after install."""
    loghook.install("run")
    root.setLevel(logging.ERROR)
    loghook.uninstall()
    assert root.level == logging.ERROR


@pytest.mark.parametrize("as_name", [True, False])
def test_a_logger_may_be_chosen(as_name: bool, home: Path) -> None:
    """With a logger given, by name or itself, records of others are not taken."""
    logger = logging.getLogger("train")
    loghook.install("run", logger="train" if as_name else logger)
    logger.info("mine")
    logging.getLogger("other").warning("other")
    assert ours() == []
    assert messages(home, None) == ["mine"]
    loghook.uninstall()
    assert logger.handlers == []


def test_all_mistakes_are_told_together() -> None:
    """A wrong URL, a wrong value and an unknown name come in one error, and nothing is installed."""
    before = state()
    with pytest.raises(loghook.ConfigurationError) as caught:
        loghook.install("run", url="nonsense://x,http://[::1", timeout="soon", flush_intervall=1)
    words = str(caught.value)
    for part in ("nonsense", "http://[::1", "timeout='soon'", "flush_intervall"):
        assert part in words
    assert state() == before


def test_a_bad_environment_stops_nothing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Wrong variables are named in one line, without their secrets, and the program goes on without them."""
    os.environ.update(LOGHOOK_URL="nonsense://me:secret@x", LOGHOOK_TIMEOUT="soon")
    run = loghook.install("run")
    assert run.settings.url == ""
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1
    assert "LOGHOOK_URL" in err
    assert "LOGHOOK_TIMEOUT='soon'" in err
    assert "secret" not in err


def test_a_bad_file_stops_nothing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A wrong URL in the settings file is named in one line, and the program goes on without it."""
    home.mkdir()
    (home / "loghook.json").write_text('{"url": "http://[::1"}')
    loghook.install("run")
    assert capfd.readouterr().err.count("\n") == 1


def test_warnings_are_printed_as_before(script: Callable[..., Script]) -> None:
    """What logging prints where there is no handler it prints with ours, and nothing is printed twice."""
    code = (
        "log.info('low')\n"
        "log.warning('high')\n"
        "log.addHandler(logging.StreamHandler())\n"
        "log.warning('once')\n"
        "log.propagate = False\n"
        "log.warning('apart')\n"
    )
    ended, without = script(code).run_both("plain")
    assert ended.err == without.err == "high\nonce\napart\n"


# ---------------------------------------------------------------- other configurations


@pytest.mark.parametrize(
    "entry",
    [
        {"class": "loghook.LogHookHandler"},
        {"()": "loghook.LogHookHandler"},
        {"class": "loghook.LogHookHandler", "level": "INFO", "name": "run", "flush_interval": 1},
    ],
    ids=str,
)
def test_dictconfig_can_name_the_class_alone(entry: dict[str, Any], home: Path) -> None:
    """A dictConfig entry with nothing but the class makes a handler that works by itself."""
    root = {"handlers": ["hook"], "level": "INFO"}
    config = {"version": 1, "disable_existing_loggers": False, "handlers": {"hook": entry}, "root": root}
    logging.config.dictConfig(config)
    logging.getLogger("train").info("hi", extra={"metrics": {"loss": 0.5}})
    assert messages(home) == ["hi"]
    logging.config.dictConfig(config)
    logging.getLogger("train").info("again")
    assert messages(home) == ["hi", "again"]
    assert len(events(home, "run_started")) == 1


def test_fileconfig_can_name_the_class_alone(tmp_path: Path, home: Path) -> None:
    """A fileConfig section with nothing but the class makes a handler that works by itself."""
    file = tmp_path / "logging.ini"
    file.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=hook\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=hook\n[handler_hook]\nclass=loghook.LogHookHandler\n"
    )
    logging.config.fileConfig(file, disable_existing_loggers=False)
    logging.getLogger("train").info("hi")
    assert messages(home) == ["hi"]


def foreign_dict_config() -> None:
    """What frameworks do: configure everything anew."""
    handlers = {"console": {"class": "logging.NullHandler"}}
    logging.config.dictConfig({"version": 1, "handlers": handlers, "root": {"handlers": ["console"], "level": "INFO"}})


def foreign_basic_config() -> None:
    """What scripts do: throw out all handlers."""
    logging.basicConfig(force=True, level=logging.INFO, handlers=[logging.NullHandler()])


def removal() -> None:
    """What notebooks do: take every handler off."""
    for handler in list(logging.getLogger().handlers):
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("foreign", [foreign_dict_config, foreign_basic_config, removal])
def test_the_handler_comes_back(
    foreign: Callable[[], None], home: Path, wait_until: Wait, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a foreign configuration threw it out the handler is back within a second and says so once."""
    loghook.install("run")
    logging.getLogger("before").info("before")
    for _ in range(2):
        foreign()
        wait_until(ours, 1.0, "the handler's return")
    logger = logging.getLogger("train")
    logger.disabled = False
    logging.getLogger().setLevel(logging.INFO)
    for number in range(100):
        logger.info("%d", number)
    assert messages(home) == [str(number) for number in range(100)]
    assert messages(home, "before") == ["before"]
    assert len(ours()) == 1
    said = capfd.readouterr().err.splitlines()
    assert len([line for line in said if "back in its place" in line]) == 1


def test_a_foreign_configuration_waits_for_nothing(home: Path) -> None:
    """dictConfig, which closes our handler under logging's own lock, returns at once while no platform answers."""
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    run = loghook.install("run", url=url, api_key_getter=lambda: "k", shutdown_timeout=60, quiet=True)
    logging.getLogger("train").info("hi")
    started = time.monotonic()
    foreign_dict_config()
    logging.shutdown()
    assert time.monotonic() - started < 20
    run.close(0.1)
    loghook.uninstall()
    silent.close()


def test_handlers_that_were_there_get_what_they_got_before(script: Callable[..., Script], home: Path) -> None:
    """`install` lowers the root logger to INFO, but a terminal handler set up for warnings goes on printing those."""
    made = script(
        """
import logging
import loghook
logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
logging.getLogger("own").setLevel(logging.INFO)
loghook.install("quiet")
logging.getLogger("other").info("hidden")
logging.getLogger("own").info("shown")
logging.getLogger("other").warning("warned")
loghook.uninstall()
""",
        install=False,
    )
    assert made.run().others == "own shown\nother warned\n"
    assert messages(home, None) == ["hidden", "shown", "warned"]
