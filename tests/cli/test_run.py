"""loghook run: any command as a run, on a terminal and in a pipe, as it would be without."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loghook.testing import FakeLoghookServer

from ..scripts import by_writer, events, last_end, messages
from ..terminals import Terminal, show
from .conftest import COMMAND

Wait = Callable[..., None]

RUN = [str(COMMAND), "run", "-n", "a test"]
PYTHON = [sys.executable, "-c"]


def run(command: list[str], *, input: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command under `loghook run`, in pipes."""
    return subprocess.run(
        [*RUN, *command], input=input, capture_output=True, timeout=60, env={**os.environ, **variables}
    )


def started(home: Path) -> dict[str, Any]:
    """The only run that was started."""
    (event,) = events(home, "run_started")
    run: dict[str, Any] = event["run"]
    return run


def captured(home: Path) -> list[tuple[str, str, str]]:
    """Stream, level and text of every captured line."""
    return [(e["stream"], e["level"], e["message"]) for e in events(home, "record") if "stream" in e]


# -------------------------------------------------------------------- in a pipe


def test_output_passes_and_is_recorded(home: Path) -> None:
    """Both streams are passed on as they are; each line is a record, INFO or ERROR; the end of the output counts."""
    ended = run(["sh", "-c", "echo out; echo err >&2; printf last"])
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"out\nlast", b"err\n")
    assert sorted(captured(home)) == [("stderr", "ERROR", "err"), ("stdout", "INFO", "last"), ("stdout", "INFO", "out")]
    assert (last_end(home) or {})["status"] == "success"


def test_the_run_says_what_it_is(home: Path) -> None:
    """The run has the name that was asked for, the command as a param, and how it came about; secrets are masked."""
    run(["true", "--token", "s3cret", "https://me:pw@example.org/"])
    shown = started(home)
    assert (shown["name"], shown["api"]) == ("a test", "cli_run")
    assert shown["params"] == {"command": ["true", "--token", "***", "https://example.org/"]}
    assert "s3cret" not in str(events(home))


def test_a_run_without_a_name_has_the_commands(home: Path) -> None:
    """Without -n the run is called as the command is."""
    subprocess.run([COMMAND, "run", "/bin/true"], check=True, timeout=60)
    assert started(home)["name"] == "true"


def test_arguments_are_passed_as_they_are() -> None:
    """No shell looks at the arguments: blanks, quotes, stars, empty ones and options of the command's arrive."""
    words = ["a  b", "'", '"', "*", "", "$HOME", "-n", "--help", ";"]
    code = "import sys; print(sys.argv[1:])"
    assert run([*PYTHON, code, *words]).stdout.decode() == f"{words}\n"


def test_a_double_dash_ends_our_options() -> None:
    """What follows -- is the command, and a -- in it stays."""
    assert run(["--", "echo", "--", "x"]).stdout == b"-- x\n"


def test_input_passes_through() -> None:
    """The command reads our standard input, byte by byte."""
    data = bytes(range(256)) * 5000
    assert run(["cat"], input=data).stdout == data


@pytest.mark.parametrize("code", [0, 1, 2, 77, 126, 127, 200, 255])
def test_the_exit_code_is_the_commands(code: int, home: Path) -> None:
    """The exit code is the command's; any but 0 makes the run a failure that names it."""
    assert run(["sh", "-c", f"exit {code}"]).returncode == code
    end = last_end(home) or {}
    assert (end["status"], end.get("reason")) == (("failure", f"exit code {code}") if code else ("success", None))


@pytest.mark.parametrize(
    ("name", "status"),
    [("SEGV", "failure"), ("KILL", "failure"), ("ABRT", "failure"), ("TERM", "stopped"), ("INT", "stopped")],
)
def test_a_death_by_signal_is_passed_on(name: str, status: str, home: Path) -> None:
    """After signal n the exit code is 128+n, and the run says which it was."""
    assert run(["sh", "-c", f"kill -{name} $$"]).returncode == 128 + getattr(signal, f"SIG{name}")
    end = last_end(home) or {}
    assert (end["status"], end["reason"]) == (status, f"SIG{name}")


