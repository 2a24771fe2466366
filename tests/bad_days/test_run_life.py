"""How a run ends, as a table of ways for a process to end; beside each the same script without loghook."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..scripts import Script, events, last_end, messages

MakeScript = Callable[..., Script]


@dataclass(frozen=True)
class Life:
    """A script, the status of its run (None: no end is told), the reason, and what the exception contains."""

    code: str
    status: str | None
    reason: str | None = None
    exception: str | None = None


KILL = "os.kill(os.getpid(), signal.SIG{})\ntime.sleep(5)\n"
HANDLER = "if 'plain' in sys.argv or True:\n    signal.signal(signal.SIG{}, {})\n"

LIVES = {
    "the end of the script": Life("log.warning('hi')", "success"),
    "nothing logged": Life("", "success"),
    "an exception": Life("def f():\n    raise ValueError('no ä')\nf()", "failure", None, "in f\n"),
    "an exception with a cause": Life("try:\n    1/0\nexcept Exception as e:\n    raise OSError from e", "failure"),
    "an exception group of one's own": Life("class E(BaseException): pass\nraise E('x')", "failure", None, "E: x"),
    "an exception in a thread": Life(
        "t = threading.Thread(target=lambda: 1/0, name='worker')\nt.start()\nt.join()\n",
        "failure",
        None,
        "ZeroDivisionError",
    ),
    "sys.exit()": Life("sys.exit()", "success"),
    "sys.exit(0)": Life("sys.exit(0)", "success"),
    "sys.exit(3)": Life("def f():\n    sys.exit(3)\nf()", "failure", "exit code 3"),
    "sys.exit(True)": Life("sys.exit(True)", "failure", "exit code True"),
    "sys.exit(text)": Life("sys.exit('went wrong')", "failure", "exit code 1"),
    "sys.exit(SystemExit(3))": Life("sys.exit(SystemExit(3))", "failure", "exit code 3"),
    "sys.exit(3) on its way through finally": Life(
        "try:\n    sys.exit(3)\nfinally:\n    log.warning('tidying up')", "failure", "exit code 3"
    ),
    "sys.exit(3) on its way through with": Life("with open(__file__):\n    sys.exit(3)", "failure", "exit code 3"),
    "sys.exit(3) caught and raised again": Life(
        "try:\n    sys.exit(3)\nexcept SystemExit:\n    raise", "failure", "exit code 3"
    ),
    "sys.exit(3) caught at the top": Life("try:\n    sys.exit(3)\nexcept SystemExit:\n    pass", "success"),
    "sys.exit(3) caught in a function": Life(
        "def f():\n    try:\n        sys.exit(3)\n    except SystemExit:\n        pass\nf()\nlog.warning('on')",
        "success",
    ),
    "sys.exit(3) caught, then another": Life(
        "try:\n    sys.exit(3)\nexcept SystemExit:\n    pass\nsys.exit(0)", "success"
    ),
    "sys.exit(3) caught, then uninstalled": Life(
        "try:\n    sys.exit(3)\nexcept SystemExit:\n    if 'plain' not in sys.argv: loghook.uninstall()", "success"
    ),
    "sys.exit(3) in a thread": Life("t = threading.Thread(target=lambda: sys.exit(3))\nt.start()\nt.join()", "success"),
    "wrong usage": Life("import argparse\nargparse.ArgumentParser().parse_args(['--no'])", "failure", "exit code 2"),
    "a KeyboardInterrupt": Life("raise KeyboardInterrupt", "stopped", "KeyboardInterrupt"),
    "Ctrl-C": Life(KILL.format("INT"), "stopped", "KeyboardInterrupt"),
    "SIGTERM": Life(KILL.format("TERM"), "stopped", "SIGTERM"),
    "SIGHUP": Life(KILL.format("HUP"), "stopped", "SIGHUP"),
    "SIGUSR1": Life(KILL.format("USR1"), None),
    "SIGKILL": Life(KILL.format("KILL"), None),
    "os._exit(0)": Life("os._exit(0)", None),
    "os._exit(4)": Life("os._exit(4)", None),
    "os.abort()": Life("os.abort()", None),
    "a handler set afterwards": Life(
        HANDLER.format("TERM", "lambda *a: print('mine')") + "os.kill(os.getpid(), signal.SIGTERM)", "success"
    ),
    "a signal ignored afterwards": Life(
        HANDLER.format("TERM", "signal.SIG_IGN") + "os.kill(os.getpid(), signal.SIGTERM)", "success"
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_a_run_ends_as_its_process_does(name: str, script: MakeScript, home: Path) -> None:
    """The run's status says how the process ended, which exits and speaks as it would without loghook."""
    life = LIVES[name]
    made = script(life.code)
    ended, without = made.run_both("plain")
    assert (ended.status, ended.out, ended.err) == (without.status, without.out, without.err)
    end = last_end(home)
    assert (end or {}).get("status") == life.status
    if end:
        assert end.get("reason") == life.reason
        assert ("exception" in end) == (life.status == "failure" and life.reason is None)
        if life.exception:
            assert life.exception in end["exception"]


