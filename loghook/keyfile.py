"""Files that hold API keys: JSON settings with a key among them, read with care and written in one step.

A key in a file may be bound: "api_key_url" (a URL or a list) names where its "api_key" may go, and "api_keys" has one
for each URL. No message quotes what a file holds.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ConfigurationError

__all__ = ["NAMES", "Unusable", "key_files", "key_in", "keys_in", "read_key", "same_place", "store", "usable"]

NAMES = ("api_key",)
_SECRET = (*NAMES, "access_token", "token", "password")
LONGEST_KEY = 8192
LARGEST_FILE = 1024 * 1024


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


def keys_in(path: Path) -> list[str]:
    """All keys and tokens in a settings file, whomever they are for; [] where it can't be read."""
    try:
        content = _content(Path(path), path)
    except (ConfigurationError, OSError, RecursionError):
        return []  # whoever needs a key from it will say so
    bound = content.get("api_keys")
    found = [*(bound.values() if isinstance(bound, dict) else ()), *(content.get(name) for name in _SECRET)]
    return [key.strip() for key in found if isinstance(key, str)]


def store(path: Path, **values: object) -> None:
    """Writes values into a JSON file of settings, keeps what else is in it, and makes it readable by its owner only.

    A value of None takes its name out. The file is replaced in one step, so that a reader or a crash sees the
    old or the new content; where `path` is a symbolic link its target is replaced. Of two processes that store
    at the same moment the later wins. Raises ConfigurationError when the file holds something that is no JSON
    object, OSError when it cannot be written.
    """
    import tempfile  # which nobody needs who only reads

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
