"""Output becomes lines as a reader would see them, and monitored streams stay what they are."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loghook
from loghook.capture.lines import Decoder, Lines
from loghook.capture.logfile import LogFile, slug
from loghook.testing import Clock

from .scripts import Script, by_writer, events, messages
from .terminals import show


@pytest.fixture
def clock() -> Clock:
    """A clock that goes when it is told to."""
    return Clock()


def fed(*pieces: str) -> list[str]:
    """What all pieces together come to, with nothing due in between."""
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + lines.end()


# -------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        ("\n\nx\n", ["", "", "x"]),
        ("no newline", ["no newline"]),
        ("", []),
        ("10%\r20%\r100%\n", ["100%"]),
        ("10%\r20%", ["20%"]),
        ("bar\r", ["bar"]),
        ("\rbar", ["bar"]),
        ("\r 10%\r       \rdone\n", ["done"]),
        ("50%\x1b[2K\rdone\n", ["done"]),
        ("50%\r\x1b[Kdone\n", ["done"]),
        ("spin |\x08/\x08-\x08done\n", ["spin done"]),
        ("\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
        ("\router 1\n\rinner 1\x1b[A\n\rinner 2\x1b[A\router 2\n\rinner 3\x1b[A\n\n", ["outer 2", "inner 3"]),
        ("a 1\nb 1\x1b[2K\x1b[1A\x1b[2Ka 2\nb 2\n", ["a 1", "a 2", "b 2"]),
        ("a\x1b[99999999Ab\n", ["b", "a"]),
    ],
)
def test_text_is_read_as_a_terminal_shows_it(text: str, lines: list[str]) -> None:
    """Lines end at newlines; what was written over counts as it was left."""
    assert fed(text) == lines


@given(st.lists(st.sampled_from(["a", "bc", "\n", "\r", "\r\n", "\x08", "\x1b[A", "\x1b[2K", "\x1b[31m", "\x1b"])))
def test_it_does_not_matter_how_text_is_cut(tokens: list[str]) -> None:
    """The same lines come out, whatever pieces the text comes in."""
    text = "".join(tokens)
    assert fed(*text) == fed(text)


@given(st.text(alphabet="ab\n\r", max_size=60))
def test_no_ordinary_line_is_lost(text: str) -> None:
    """Text without returns comes out as it went in."""
    plain = text.replace("\r", "")
    assert fed(plain) == (plain.split("\n") if not plain.endswith("\n") else plain.split("\n")[:-1]) if plain else True


def test_a_bar_is_due_once_in_an_interval(clock: Clock) -> None:
    """A bar shows without a newline, changes at most once a second, and ends with its last state, once."""
    lines = Lines(clock=clock)
    said: list[str] = []
    for i in range(1, 101):
        said += lines.feed(f"\r{i}%")
        said += lines.due()
        clock.advance(0.1)
    said += lines.due() + lines.feed("\n") + lines.due() + lines.end()
    assert said[0] == "1%"
    assert 9 <= len(said) <= 11
    assert said[-1] == "100%"


def test_lines_between_bars_stay_whole_and_in_order(clock: Clock) -> None:
    """What is printed between the states of a bar comes out whole, in order, and once."""
    lines = Lines(clock=clock)
    said: list[str] = []
    for i in range(50):
        said += lines.feed(f"\r{i}%") + lines.feed(f"\r   \rline {i}\n\r{i}%")
        clock.advance(0.3)
        said += lines.due()
    said += lines.end()
    assert [line for line in said if line.startswith("line")] == [f"line {i}" for i in range(50)]


def test_a_line_without_an_end_is_cut() -> None:
    """A line longer than the limit comes in pieces, nothing missing, and nothing is held back for long."""
    lines = Lines(longest=100)
    said = []
    for _ in range(1000):
        said += lines.feed("x" * 77)
        assert sum(map(len, said)) >= 0
    held = lines.end()
    assert sum(map(len, held)) <= 100
    assert "".join(said + held) == "x" * 77000
    assert {len(line) for line in said} == {100}


def test_many_bars_take_bounded_memory() -> None:
    """A program that moves about the screen for ever leaves few rows behind."""
    lines = Lines()
    randomly = random.Random(7)
    for _ in range(20000):
        lines.feed(randomly.choice(["\n", "\r", "x" * 50, "\x1b[A", "\x1b[5A", "\x1b[B", "\x1b[J", "\x08"]))
    assert len(lines.end()) <= 32


def test_a_character_may_lie_across_pieces() -> None:
    """UTF-8 cut in the middle of a character is put together; what is no UTF-8 is escaped."""
    decode = Decoder()
    data = "é€😀".encode() + b"\xff\xe9"
    assert "".join(decode(data[i : i + 1]) for i in range(len(data))) + decode(b"", final=True) == "é€😀\\xff\\xe9"


# -------------------------------------------------------------------- the log file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dogs vs. cats", "dogs-vs-cats"),
        ("../../etc/passwd", "etc-passwd"),
        ("Größe", "groe"),
        ("日本", "run"),
        ("", "run"),
    ],
)
def test_a_name_becomes_a_file_name(name: str, expected: str) -> None:
    """Nothing in a run's name can lead out of the folder."""
    assert slug(name) == expected