def test_an_uncaught_exception_is_the_last_record(script: MakeScript, home: Path) -> None:
    """An exception that ends the program is a record with its traceback, at the line that raised it."""
    script("log.warning('before')\nraise ValueError('no')").run()
    record = events(home, "record")[-1]
    assert (record["level"], record["logger"], record["message"]) == ("CRITICAL", "uncaught", "uncaught ValueError: no")
    assert record["exception"].endswith("ValueError: no")
    assert record["file"] == "script.py:7"


def test_an_exception_in_a_thread_is_a_record(script: MakeScript, home: Path) -> None:
    """An exception that ends a thread is a record that names the thread."""
    script("t = threading.Thread(target=lambda: 1/0, name='worker')\nt.start()\nt.join()").run()
    assert messages(home, "uncaught") == ["uncaught in thread worker ZeroDivisionError: division by zero"]


BEFORE = """\
import logging, os, signal, sys, time
signal.signal(signal.SIG{}, {})
import loghook
loghook.install("run")
"""


@pytest.mark.parametrize(
    ("handler", "status", "said", "run"),
    [
        ("lambda number, frame: print('mine', number)", 0, "mine 15\nmine 15\n", "stopped"),
        ("lambda number, frame: sys.exit(7)", 7, "", "stopped"),
        ("signal.SIG_IGN", 0, "", "success"),
    ],
)
def test_a_handler_of_the_users_is_still_called(
    handler: str, status: int, said: str, run: str, script: MakeScript, home: Path
) -> None:
    """A SIGTERM handler that was there before install is called once for each signal, and decides what happens."""
    code = BEFORE.format("TERM", handler) + "for _ in range(2):\n    os.kill(os.getpid(), signal.SIGTERM)\n"
    ended = script(code, install=False).run()
    assert (ended.status, ended.out, ended.err) == (status, said, "")
    end = last_end(home)
    assert end
    assert end["status"] == run


def test_a_reload_is_no_end(script: MakeScript, home: Path) -> None:
    """A program with a SIGHUP handler of its own goes on after one, and its run ends as a success."""
    code = BEFORE.format("HUP", "lambda *a: print('reloading')") + "os.kill(os.getpid(), signal.SIGHUP)\n"
    ended = script(code, install=False).run()
    assert (ended.status, ended.out) == (0, "reloading\n")
    assert (last_end(home) or {})["status"] == "success"


def test_an_ignored_signal_stays_ignored(script: MakeScript, home: Path) -> None:
    """What nohup ignores stays ignored: the disposition is SIG_IGN after install."""
    code = BEFORE.format("HUP", "signal.SIG_IGN") + "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
    assert script(code, install=False).run().out == "True\n"


def test_a_thread_may_outlive_the_script(script: MakeScript, home: Path) -> None:
    """What a thread logs after the end of the script is there, and the run ends after it."""
    script(
        "def work():\n"
        "    threading.main_thread().join()\n"
        "    for i in range(100): log.warning('%d', i)\n"
        "threading.Thread(target=work).start()\n"
    ).run()
    assert messages(home) == [str(i) for i in range(100)]
    assert events(home)[-1]["event"] == "run_ended"


