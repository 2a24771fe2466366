"""Which values of an environment are secrets, and how one value looks in texts of different kinds."""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

__all__ = ["forms", "hints_of", "is_secret", "secrets_of"]

SHORTEST, LONGEST = 8, 16 * 1024
"""Characters of a value that is replaced wherever it stands; a shorter one would be found where it means nothing."""

_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|ACCESS_KEY|ACCESS_KEY_ID)(?:_\d+)?$"
    r"|(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE)$"
    r"|(?:^|_)(?:KEY|SECRET_KEY_BASE|AUTH)(?:_\d+)?$"
    r"|_(?:PWD|PASS|PAT|DSN|WEBHOOK|COOKIE)$",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"://[^\s/@:]{0,255}:([^\s/]{1,512})@")
_WORD = re.compile(r"[a-z]+|[A-Z]+|[A-Z][a-z]+|[\d.:-]+")
_SAME = re.compile(r"[A-Za-z0-9_.~-]+")
"""What looks the same in plain text, in a repr, in JSON and in a URL."""
_LONG_ENOUGH = 8
_DEPTH = 2
_WAYS: tuple[Callable[[str], str], ...] = (
    quote,
    functools.partial(quote, safe=""),
    lambda text: repr(text)[1:-1],
    lambda text: ascii(text)[1:-1],
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
)

_KEY = re.compile(r"[\w.~+/-]{16,}={0,2}")


def secrets_of(environ: Mapping[str, str], names: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield (value, name of its variable) for all secrets in `environ`.

    Those are the values of variables whose names say so or match one of `names` (`*` stands for any characters), and
    the passwords in URLs.
    """
    for name, value in environ.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in names):
            if value.strip():
                yield value.strip(), name
        elif _NAME.search(name):
            yield from ((part, name) for part in _parts(value.strip()) if is_secret(part))
        if "@" in value:
            found = _PASSWORD.search(value)
            if found and is_secret(found[1]):
                yield found[1], name


def _parts(value: str) -> Iterator[str]:
    """Yield a value, and each of several keys in it, or each line of a private key, which is printed line by line."""
    yield value
    if "\n" in value or "," in value:
        yield from (part for part in re.split(r"[\s,]+", value) if _KEY.fullmatch(part))


def is_secret(value: str) -> bool:
    """Whether a value can be told from ordinary text: no word, number or address, and no file that is there."""
    if not SHORTEST <= len(value) <= LONGEST or (len(value) < 16 and _WORD.fullmatch(value)):
        return False
    return not (value.startswith(("/", "~/", "./")) and os.path.exists(os.path.expanduser(value)))


def hints_of(value: str) -> frozenset[str]:
    """Return texts one of which is in every text, or line of JSON, that has the value in any of its forms."""
    core = max(_SAME.findall(value), key=len, default="")
    if len(core) >= _LONG_ENOUGH or (len(core) > 2 and not core.isalpha()):
        return frozenset([core])
    shown = forms(value)
    return shown | {json.dumps(form, ensure_ascii=False)[1:-1] for form in shown}


def forms(value: str) -> frozenset[str]:
    """Return a value as it stands in plain text, in a repr, in JSON, in a URL, and in each of them within another."""
    plain = value.encode("utf-8", "replace").decode()
    if _SAME.fullmatch(plain):
        return frozenset([plain])
    shown = {plain}
    for _ in range(_DEPTH):
        shown |= {how(form) for form in shown for how in _WAYS}
    return frozenset(shown)