def test_the_log_file_is_private_and_new(home: Path) -> None:
    """Each run has a file of its own, even one that begins at the same moment, which only its owner reads."""
    files = [LogFile(home, "dogs vs. cats", 1763740000.25) for _ in range(2)]
    for i, file in enumerate(files):
        file.write([f"line {i}", "é"])
        file.close()
    assert files[0].path != files[1].path
    assert files[1].path.read_text(encoding="utf-8") == "line 1\né\n"
    assert files[0].path.parent == home / "logs" / "dogs-vs-cats"
    assert stat.S_IMODE(files[0].path.stat().st_mode) == 0o600


def test_a_log_file_that_is_not_whole_says_so(home: Path) -> None:
    """A full disk, or the limit of a file, cost lines and no exception, and there is a sentence that names the file."""
    whole, full, large = LogFile(home, "x", 0.0), LogFile(home, "x", 0.0), LogFile(home, "x", 0.0, limit=15)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    full.write(["before"])
    full.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, hard))
    try:
        full.write(["after"])
        full.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for number in range(3):
        large.write([f"line {number}"])
        large.flush()
    for file in (whole, full, large):
        file.close()
    assert whole.complaint == ""
    assert full.complaint.startswith(f"{full.path} is not whole: File too large")
    assert large.complaint.startswith(f"{large.path} is not whole: it has reached its largest size")
    assert full.path.read_text() == "before\n"
    assert large.path.read_text() == "line 0\nline 1\n"


# -------------------------------------------------------------------- the streams


def test_a_captured_stream_is_the_one_that_it_was() -> None:
    """While its output is captured a stream is the same object, with the same answers; afterwards nothing is left."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="replace", line_buffering=True)
    with contextlib.redirect_stdout(stream):
        before = [
            stream.isatty(),
            stream.encoding,
            stream.errors,
            stream.buffer,
            stream.writable(),
            vars(stream).copy(),
        ]
        with loghook.Experiment("x", quiet=True):
            assert sys.stdout is stream
            assert isinstance(sys.stdout, io.TextIOWrapper)
            after = [stream.isatty(), stream.encoding, stream.errors, stream.buffer, stream.writable()]
            stream.reconfigure(line_buffering=False)
            stream.writelines(["a\n", "b\n"])
            assert print("ä") is None
            assert stream.write("123") == 3
        assert [*after, vars(stream)] == before
    stream.flush()
    assert stream.buffer.getvalue() == "a\nb\nä\n123".encode("latin-1")


def test_capture_ends_with_an_exception(home: Path) -> None:
    """After an exception in the monitored code the streams are as before."""
    before = sys.stdout.write
    with contextlib.suppress(ZeroDivisionError), loghook.Experiment("x", quiet=True):
        assert sys.stdout.write != before
        raise ZeroDivisionError
    assert sys.stdout.write == before
    assert threading.Thread.start.__module__ == "threading"


def test_a_wrapper_put_on_meanwhile_stays() -> None:
    """What somebody put around the stream while it was captured is left alone, and works."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        with loghook.Experiment("x", quiet=True):
            ours = stream.write
            stream.write = lambda text: ours(text.upper())  # type: ignore[method-assign]
            print("inside")
        print("outside")
        with loghook.Experiment("y", quiet=True):
            print("again")
    assert stream.getvalue() == "INSIDE\nOUTSIDE\nAGAIN\n"