def test_exit_callbacks_may_log(script: MakeScript, home: Path) -> None:
    """What atexit callbacks log, registered before or after install, is there."""
    code = (
        "import atexit, logging, sys\n"
        "log = logging.getLogger('train')\n"
        "atexit.register(lambda: log.warning('before'))\n"
        "import loghook\n"
        "loghook.install('run')\n"
        "atexit.register(lambda: log.warning('after'))\n"
    )
    ended = script(code, install=False).run()
    assert ended.status == 0
    assert sorted(messages(home)) == ["after", "before"]
    assert (last_end(home) or {})["status"] == "success"


def test_all_may_begin_in_an_exit_callback(script: MakeScript, home: Path) -> None:
    """A program that installs and logs for the first time while the interpreter ends leaves its record in the spool."""
    code = (
        "import atexit, logging\n"
        "def last():\n"
        "    import loghook\n"
        "    loghook.install('run')\n"
        "    logging.getLogger('train').info('late')\n"
        "atexit.register(last)\n"
    )
    ended = script(code, install=False).run()
    assert (ended.status, ended.err) == (0, "")
    assert messages(home) == ["late"]


def test_a_handler_may_be_made_wrong_without_a_second_word(script: MakeScript) -> None:
    """A wrong setting is the only traceback of a program that dies of it; logging's shutdown adds none."""
    ended = script("import loghook\nh = loghook.LogHookHandler(timeout='soon')\n", install=False).run()
    assert ended.status == 1
    assert ended.err.count("Traceback") == 1
    assert ended.err.splitlines()[-1].startswith("loghook.errors.ConfigurationError: timeout='soon'")


def test_install_may_happen_on_any_thread(script: MakeScript, home: Path) -> None:
    """Off the main thread install raises nothing, and the run ends as ever."""
    code = (
        "import logging, loghook, threading\n"
        "t = threading.Thread(target=loghook.install, args=('run',))\n"
        "t.start()\n"
        "t.join()\n"
        "logging.getLogger('train').info('hi')\n"
    )
    ended = script(code, install=False).run()
    assert (ended.status, ended.err, messages(home)) == (0, "", ["hi"])
    assert (last_end(home) or {})["status"] == "success"


def test_a_key_on_the_command_line_is_in_no_file(script: MakeScript, home: Path) -> None:
    """The command line that a run tells of holds no value of an option that sounds secret."""
    ended = script("log.info('hi')").run("--api-key", "s3cret", "--token=s3cret", "http://me:s3cret@host/")
    assert (ended.status, ended.err) == (0, "")
    assert messages(home) == ["hi"]
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cret" in path.read_bytes()]


def test_hooks_can_be_left_out(script: MakeScript, home: Path) -> None:
    """With the setting "hooks" off, nothing of the interpreter's is replaced."""
    code = (
        "import signal, sys, threading\n"
        "before = sys.excepthook, sys.exit, threading.excepthook, signal.getsignal(signal.SIGTERM)\n"
        "import loghook\n"
        "loghook.install('run', hooks=False)\n"
        "print(before == (sys.excepthook, sys.exit, threading.excepthook, signal.getsignal(signal.SIGTERM)))\n"
    )
    assert script(code, install=False).run().out == "True\n"


def test_the_table_knows_this_platform() -> None:
    """The table's signals exist here."""
    assert sys.platform != "win32"
    assert signal.SIGHUP


def test_a_name_that_is_no_text_stops_nothing(tmp_path: Path, home: Path) -> None:
    """A script whose file name is no UTF-8, and so its run's name, runs and is recorded."""
    script = os.fsencode(tmp_path) + b"/caf\xe9.py"
    with open(script, "wb") as file:
        file.write(b"import logging, loghook\nloghook.install()\nlogging.getLogger('train').error('kept')\n")
    ended = subprocess.run([os.fsencode(sys.executable), script], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, b"")
    assert messages(home) == ["kept"]
    started = next(event for event in events(home) if event.get("event") == "run_started")
    assert started["run"]["name"] == "caf\\udce9"
