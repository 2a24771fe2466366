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
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .keyfile import (
    NAMES,
    Unusable,
    key_files,
    key_in,
    read_key,
    same_place,
    store,
    usable,
)

__all__ = ["KeySource", "Unusable", "key_files", "key_in", "same_place", "store", "usable"]

VARIABLES = ("LOGHOOK_API_KEY", "HYPERDASH_API_KEY")
GETTER = "api_key_getter"
SHOWN = 4
LONG_ENOUGH_TO_SHOW = 16


class KeySource:
    """An API key that may change while the run goes on. One for each destination, used on its listener's thread.

    getter     function without arguments that returns the key, or None to let the next source answer
    environ    variables; None means the process's own, as they are at each look
    files      JSON files to look into, in order (see `key_files`)
    clock      seconds, monotonic
    warn       takes one sentence; each different one is told once
    found      takes each key that is found, for whoever keeps them out of sight
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
        found: Callable[[str], None] = lambda key: None,
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
        self._found = found
        self._url = url
        self._only_bound = only_bound
        self._share = share
        self._max_age = max_age
        self._warned: set[str] = set()
        self._key: str | None = None
        self._source = ""
        self._next_look: float | None = None
        self._is_hurried = False

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

    def hurry(self) -> None:
        """Has a missing key looked for at once, the first time that this is called: the process wants to end."""
        if not self._is_hurried and self._key is None:
            self._next_look = None
        self._is_hurried = True

    def tell(self, text: str) -> None:
        """Says one sentence about where a key was looked for elsewhere; each different one once."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def met(self, key: str) -> None:
        """Takes note of a key that was got elsewhere: it is kept out of sight like those that are found here."""
        self._found(key)

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
        places = [place for place in self._places if isinstance(place, Path) or not self._only_bound]
        shown = ", ".join((*named, *(str(place) for place in places)))
        return f"{shown} (the environment's key goes to LOGHOOK_URL alone)" if self._only_bound else shown

    def __repr__(self) -> str:
        return f"<KeySource: {self.origin or 'no key'}>"

    def _look(self) -> None:
        found = self._find()
        if found is not None:
            self._key, self._source = found
            self._found(found[0])
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
                value = "" if self._only_bound else self._environ.get(place, "")
                key = self._checked(place, functools.partial(self._shared, value)) if value else None
            if key is not None:
                return key, str(place)
        return None

    def _shared(self, value: str) -> str:
        """This destination's key in a variable that holds one for each of several, or one for all. Raises Unusable."""
        number, of = self._share
        keys = [key for key in value.split(",") if key.strip()] or [""]
        if len(keys) not in (1, of):
            urls = "1 URL" if of == 1 else f"{of} URLs"
            raise Unusable(f"{len(keys)} keys for {urls}: give one for each, in the same order, or one for all")
        return usable(keys[number] if len(keys) > 1 else keys[0])

    def _checked(self, source: str, read: Callable[[], str | None]) -> str | None:
        try:
            return read()
        except Unusable as problem:
            self._tell(f"{source}: {problem}")
            return None

    def _tell(self, text: str) -> None:
        self.tell(f"no API key from {text}")


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
