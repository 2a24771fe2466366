"""Where the API key comes from, and how it is read again while a run goes on.

The sources, in order; the first that has a key wins:

    a function of the user's          api_key_getter
    environment variables             LOGHOOK_API_KEY, HYPERDASH_API_KEY
    files, JSON with an "api_key"     loghook.json, hyperdash.json beside the main script; loghook.json at home

A key belongs to a destination. A file may say so: "api_key_url" (a URL or a list) names where its "api_key" may go, and
"api_keys" has one for each URL; what `loghook serve` and `loghook login` store is bound in this way. LOGHOOK_API_KEY
goes where the user sends events; for several URLs it may hold as many keys, separated by commas, in the same order.

A key is looked up again once it is older than 300 s, and at once when a platform refuses it. While nothing
is found the last key that was found stays (a rotation may have removed the old one a moment ago); a missing
key is looked for every 5 s. Only a listener's thread does any of this, never a thread that logs.

The user's function may block for ever, so it runs on a daemon thread, one at a time. It is waited for a
bounded time (5 s); after that the last key serves and the answer is picked up at a later look. No thread is
started while the interpreter shuts down. What it raises is put into one warning and the next source is asked.

No lock is held anywhere here, so a fork at any moment leaves nothing locked in the child. A key shows up in
no message and no repr, but for the last four characters of a long one, which tell two keys apart.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ConfigurationError

__all__ = ["KeySource", "key_files", "key_in", "same_place", "store"]

VARIABLES = ("LOGHOOK_API_KEY", "HYPERDASH_API_KEY")
NAMES = ("api_key",)
GETTER = "api_key_getter"
LONGEST_KEY = 8192
LARGEST_FILE = 1024 * 1024
SHOWN = 4
LONG_ENOUGH_TO_SHOW = 16


class Unusable(Exception):
    """A source holds something, but no key; the message says what is wrong with it and never quotes it."""


def key_files(script: Path | None, home: Path) -> tuple[Path, ...]:
    """The files to look into, in order: beside the main script (None: there is none), then in the home folder."""
    beside = (script.parent / "loghook.json", script.parent / "hyperdash.json") if script is not None else ()
    return (*beside, home / "loghook.json")


def same_place(one: str, other: str) -> bool:
    """Whether two URLs lead to the same server: scheme, host and port; the names of this machine itself are equal."""
    return _origin(one) == _origin(other)


def key_in(data: bytes, names: Sequence[str] = NAMES, url: str = "", *, only_bound: bool = False) -> str | None:
    """The API key in the content of a settings file, under the first of `names`; None when it has other settings only.

    With a `url` it is the key for that destination: a key that is bound to others is left alone, and so is, with
    `only_bound`, one that is bound to none. JSON in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
    Raises Unusable.
    """
    if not data.strip():
        raise Unusable("it is empty")
    try:
        content = json.loads(data.decode(json.detect_encoding(data)))
    except json.JSONDecodeError as error:
        raise Unusable(f"it is not valid JSON (line {error.lineno}, column {error.colno})") from None
    except (UnicodeDecodeError, RecursionError):
        raise Unusable("it is not valid JSON") from None
    if not isinstance(content, dict):
        raise Unusable("it is not a JSON object")
    value = _bound_key(content, url) if url else None
    if value is None:
        value = next((content[name] for name in names if content.get(name) is not None), None)
        if value is not None and url:
            _check_bound(content.get("api_key_url"), url, only_bound)
    return None if value is None else usable(value)


def _bound_key(content: dict[str, object], url: str) -> object:
    """The key that "api_keys" has for a destination, None if it has none."""
    keys = content.get("api_keys")
    if not isinstance(keys, dict):
        return None
    return next((key for place, key in keys.items() if same_place(place, url)), None)


def _check_bound(places: object, url: str, only_bound: bool) -> None:
    """Raise Unusable where a key must not be sent to `url`."""
    bound = [str(place) for place in (places if isinstance(places, list) else [places]) if place]
    if not (any(same_place(place, url) for place in bound) if bound else not only_bound):
        where = f"for {', '.join(bound)}" if bound else "bound to no URL"
        raise Unusable(f"its key is {where}, not for {url}; set LOGHOOK_URL and LOGHOOK_API_KEY, or log in there")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url.strip().rpartition("+")[2] if "+" in url.partition("://")[0] else url.strip())
    host = (parts.hostname or "").lower()
    if host in ("localhost", "::1") or host.startswith("127."):
        host = "localhost"
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.scheme.lower(), host, port or {"http": 80, "https": 443}.get(parts.scheme.lower())


def usable(value: object) -> str:
    """A key fit for a header, without the white space around it. Raises Unusable."""
    if not isinstance(value, str):
        raise Unusable(f"the key is not a string but {type(value).__name__}")
    key = value.strip("\ufeff \t\r\n")
    if not key:
        raise Unusable("the key is empty")
    if len(key) > LONGEST_KEY:
        raise Unusable(f"the key is longer than {LONGEST_KEY} characters")
    if not all("!" <= character <= "~" for character in key):
        raise Unusable("the key has spaces or characters that are not ASCII")
    return key


def read_key(path: Path, names: Sequence[str] = NAMES, url: str = "", *, only_bound: bool = False) -> str | None:
    """The key in a file (for `url`, see `key_in`); None when there is no file or no key in it. Raises Unusable."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unusable("it is not a plain file")
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise Unusable(f"it cannot be read: {error.strerror or type(error).__name__}") from None
    if len(data) > LARGEST_FILE:
        raise Unusable(f"it is larger than {LARGEST_FILE} bytes")
    return key_in(data, names, url, only_bound=only_bound)