@pytest.mark.parametrize(
    ("command", "code", "line"),
    [
        ("no-such-command", 127, "loghook: no-such-command: command not found\n"),
        ("", 127, "loghook: '': command not found\n"),
        ("/no/such/command", 127, "loghook: /no/such/command: command not found\n"),
        ("./plain", 126, "loghook: ./plain: Permission denied\n"),
        ("./folder", 126, "loghook: ./folder: Permission denied\n"),
        ("./garbage", 126, "loghook: ./garbage: Exec format error\n"),
    ],
)
def test_a_command_that_can_not_be_run(
    command: str, code: int, line: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that does not exist gives 127, one that can't be executed 126, as shells do, with one line."""
    monkeypatch.chdir(tmp_path)
    Path("plain").write_text("x")
    Path("folder").mkdir()
    Path("garbage").write_bytes(b"\0\1\2")
    Path("garbage").chmod(0o755)
    ended = run([command])
    assert (ended.returncode, ended.stdout, ended.stderr.decode()) == (code, b"", line)
    assert (last_end(home) or {})["status"] == "failure"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1", "USR2", "QUIT", "WINCH"])
@pytest.mark.parametrize("to_group", [False, True], ids=["to us", "to the group"])
def test_a_signal_reaches_the_command_once(name: str, to_group: bool, home: Path) -> None:
    """A signal to us, or to our process group, arrives at the command exactly once."""
    code = (
        "import signal, sys, time\n"
        "got = []\n"
        "for name in ('INT', 'TERM', 'HUP', 'USR1', 'USR2', 'QUIT', 'WINCH'):\n"
        "    signal.signal(getattr(signal, 'SIG' + name), lambda number, frame: got.append(number))\n"
        "print('ready', flush=True)\n"
        "deadline = time.monotonic() + 20\n"
        "while not got and time.monotonic() < deadline: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"  # a second one would follow at once
        "print(*got)\n"
    )
    number = getattr(signal, f"SIG{name}")
    pipe = subprocess.PIPE
    with subprocess.Popen([*RUN, *PYTHON, code], stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        (os.killpg if to_group else os.kill)(process.pid, number)
        assert process.communicate(timeout=60)[0] == f"{number:d}\n".encode()
    assert process.returncode == 0
    assert (last_end(home) or {})["status"] == "success"


def test_a_script_that_is_terminated_is_stopped(home: Path) -> None:
    """SIGTERM ends a command that does not handle it, with 143, and the run is stopped."""
    with subprocess.Popen([*RUN, "sh", "-c", "echo ready; exec sleep 30"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert (last_end(home) or {})["reason"] == "SIGTERM"


def test_an_ignored_signal_stays_ignored() -> None:
    """What nohup ignores is ignored in the command too."""
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *RUN, *PYTHON, code]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == b"True\n"


def test_a_child_that_outlives_the_command_does_not_hang_us(wait_until: Wait) -> None:
    """A process that the command leaves behind, with its output open, is not waited for."""
    began = time.monotonic()
    ended = run(["sh", "-c", "sleep 60 & echo $!"])
    assert time.monotonic() - began < 20
    left = int(ended.stdout)
    os.kill(left, signal.SIGKILL)
    assert ended.returncode == 0


def test_a_reader_that_leaves_ends_the_command(home: Path) -> None:
    """In `loghook run yes | head` the command gets SIGPIPE, as it would without."""
    line = f'{COMMAND} run yes | head -n 2; echo "${{PIPESTATUS[0]}}"'
    ended = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, check=True)
    assert ended.stdout == b"y\ny\n141\n"


def test_text_that_is_no_utf_8_stays_readable(home: Path) -> None:
    """Bytes that are no UTF-8 pass as they are, and are backslash escapes in the record."""
    ended = run(["printf", "caf\\351 \\303\\251\\n"], PYTHONIOENCODING="ascii", LC_ALL="C")
    assert ended.stdout == b"caf\xe9 \xc3\xa9\n"
    assert captured(home) == [("stdout", "INFO", "caf\\xe9 \xe9")]


def test_a_progress_bar_is_one_line_a_second(home: Path) -> None:
    """A tqdm loop of two seconds leaves a handful of records, and the last is its last state."""
    code = "import time, tqdm\nfor i in tqdm.tqdm(range(200)): time.sleep(0.01)\n"
    ended = run([*PYTHON, code])
    bars = [text for stream, _, text in captured(home) if stream == "stderr"]
    assert ended.stderr.count(b"\r") > 10
    assert 2 <= len(bars) <= 6
    assert "200/200" in bars[-1]
    assert ended.stderr.decode().rstrip("\n").endswith(bars[-1])


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler here")
def test_output_of_a_c_program_is_recorded(home: Path, tmp_path: Path) -> None:
    """What a program in C writes, past any library's buffer, is there."""
    source = tmp_path / "hello.c"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        'int main(void) { write(1, "raw ", 4); setbuf(stdout, 0); printf("from C\\n"); return 7; }\n'
    )
    subprocess.run(["cc", "-o", tmp_path / "hello", source], check=True, timeout=60)
    ended = run([str(tmp_path / "hello")])
    assert (ended.returncode, ended.stdout) == (7, b"raw from C\n")
    assert captured(home) == [("stdout", "INFO", "raw from C")]


@pytest.mark.slow
@pytest.mark.parametrize("newlines", [True, False], ids=["in lines", "in one line"])
def test_100_megabytes_pass_in_little_memory(newlines: bool, home: Path) -> None:
    """100 MB arrive byte for byte, with and without newlines, and we stay small."""
    piece = b"x" * 99 + (b"\n" if newlines else b"x")
    code = f"import sys\nfor i in range(1000): sys.stdout.buffer.write({piece!r} * 1000)"
    watched = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True)\n"
    watched += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    ended = subprocess.run([*PYTHON, watched, *RUN, *PYTHON, code], capture_output=True, timeout=110, check=True)
    assert hashlib.sha256(ended.stdout).digest() == hashlib.sha256(piece * 1_000_000).digest()
    assert int(ended.stderr) < 120_000  # kilobytes
    size = sum(len(text) for _, _, text in captured(home)) if not newlines else len(captured(home))
    assert size == (1_000_000 if newlines else 100_000_000)