class Slots:
    """A stream that takes no attributes."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Take a text."""
        self.text += text

    def flush(self) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("kind", ["none", "closed", "slots", "same"])
def test_odd_streams_are_survived(kind: str, home: Path) -> None:
    """No stream, a closed one, one that can't be touched, or one for both: the experiment goes its way."""
    closed = io.StringIO()
    closed.close()
    stream: Any = {"none": None, "closed": closed, "slots": Slots(), "same": io.StringIO()}[kind]
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        exp = stack.enter_context(loghook.Experiment("x", quiet=True))
        exp.param("rate", 0.1)
        exp.metric("loss", 0.5)
        exp.log("hello")
        with contextlib.suppress(ValueError):
            print("a print")
    assert "hello" in [event["message"] for event in events(home, "record")]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_our_own_lines_fit_every_terminal(encoding: str) -> None:
    """On a terminal without the characters our lines come with escapes, and nothing is raised."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(stream), loghook.Experiment("katzen 😀") as exp:
        assert exp.param("größe", "日本") == "日本"
    stream.flush()
    assert b"\\u65e5\\u672c" in stream.buffer.getvalue()


CODE = """\
import io, pdb, sys, time
import loghook
with loghook.Experiment("x", quiet=True):
    {}
"""


@pytest.mark.parametrize(
    "code",
    [
        "print(sys.stdout.isatty(), sys.stdout.fileno(), sys.stdin.isatty(), input('? ') if False else '')",
        "import tqdm; [None for _ in tqdm.tqdm(range(3), bar_format='{n_fmt}')]",
        "import click; click.secho('red', fg='red')",
        "import faulthandler; faulthandler.enable(); print('ok')",
        "print(*sys.stdout.reconfigure.__name__)",
    ],
)
def test_a_terminal_stays_a_terminal(code: str, tmp_path: Path) -> None:
    """On a terminal monitored code shows what it shows without."""
    script = Script(tmp_path, CODE.format(code), install=False)
    plain = [sys.executable, "-c", CODE.format(code).replace('loghook.Experiment("x", quiet=True)', "io.BytesIO()")]
    assert show([sys.executable, str(script.path)]) == show(plain)


def test_pdb_works_in_monitored_code(tmp_path: Path) -> None:
    """A debugger in monitored code reads its commands and prints, as without."""
    code = "import loghook, pdb\nwith loghook.Experiment('x', quiet=True):\n    pdb.set_trace()\n    print('on')"
    script = Script(tmp_path, code, install=False)
    ended = subprocess.run(
        [sys.executable, script.path], input="p 42 + 1\nc\n", capture_output=True, text=True, timeout=60, check=True
    )
    assert "43" in ended.stdout
    assert ended.stdout.endswith("on\n")


FORKS = """\
import glob, loghook, os, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
with loghook.Experiment("x", quiet=True) as exp:
    print("begun, ", end="", flush=True)
    if not os.fork():
        print("from the child", flush=True)
        end = time.monotonic() + 60  # what it printed reaches the log file within moments, not by its end
        (file,) = glob.glob(os.environ["LOGHOOK_HOME"] + "/logs/x/*")
        while "from the child" not in open(file).read() and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0)
    os.wait()
    print("ended")
"""


def test_a_forked_child_prints_into_the_same_run(tmp_path: Path, home: Path) -> None:
    """What a forked child of monitored code prints belongs to the run, and what waited at the fork is there once."""
    ended = Script(tmp_path, FORKS, install=False).run()
    assert ended.out == "begun, from the child\nended\n"
    assert sorted(messages(home, "stdout")) == ["begun, ended", "from the child"]
    assert len(by_writer(home)) == 2
    (file,) = (home / "logs" / "x").iterdir()
    text = file.read_text()
    assert text.count("begun, ended\n") == 1
    assert text.count("from the child\n") == 1