def store(path: Path, **values: object) -> None:
    """Writes values into a JSON file of settings, keeps what else is in it, and makes it readable by its owner only.

    A value of None takes its name out. The file is replaced in one step, so that a reader or a crash sees the
    old or the new content; where `path` is a symbolic link its target is replaced. Of two processes that store
    at the same moment the later wins. Raises ConfigurationError when the file holds something that is no JSON
    object, OSError when it cannot be written.
    """
    target = Path(os.path.realpath(path))
    content = _content(target, path)
    content.update(values)
    content = {name: value for name, value in content.items() if value is not None}
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # made with mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


class KeySource:
    """An API key that may change while the run goes on. One for each destination, used on its listener's thread.

    getter     function without arguments that returns the key, or None to let the next source answer
    environ    variables; None means the process's own, as they are at each look
    files      JSON files to look into, in order (see `key_files`)
    clock      seconds, monotonic
    warn       takes one sentence; each different one is told once
    url        the destination that the key is for; "" asks for any key
    only_bound takes only a key that is bound to that URL: for destinations that somebody else once chose
    share      (number, of how many): which of several keys in a variable is this destination's
    max_age    seconds after which a key is looked up again
    patience   seconds to wait for the getter
    """

    retry_missing = 5.0

    def __init__(
        self,
        getter: Callable[[], str | None] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        files: Sequence[Path] = (),
        clock: Callable[[], float] = time.monotonic,
        warn: Callable[[str], None] = lambda text: None,
        url: str = "",
        only_bound: bool = False,
        share: tuple[int, int] = (0, 1),
        max_age: float = 300.0,
        patience: float = 5.0,
    ) -> None:
        self._getter = None if getter is None else _Getter(getter, patience)
        self._environ = os.environ if environ is None else environ
        self._places: tuple[str | Path, ...] = (*VARIABLES, *files)
        self._names: tuple[str, ...] = NAMES
        self._clock = clock
        self._warn = warn
        self._url = url
        self._only_bound = only_bound
        self._share = share
        self._max_age = max_age
        self._warned: set[str] = set()
        self._key: str | None = None
        self._source = ""
        self._next_look: float | None = None

    def preferring(self, variables: Sequence[str], files: Sequence[Path], names: Sequence[str]) -> KeySource:
        """A source for a platform that has places of its own for keys.

        After the getter it looks into those variables, then those JSON files (under `names`), then LOGHOOK_API_KEY, and
        into no other place: what lies there is another platform's.
        """
        other = copy.copy(self)
        other._places = (*variables, *files, VARIABLES[0])
        other._names = tuple(names)
        other._warned = set()
        other._key, other._source, other._next_look = None, "", None
        return other

    def get(self) -> str | None:
        """The key to use now, or None when no source has one. Raises nothing; may block for `patience` seconds."""
        if self._next_look is None or self._clock() >= self._next_look:
            self._look()
        return self._key

    def refused(self) -> bool:
        """Looks the key up again at once, because a platform refused it. True when there is another key to try."""
        before = self._key
        self._look()
        return self._key is not None and self._key != before

    @property
    def origin(self) -> str:
        """Where the key in use was found, for messages: `LOGHOOK_API_KEY (…9f3c)`; "" while there is none."""
        if self._key is None:
            return ""
        tail = f" (…{self._key[-SHOWN:]})" if len(self._key) >= LONG_ENOUGH_TO_SHOW else ""
        return self._source + tail

    @property
    def places(self) -> str:
        """All places that are looked into, in order, for the message that none has a key."""
        named = (GETTER,) if self._getter is not None else ()
        return ", ".join((*named, *(str(place) for place in self._places)))

    def __repr__(self) -> str:
        return f"<KeySource: {self.origin or 'no key'}>"

    def _look(self) -> None:
        found = self._find()
        if found is not None:
            self._key, self._source = found
        age = self._max_age if found is not None else min(self.retry_missing, self._max_age)
        self._next_look = self._clock() + age

    def _find(self) -> tuple[str, str] | None:
        """The first key of all sources and where it was found; None keeps what there is."""
        if self._getter is not None:
            try:
                key = self._getter.ask()
                if key is not None:
                    return key, GETTER
            except Unusable as problem:
                self._tell(f"{GETTER}: {problem}")
                if self._source == GETTER:
                    return None
        for place in self._places:
            if isinstance(place, Path):
                look = functools.partial(read_key, place, self._names, self._url, only_bound=self._only_bound)
                key = self._checked(str(place), look)
            else:
                value = "" if self._only_bound else self._shared(self._environ.get(place, ""))
                key = self._checked(place, functools.partial(usable, value)) if value else None
            if key is not None:
                return key, str(place)
        return None

    def _shared(self, value: str) -> str:
        """This destination's part of a variable that holds a key for each of several destinations, or all of it."""
        number, of = self._share
        keys = value.split(",")
        return keys[number].strip() if of > 1 and len(keys) == of else value

    def _checked(self, source: str, read: Callable[[], str | None]) -> str | None:
        try:
            return read()
        except Unusable as problem:
            self._tell(f"{source}: {problem}")
            return None

    def _tell(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(f"no API key from {text}")


class _Getter:
    """The user's function, called on a thread of its own and waited for a bounded time."""

    def __init__(self, function: Callable[[], str | None], patience: float) -> None:
        self._function = function
        self._patience = patience
        self._call: _Call | None = None

    def __repr__(self) -> str:
        return "<the user's key getter>"

    def ask(self) -> str | None:
        """What the function answers, or answers late to the call before. Raises Unusable."""
        call = self._call
        if call is None or not (call.done.is_set() or call.thread.is_alive()):
            call = self._begin()  # there is none, or a fork left it behind in the parent
            call.done.wait(self._patience)
        if not call.done.is_set():
            raise Unusable(f"it gave no answer within {self._patience:g} s")
        self._call = None
        if call.problem is not None:
            raise Unusable(call.problem)
        return None if call.answer is None else usable(call.answer)

    def _begin(self) -> _Call:
        if sys.is_finalizing() or not threading.main_thread().is_alive():
            raise Unusable("it is not asked while the interpreter shuts down")
        call = _Call(self._function)
        try:
            call.thread.start()
        except RuntimeError as error:
            raise Unusable(f"no thread could be started for it: {error}") from None
        self._call = call
        return call


class _Call:
    """One call of the user's function."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.answer: object = None
        self.problem: str | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(function,), name="loghook-key", daemon=True)

    def _run(self, function: Callable[[], object]) -> None:
        try:
            self.answer = function()
        except BaseException as error:  # whatever it is, it must not end in a traceback on the user's terminal
            self.problem = f"it raised {type(error).__name__}"  # the text could hold the key
        finally:
            self.done.set()


def _without_waiting(path: str, flags: int) -> int:
    """Opens like `os.open`, but does not wait for someone to write into a pipe of that name."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _content(target: Path, path: Path) -> dict[str, object]:
    """The JSON object in a file; an empty one when there is no file or nothing in it."""
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        return {}
    if not data.strip():
        return {}
    try:
        content = json.loads(data.decode(json.detect_encoding(data)))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} is not a JSON object: correct it or take it away, then try again")
    return content