def test_an_unreachable_platform_does_not_matter(home: Path) -> None:
    """With nobody at LOGHOOK_URL the command runs as ever; one line on stderr says that its events wait."""
    ended = run(["sh", "-c", "echo out; exit 3"], LOGHOOK_URL="http://127.0.0.1:9", LOGHOOK_SHUTDOWN_TIMEOUT="0.5")
    assert (ended.returncode, ended.stdout) == (3, b"out\n")
    assert "wait in" in ended.stderr.decode()


def test_what_is_wrong_with_the_settings_does_not_matter() -> None:
    """A URL that no transport takes is named on stderr, and the command runs."""
    ended = run(["echo", "out"], LOGHOOK_URL="gopher://x")
    assert (ended.returncode, ended.stdout) == (0, b"out\n")
    assert ended.stderr.decode().startswith("loghook: left out: LOGHOOK_URL")


def test_records_reach_a_platform() -> None:
    """With a platform that is up, all is delivered when the command has ended."""
    with FakeLoghookServer() as platform:
        ended = run(["echo", "hello"], LOGHOOK_URL=platform.url, LOGHOOK_API_KEY=platform.key)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert [e["message"] for e in platform.platform.records()] == ["hello"]
        assert platform.platform.events()[-1]["event"] == "run_ended"


JOINS = """\
import logging, loghook
loghook.install("another name", params={"rate": 0.1})
logging.getLogger("train").info("a record", extra={"metrics": {"loss": 0.5}})
with loghook.Experiment("third name") as exp:
    exp.metric("acc", 0.9)
    print("a print")
"""


def test_a_python_child_joins_the_run(home: Path) -> None:
    """A Python program that uses loghook itself logs to the same run; what it prints is there once."""
    ended = run([*PYTHON, JOINS])
    assert ended.returncode == 0
    assert len({run for run, _ in by_writer(home)}) == 1
    assert len(by_writer(home)) == 3
    assert started(home)["name"] == "a test"
    assert messages(home, "train") == ["a record"]
    metrics = [event["metrics"] for event in events(home, "record") if "metrics" in event]
    assert {"loss": 0.5} in metrics
    assert {"acc": 0.9} in metrics
    assert [text for _, _, text in captured(home)].count("a print") == 1
    assert (last_end(home) or {})["status"] == "success"


# -------------------------------------------------------------------- on a terminal


