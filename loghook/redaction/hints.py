"""What every secret has, cheap to ask for: nearly all texts have none of it, and are not read with care."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["LONG", "NAME", "has_secret_name", "is_near", "is_secret_name", "placeholder"]

LONG = 20
"""Letters, digits, _ and - in a row without which there is no token here, nor a private key."""

_BEFORE = 40
"""Characters in front of such a row that say what it is."""

_BEGINS = re.compile(
    r"A(?:KIA|SIA|BIA|CCA|Iza|GE-SECRET)|GOCSPX-|d(?:ckr_p|api|o[opr]_v)|eyJ|g(?:h[pousr]_|ithub_pat|sk_)|hf_|api_org|lh_"
    r"|gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt|oas)-|n(?:pm_|vapi-)|pypi-|r8_|sk-|[rs]k_(?:live|test)|wandb_v"
    r"|x(?:ox[a-z]-|app-|ai-)|(?<=:)AA"
)
"""How tokens begin."""

_CONTEXTS = (
    "bearer",
    "basic",
    "key",
    "secret",
    "token",
    "passphrase",
    "credential",
    "slack.com",
    "ya29",
    "sg.",
    "hv",
    "1//",
)
"""What stands in front of rows that may be secrets, in lower case."""

NAME = (
    r"(?:pass(?:word|wd|phrase)|secret|(?:api|access|secret|private|signing|encryption)[_-]?key"
    r"|(?:api|auth|access|refresh|session|bearer|secret|hub|hf|bot)[_-]?token|credentials?)"
)
_NAMED = re.compile(rf"(?:{NAME}|^token|_pwd)$", re.IGNORECASE)


def placeholder(what: str) -> str:
    """Return what stands in the place of a secret; the name of a variable may be no UTF-8, this always is."""
    return f"[redacted: {what.encode('utf-8', 'backslashreplace').decode()}]"


def is_near(text: str, start: int, end: int) -> bool:
    """Whether the row of at least `LONG` characters from `start` to `end` may be a secret, or a part of one."""
    if _BEGINS.search(text, start, end):
        return True
    before = text[max(0, start - _BEFORE) : start].lower()
    for context in _CONTEXTS:  # noqa: SIM110 - any() takes twice as long
        if context in before:
            return True
    return False


def is_secret_name(name: str) -> bool:
    """Whether what a param or an extra of that name holds is a secret."""
    return _NAMED.search(name[-40:]) is not None


def has_secret_name(names: Iterable[object]) -> bool:
    """Whether one of the names of extras says that it is a secret.

    But for `token`, which is logged as a word of a language model, too: what stands under that must look like a secret.
    """
    plain = (str.__str__(name) for name in names if isinstance(name, str))
    return any(is_secret_name(name) and name.lower() != "token" for name in plain)
