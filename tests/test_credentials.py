"""Where the key comes from, how it is found again, and that it is never told."""

from __future__ import annotations

import codecs
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loghook.credentials import KeySource, Unusable, key_files, key_in, store
from loghook.errors import ConfigurationError
from loghook.testing import Clock


def write(path: Path, key: str | None = None, **more: object) -> Path:
    """Writes a settings file with a key."""
    content = more if key is None else {"api_key": key, **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def places(folder: Path) -> tuple[Path, ...]:
    """The files beside a script and at home, in a folder of the test."""
    return key_files(folder / "script" / "train.py", folder / "home")


def test_files_are_looked_into_beside_the_script_then_at_home(tmp_path: Path) -> None:
    """Without a script (an interactive session) there is the home folder alone."""
    script, home = tmp_path / "a" / "train.py", tmp_path / "home"
    beside = tmp_path / "a"
    assert key_files(script, home) == (beside / "loghook.json", beside / "hyperdash.json", home / "loghook.json")
    assert key_files(None, home) == (home / "loghook.json",)


def test_the_first_source_with_a_key_wins(tmp_path: Path) -> None:
    """Getter, LOGHOOK_API_KEY, HYPERDASH_API_KEY, then the files in order; taking one away uncovers the next."""
    environ = {"LOGHOOK_API_KEY": "of-loghook", "HYPERDASH_API_KEY": "of-hyperdash"}
    first, second, third = places(tmp_path)
    for path in (first, second, third):
        write(path, f"of-{path.parent.name}-{path.stem}")
    answers: list[str | None] = ["of-getter", None]
    found = []

    def look() -> None:
        source = KeySource(lambda: answers[0], environ=environ, files=places(tmp_path))
        found.append((source.get(), source.origin))

    look()
    answers[0] = None
    look()
    del environ["LOGHOOK_API_KEY"]
    look()
    del environ["HYPERDASH_API_KEY"]
    for path in (first, second, third):
        look()
        path.unlink()
    look()
    assert found == [
        ("of-getter", "api_key_getter"),
        ("of-loghook", "LOGHOOK_API_KEY"),
        ("of-hyperdash", "HYPERDASH_API_KEY"),
        ("of-script-loghook", f"{first} (…hook)"),
        ("of-script-hyperdash", f"{second} (…dash)"),
        ("of-home-loghook", str(third)),
        (None, ""),
    ]


def test_without_an_environment_the_process_own_is_read() -> None:
    """By default variables are read at each look, as they are then."""
    clock = Clock()
    source = KeySource(clock=clock)
    os.environ["LOGHOOK_API_KEY"] = "one"
    assert source.get() == "one"
    os.environ["LOGHOOK_API_KEY"] = "two"
    clock.advance(300)
    assert source.get() == "two"


@pytest.mark.parametrize(
    "content",
    [
        b'{"api_key": "KEY"}',
        b'{"api_key": "KEY"}\n\n',
        b'{"api_key": " KEY\\n"}\r\n',
        codecs.BOM_UTF8 + b'{"api_key": "KEY"}',
        '{"api_key": "KEY"}'.encode("utf-16"),
        '{"api_key": "KEY", "other": "ü"}'.encode("utf-32"),
        b'{"api_key": "\\ufeffKEY"}',
    ],
)
def test_a_file_may_have_a_mark_and_white_space(content: bytes) -> None:
    """A byte order mark, line ends and spaces around the key are passed over."""
    assert key_in(content) == "KEY"


@pytest.mark.parametrize("content", [b"{}", b'{"url": "http://x"}', b'{"api_key": null}'])
def test_a_file_of_other_settings_has_no_key(content: bytes) -> None:
    """A file without a key is no mistake."""
    assert key_in(content) is None


BAD_FILES = {
    b"": "it is empty",
    b" \n": "it is empty",
    b"KEY-IN-PLAIN-TEXT": "it is not valid JSON (line 1, column 1)",
    b'{"api_key": "KEY",}': "it is not valid JSON",
    b"\xff\xfe\xff": "it is not valid JSON",
    b"\x80\x81": "it is not valid JSON",
    b"[" * 100_000: "it is not valid JSON",
    b'["KEY"]': "it is not a JSON object",
    b'"KEY"': "it is not a JSON object",
    b'{"api_key": 7}': "the key is not a string but int",
    b'{"api_key": ""}': "the key is empty",
    b'{"api_key": " "}': "the key is empty",
    b'{"api_key": "KEY WITH SPACES"}': "the key has spaces",
    b'{"api_key": "KEY\\nX: y"}': "the key has spaces",
    '{"api_key": "KEYü"}'.encode(): "the key has spaces or characters that are not ASCII",
    b'{"api_key": "' + b"K" * 9000 + b'"}': "the key is longer than 8192 characters",
}


@pytest.mark.parametrize(("content", "words"), BAD_FILES.items(), ids=lambda value: str(value)[:30])
def test_a_bad_file_is_warned_of_once_and_passed_over(tmp_path: Path, content: bytes, words: str) -> None:
    """The warning names the file and what is wrong, never what is in it; the next source serves."""
    bad = tmp_path / "bad.json"
    bad.write_bytes(content)
    good = write(tmp_path / "good.json", "good")
    warnings: list[str] = []
    clock = Clock()
    source = KeySource(environ={}, files=(bad, good), clock=clock, warn=warnings.append)
    for _ in range(3):
        assert source.get() == "good"
        clock.advance(300)
    [warning] = warnings
    assert f"{bad}: {words}" in warning
    assert "KEY" not in warning


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Gives up the superuser's right to read everything, for a moment."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_warned_of(tmp_path: Path) -> None:
    """Permission denied is a warning with the path, and the next source serves."""
    closed = write(tmp_path / "closed.json", "closed")
    closed.chmod(0)
    warnings: list[str] = []
    source = KeySource(environ={}, files=(closed,), warn=warnings.append)
    with as_somebody_else():
        assert source.get() is None
    assert warnings == [f"no API key from {closed}: it cannot be read: Permission denied"]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, and a huge file are passed over with a warning."""
    folder, pipe, huge = tmp_path / "folder", tmp_path / "pipe", tmp_path / "huge"
    folder.mkdir()
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(2**33)
    warnings: list[str] = []
    source = KeySource(environ={}, files=(folder, pipe, huge), warn=warnings.append)
    assert source.get() is None
    assert [warning.partition(": ")[2] for warning in warnings] == [
        "it cannot be read: Is a directory",
        "it is not a plain file",
        "it is larger than 1048576 bytes",
    ]


def test_a_missing_file_is_no_mistake(tmp_path: Path) -> None:
    """Files that are not there, or whose folder is none, are passed over in silence."""
    write(tmp_path / "file")
    warnings: list[str] = []
    files = (tmp_path / "none.json", tmp_path / "no" / "folder.json", tmp_path / "file" / "x.json")
    assert KeySource(environ={}, files=files, warn=warnings.append).get() is None
    assert not warnings


def test_a_bad_variable_is_warned_of_and_passed_over() -> None:
    """A variable that cannot be a key is named, its value is not told."""
    warnings: list[str] = []
    environ = {"LOGHOOK_API_KEY": "two words", "HYPERDASH_API_KEY": "good"}
    assert KeySource(environ=environ, warn=warnings.append).get() == "good"
    assert warnings == ["no API key from LOGHOOK_API_KEY: the key has spaces or characters that are not ASCII"]


def test_a_key_is_kept_for_300_seconds() -> None:
    """Until then no source is asked; then a new key is found."""
    clock, environ = Clock(), {"LOGHOOK_API_KEY": "old"}
    source = KeySource(environ=environ, clock=clock)
    assert source.get() == "old"
    environ["LOGHOOK_API_KEY"] = "new"
    clock.advance(299.9)
    assert source.get() == "old"
    clock.advance(0.1)
    assert source.get() == "new"


def test_a_missing_key_is_looked_for_every_5_seconds() -> None:
    """A key that comes is used soon."""
    clock, environ = Clock(), {"X": "y"}
    source = KeySource(environ=environ, clock=clock)
    assert source.get() is None
    environ["LOGHOOK_API_KEY"] = "there"
    clock.advance(4.9)
    assert source.get() is None
    clock.advance(0.1)
    assert source.get() == "there"


def test_a_missing_key_is_looked_for_once_more_in_a_hurry() -> None:
    """Who is about to end looks for a missing key at once, however lately that was done, and only once."""
    environ: dict[str, str] = {}
    source = KeySource(environ=environ, clock=Clock())
    assert source.get() is None
    environ["LOGHOOK_API_KEY"] = "a"
    assert source.get() is None
    source.hurry()
    assert source.get() == "a"
    other = KeySource(environ={}, clock=Clock(), getter=lambda: asked.append(1))
    asked: list[int] = []
    for _ in range(3):
        other.hurry()
        other.get()
    assert len(asked) == 1


def replaced(path: Path, key: str) -> None:
    """Writes a new file and moves it over the old one."""
    write(path.with_suffix(".new"), key).replace(path)


@pytest.mark.parametrize("change", [write, replaced])
def test_a_refused_key_is_looked_up_at_once(tmp_path: Path, change: Callable[[Path, str], object]) -> None:
    """After a refusal a file changed in place or by renaming is read again, whatever the key's age."""
    path = write(tmp_path / "loghook.json", "old")
    source = KeySource(environ={}, files=(path,), clock=Clock())
    assert source.get() == "old"
    assert source.refused() is False
    change(path, "new")
    assert source.get() == "old"
    assert source.refused() is True
    assert source.get() == "new"


def test_the_last_key_stays_while_no_source_has_one(tmp_path: Path) -> None:
    """In the moment between the old file and the new one the old key serves."""
    path = write(tmp_path / "loghook.json", "old")
    clock = Clock()
    source = KeySource(environ={}, files=(path,), clock=clock)
    assert source.get() == "old"
    path.unlink()
    clock.advance(300)
    assert source.get() == "old"
    assert source.refused() is False
    write(path, "new")
    clock.advance(5)
    assert source.get() == "new"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "the key is empty"),
        (7, "the key is not a string but int"),
        (b"KEY", "the key is not a string but bytes"),
        ("KEY KEY", "the key has spaces"),
        (ValueError("KEY is wrong"), "it raised ValueError"),
        (SystemExit(3), "it raised SystemExit"),
        (KeyboardInterrupt(), "it raised KeyboardInterrupt"),
    ],
    ids=repr,
)
def test_a_getter_that_fails_is_survived(answer: object, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it raises or returns wrongly becomes one warning without the key, and the next source serves."""

    def getter() -> str:
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[return-value]

    warnings: list[str] = []
    clock = Clock()
    source = KeySource(getter, environ={"LOGHOOK_API_KEY": "good"}, clock=clock, warn=warnings.append)
    for _ in range(3):
        assert source.get() == "good"
        clock.advance(300)
    [warning] = warnings
    assert warning.startswith(f"no API key from api_key_getter: {words}")
    assert "KEY" not in warning
    assert capsys.readouterr().err == ""


def test_a_getter_that_fails_later_leaves_its_last_key_in_use() -> None:
    """A good key from the getter is not replaced by a lower source while the getter is broken."""
    answers = iter(["first", None, "second"])

    def getter() -> str:
        answer = next(answers)
        if answer is None:
            raise OSError("no network")
        return answer

    clock = Clock()
    source = KeySource(getter, environ={"LOGHOOK_API_KEY": "lower"}, clock=clock)
    found = [source.get()]
    clock.advance(300)
    found.append(source.get())
    clock.advance(5)
    found.append(source.get())
    assert found == ["first", "first", "second"]


def test_a_getter_that_blocks_is_waited_for_once_and_answers_late() -> None:
    """A look takes no longer than the patience, no second call is begun meanwhile, and the late answer is used."""
    gate, calls = threading.Event(), []

    def getter() -> str:
        calls.append(threading.current_thread())
        gate.wait(60)
        return "late"

    clock, warnings = Clock(), list[str]()
    source = KeySource(getter, environ={}, clock=clock, warn=warnings.append, patience=0.05)
    for _ in range(5):
        began = time.monotonic()
        assert source.get() is None
        assert time.monotonic() - began < 20
        clock.advance(5)
    assert len(calls) == 1
    assert calls[0].daemon
    assert calls[0] is not threading.current_thread()
    assert warnings == ["no API key from api_key_getter: it gave no answer within 0.05 s"]
    gate.set()
    calls[0].join(10)
    assert source.get() == "late"


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


def test_no_thread_is_started_at_shutdown() -> None:
    """While the interpreter shuts down the getter is not asked, and the last key serves."""
    done = run(
        "import atexit, threading\n"
        "from loghook.credentials import KeySource\n"
        "source = KeySource(lambda: threading.current_thread().name, environ={}, max_age=0)\n"
        "assert source.get() == 'loghook-key'\n"
        "fresh = KeySource(lambda: 'x', environ={}, warn=print)\n"
        "atexit.register(lambda: print(source.get(), fresh.get()))\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "no API key from api_key_getter: it is not asked while the interpreter shuts down",
        "loghook-key None",
    ]


def test_a_getter_that_blocks_does_not_hold_up_the_exit() -> None:
    """A process whose getter never returns ends all the same."""
    done = run(
        "import time\n"
        "from loghook.credentials import KeySource\n"
        "print(KeySource(lambda: time.sleep(1000), environ={}, patience=0.05).get())\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


def test_a_fork_asks_a_blocked_getter_anew() -> None:
    """A call that was under way in the parent is not waited for in the child."""
    done = run(
        "import os, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from loghook.credentials import KeySource\n"
        "parent = os.getpid()\n"
        "gate = threading.Event()\n"
        "def getter():\n"
        "    if os.getpid() == parent:\n"
        "        gate.wait(30)\n"
        "    return 'from-the-child'\n"
        "source = KeySource(getter, environ={}, max_age=0, patience=0.05)\n"
        "assert source.get() is None\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    print(source.get(), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "gate.set()\n"
    )
    assert (done.stdout, done.stderr) == ("from-the-child\n", "")


def test_a_key_is_in_no_repr_and_no_origin() -> None:
    """Of a long key the last four characters are shown, of a short one nothing."""
    source = KeySource(lambda: "0123456789abcdef", environ={})
    assert repr(source) == "<KeySource: no key>"
    source.get()
    assert repr(source) == "<KeySource: api_key_getter (…cdef)>"
    assert source.origin == "api_key_getter (…cdef)"
    short = KeySource(environ={"LOGHOOK_API_KEY": "short-key"})
    short.get()
    assert short.origin == "LOGHOOK_API_KEY"


def test_all_places_can_be_named(tmp_path: Path) -> None:
    """A message that there is no key says where one could be put, a getter only where there is one."""
    source = KeySource(environ={}, files=(tmp_path / "loghook.json",))
    assert source.places == f"LOGHOOK_API_KEY, HYPERDASH_API_KEY, {tmp_path / 'loghook.json'}"
    assert KeySource(lambda: None, environ={}).places.startswith("api_key_getter, LOGHOOK_API_KEY")


def test_a_stored_key_is_found_and_is_the_owners_alone(tmp_path: Path) -> None:
    """The file and its folder are made, readable by nobody else."""
    path = tmp_path / "new" / "home" / "loghook.json"
    store(path, api_key="KEY")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert KeySource(environ={}, files=(path,)).get() == "KEY"


def test_storing_keeps_what_else_is_there(tmp_path: Path) -> None:
    """Other names stay, None takes one out, a wide mode becomes narrow, and nothing else is left in the folder."""
    path = tmp_path / "loghook.json"
    path.write_text('\ufeff{"url": "http://x", "api_key": "old", "name": "größe"}', encoding="utf-8")
    path.chmod(0o644)
    store(path, api_key="new", name=None)
    assert json.loads(path.read_text(encoding="utf-8")) == {"url": "http://x", "api_key": "new"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["loghook.json"]


def test_storing_into_an_empty_file_works(tmp_path: Path) -> None:
    """A file of no bytes, as a crash may leave it, is filled."""
    path = tmp_path / "loghook.json"
    path.touch()
    store(path, api_key="KEY")
    assert json.loads(path.read_text()) == {"api_key": "KEY"}


@pytest.mark.parametrize("content", [b"not JSON", b"[1]", b"\xff\xfe\xff"])
def test_storing_over_what_is_no_settings_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that loghook does not understand is named and left as it is."""
    path = tmp_path / "loghook.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"loghook\.json is not a JSON object"):
        store(path, api_key="KEY")
    assert path.read_bytes() == content


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """When writing fails half-way the old content is there and no half file lies about."""
    path = write(tmp_path / "loghook.json", "old")
    with pytest.raises(TypeError):
        store(path, api_key="new", other=object())
    assert json.loads(path.read_text()) == {"api_key": "old"}
    assert os.listdir(tmp_path) == ["loghook.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Where the file is a symbolic link, what it leads to is replaced."""
    target = write(tmp_path / "real" / "settings.json", "old")
    link = tmp_path / "loghook.json"
    link.symlink_to(target)
    store(link, api_key="new")
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"api_key": "new"}


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Whoever reads while keys are stored sees one of them, whole."""
    path = tmp_path / "loghook.json"
    store(path, api_key="0" * 1000)
    done = threading.Event()

    def rotate() -> None:
        for number in range(1, 60):
            store(path, api_key=str(number % 10) * 1000)
        done.set()

    thread = threading.Thread(target=rotate)
    thread.start()
    seen = set()
    while not done.is_set():
        try:
            seen.add(key_in(path.read_bytes()))
        except Unusable as problem:
            seen.add(str(problem))
    thread.join(10)
    assert seen <= {str(digit) * 1000 for digit in range(10)}


@pytest.mark.parametrize(
    ("content", "url", "key"),
    [
        ({"api_key": "k"}, "http://a.example", "k"),
        ({"api_key": "k", "api_key_url": "http://127.0.0.1:7707"}, "http://localhost:7707/", "k"),
        ({"api_key": "k", "api_key_url": ["http://b", "https://a.example"]}, "https://a.example:443/path", "k"),
        ({"api_key": "k", "api_key_url": "http://a.example"}, "hyperdash+http://a.example:80", "k"),
        ({"api_key": "k", "api_key_url": "http://127.0.0.1:7707"}, "http://127.0.0.1:7820", None),
        ({"api_key": "k", "api_key_url": "https://a.example"}, "http://a.example", None),
        ({"api_key": "k", "api_key_url": "https://a.example"}, "https://a.example.evil.example", None),
        ({"api_key": "k", "api_key_url": []}, "http://a.example", "k"),
        ({"api_key": "k", "api_keys": {"http://a.example": "other"}}, "http://a.example", "other"),
        ({"api_keys": {"http://a.example": "other"}}, "http://b.example", None),
    ],
)
def test_a_key_goes_only_to_the_destination_that_it_is_bound_to(
    tmp_path: Path, content: dict[str, object], url: str, key: str | None
) -> None:
    """A file's key is withheld from every URL but those that stand beside it."""
    path = tmp_path / "loghook.json"
    store(path, **content)
    assert KeySource(environ={}, files=[path], url=url).get() == key


def test_a_destination_that_somebody_else_chose_gets_bound_keys_only(tmp_path: Path) -> None:
    """With only_bound neither the environment's key nor an unbound one is used, and it is said why."""
    path = tmp_path / "loghook.json"
    store(path, api_key="unbound")
    told: list[str] = []
    environ = {"LOGHOOK_API_KEY": "mine"}
    source = KeySource(environ=environ, files=[path], url="http://a.example", only_bound=True, warn=told.append)
    assert source.get() is None
    assert "http://a.example" in told[0]
    store(path, api_key_url="http://a.example")
    assert KeySource(environ=environ, files=[path], url="http://a.example", only_bound=True).get() == "unbound"


def test_a_variable_holds_a_key_for_each_of_several_urls() -> None:
    """LOGHOOK_API_KEY with as many keys as there are URLs gives each its own; a single key goes to all."""
    for several in ("one, two", "one,two,"):
        environ = {"LOGHOOK_API_KEY": several}
        assert [KeySource(environ=environ, share=(n, 2)).get() for n in (0, 1)] == ["one", "two"]
    assert [KeySource(environ={"LOGHOOK_API_KEY": "one"}, share=(n, 2)).get() for n in (0, 1)] == ["one", "one"]


@pytest.mark.parametrize(("keys", "of"), [("one,two", 3), ("one,two,three", 2), ("one,two", 1)])
def test_no_server_gets_keys_that_do_not_fit_the_urls(keys: str, of: int) -> None:
    """With another number of keys than of URLs nobody knows whose each is: none is used, and a line says so."""
    told: list[str] = []
    sources = [KeySource(environ={"LOGHOOK_API_KEY": keys}, share=(n, of), warn=told.append) for n in range(of)]
    assert [source.get() for source in sources] == [None] * of
    assert f"LOGHOOK_API_KEY: {len(keys.split(','))} keys for {of} URL" in told[0]