@pytest.mark.parametrize(
    "command",
    [
        [
            *PYTHON,
            "import os, sys; print(*(os.isatty(i) for i in range(3)), os.get_terminal_size(), os.ttyname(0) > '')",
        ],
        ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done; exit 4"],
        ["sh", "-c", "printf '\\033[31mred\\033[0m 100%%\\r\\n\\tend'; stty -a"],
    ],
    ids=["is a terminal", "both streams", "colours and modes"],
)
def test_a_terminal_shows_the_same(command: list[str]) -> None:
    """On a terminal every byte and the exit code are as without us; the command's has the same size and modes."""
    assert show([*RUN, *command]) == show(command)


def test_a_bar_and_lines_on_a_terminal(home: Path) -> None:
    """A tqdm loop that prints between shows as it does without, and its lines are recorded whole."""
    code = (
        "import time, tqdm\n"
        "for i in tqdm.tqdm(range(100), bar_format='{n_fmt}/{total_fmt}', miniters=1, mininterval=0):\n"
        "    time.sleep(0.01)\n"
        "    if i % 40 == 0: tqdm.tqdm.write(f'line {i}')\n"
    )
    status, shown = show([*RUN, *PYTHON, code])
    assert (status, shown) == show([*PYTHON, code])
    texts = [text for _, _, text in captured(home)]
    assert [text for text in texts if text.startswith("line")] == ["line 0", "line 40", "line 80"]
    assert texts[-1] == "100/100"
    assert len(texts) < 15


def test_keys_reach_the_command() -> None:
    """What is typed arrives at the command, and the terminal's modes are as before afterwards."""
    both = f"stty -a > before; {' '.join(map(repr, RUN))} python3 -c 'print(input(\"who? \"))'; stty -a | cmp before -"
    with Terminal(["sh", "-c", f"cd $LOGHOOK_HOME/.. && {both}"]) as terminal:
        terminal.wait_for(b"who? ")
        terminal.type(b"me\r")
        assert terminal.end() == 0
        assert terminal.output == b"who? me\r\nme\r\n"


INTERRUPTED = """\
import time
count = 0
while True:
    try:
        print("ready", flush=True)
        for _ in range(600 if count == 0 else 6):  # a second one would follow at once
            time.sleep(0.05)  # a signal that comes just before a sleep does not end it
        break
    except KeyboardInterrupt:
        count += 1
raise SystemExit(count)
"""


@pytest.mark.parametrize("in_a_pipe", [False, True])
def test_ctrl_c_arrives_once(in_a_pipe: bool, home: Path) -> None:
    """Ctrl-C on the terminal interrupts the command once, whether its output is the terminal or a pipe."""
    inner = [*RUN, *PYTHON, INTERRUPTED]
    command = ["bash", "-c", '"$@" | cat; exit "${PIPESTATUS[0]}"', "bash", *inner] if in_a_pipe else inner
    with Terminal(command) as terminal:
        terminal.wait_for(b"ready")
        terminal.type(b"\x03")
        assert terminal.end() == 1
    assert (last_end(home) or {})["status"] == "stopped"


def test_ctrl_c_stops_a_run(home: Path) -> None:
    """A command that Ctrl-C ends gives 130, and the run is stopped."""
    with Terminal([*RUN, "sh", "-c", "echo ready; exec sleep 30"]) as terminal:
        terminal.wait_for(b"ready")
        terminal.type(b"\x03")
        assert terminal.end() == 130
    end = last_end(home) or {}
    assert (end["status"], end["reason"]) == ("stopped", "SIGINT")


def test_a_new_window_size_arrives_once(home: Path) -> None:
    """A resized window is resized for the command too, which is told once."""
    code = (
        "import os, signal, time\n"
        "got = []\n"
        "signal.signal(signal.SIGWINCH, lambda *a: got.append(os.get_terminal_size()))\n"
        "print('ready', flush=True)\n"
        "deadline = time.monotonic() + 20\n"
        "while not got and time.monotonic() < deadline: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "print(*map(tuple, got))\n"
    )
    with Terminal([*RUN, *PYTHON, code]) as terminal:
        terminal.wait_for(b"ready")
        terminal.resize(50, 132)
        assert terminal.end() == 0
        assert terminal.output.endswith(b"\r\n(132, 50)\r\n")


def test_ctrl_z_and_fg(home: Path) -> None:
    """Ctrl-Z stops the command and gives the shell its terminal back; fg goes on with it."""
    with Terminal(["bash", "--norc", "-i"], PS1="$ ", TERM="dumb") as terminal:
        terminal.wait_for(b"$ ")
        terminal.type(
            b" ".join(word.encode() if " " not in word else b"'a test'" for word in RUN)
            + b" sh -c 'echo up; exec cat'\r"
        )
        terminal.wait_for(b"up\r\n")
        terminal.type(b"one\r")
        terminal.wait_for(b"one\r\none\r\n")
        terminal.type(b"\x1a")
        terminal.wait_for(b"Stopped")
        terminal.type(b"fg\r")
        terminal.type(b"two\r")
        terminal.wait_for(b"two\r\ntwo\r\n")
        terminal.type(b"\x04")
        terminal.wait_for(b"two\r\ntwo\r\n$ ")
        terminal.type(b"exit 5\r")
        assert terminal.end() == 5
    assert [text for _, _, text in captured(home)][-2:] == ["two", "two"]


UNTIL = 'echo ready; until [ -e "$1" ]; do sleep 0.05; done; echo asks; read line; echo "got $line"'


def test_a_pager_has_the_terminal(tmp_path: Path) -> None:
    """Who reads what the command writes can read keys meanwhile; the command gets them once it asks for some."""
    pager = '"$@" | { head -n 1; read key </dev/tty; echo "key $key"; touch "${!#}"; cat; }'
    with Terminal(["bash", "-c", pager, "bash", *RUN, "sh", "-c", UNTIL, "sh", str(tmp_path / "flag")]) as terminal:
        terminal.wait_for(b"ready")
        terminal.type(b"q\r")
        terminal.wait_for(b"key q")
        terminal.type(b"x\r")
        assert terminal.end() == 0
        assert b"got x" in terminal.output


def test_ctrl_z_in_a_pipe(tmp_path: Path) -> None:
    """Ctrl-Z stops a command that writes to a pipe, whether it has the terminal at the moment or not."""
    flag = tmp_path / "flag"
    with Terminal(["bash", "--norc", "-i"], PS1="$ ", TERM="dumb", UNTIL=UNTIL) as terminal:
        terminal.wait_for(b"$ ")
        words = [*map(str, RUN[:1]), "run", "sh", "-c", '"$UNTIL"', "sh", str(flag)]
        terminal.type(f"{' '.join(words)} | cat\r".encode())
        terminal.wait_for(b"ready\r\n")
        terminal.type(b"\x1a")
        terminal.wait_for(b"Stopped")
        flag.touch()
        terminal.type(b"fg\r")
        terminal.wait_for(b"asks")
        terminal.type(b"one\r")
        terminal.wait_for(b"got one")
        terminal.wait_for(b"$ ")
        terminal.type(b"exit 5\r")
        assert terminal.end() == 5


def test_split_tells_the_streams_apart(home: Path) -> None:
    """With --split standard error is a terminal of its own, and its lines are errors."""
    command = [
        str(COMMAND),
        "run",
        "--split",
        *PYTHON,
        "import sys; print(1); print(sys.stderr.isatty(), file=sys.stderr)",
    ]
    status, shown = show(command)
    assert status == 0
    assert sorted(shown.splitlines()) == [b"1", b"True"]
    assert sorted(captured(home)) == [("stderr", "ERROR", "True"), ("stdout", "INFO", "1")]


def test_a_terminal_that_goes_away_ends_the_command(home: Path, wait_until: Wait) -> None:
    """When the terminal hangs up, the command gets SIGHUP, and the run is stopped."""
    with Terminal([*RUN, "sh", "-c", "echo ready; exec sleep 60"]) as terminal:
        terminal.wait_for(b"ready")
        os.kill(terminal.process.pid, signal.SIGHUP)
        assert terminal.end() == 128 + signal.SIGHUP
    assert (last_end(home) or {})["reason"] == "SIGHUP"


def test_the_log_file_has_what_was_printed(home: Path) -> None:
    """What the command printed is in a file of the home folder that only its owner reads."""
    run(["echo", "hello"])
    (file,) = (home / "logs" / "a-test").glob("a-test_*.log")
    assert file.read_text() == "hello\n"
    assert file.stat().st_mode & 0o777 == 0o600
