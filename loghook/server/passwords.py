"""Passwords, kept so that one who reads the database learns none soon: scrypt (RFC 7914), each with a salt of its own.

The kept form names its cost, `scrypt$15$8$3$SALT$HASH`, so that the cost can rise later and old ones still work. One
try takes 32 MiB and some tenths of a second; `sign_in` lets few happen at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata

__all__ = ["LONGEST", "SHORTEST", "hashed", "matches", "nobody"]

SHORTEST, LONGEST = 8, 1000
"""Characters of a password."""
COST, BLOCK, LANES = 15, 8, 3
"""Memory as a power of two of blocks, block size, and repetitions, as OWASP recommends them for 32 MiB."""
SALT_BYTES = 16
MEMORY = 128 * 1024 * 1024


def hashed(password: str) -> str:
    """Return the form in which a password is kept."""
    return _hashed(password, secrets.token_bytes(SALT_BYTES), COST, BLOCK, LANES)


def matches(password: str, kept: str) -> bool:
    """Tell whether a password is the kept one."""
    _, cost, block, lanes, salt, _ = kept.split("$")
    again = _hashed(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(again, kept)


def nobody() -> str:
    """Return the kept form of a password that nobody has: checking it takes as long as checking a real one."""
    return hashed(secrets.token_urlsafe(32))


def _hashed(password: str, salt: bytes, cost: int, block: int, lanes: int) -> str:
    # The same characters can be written in several ways, and keyboards differ in which they choose.
    text = unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
    digest = hashlib.scrypt(text, salt=salt, n=1 << cost, r=block, p=lanes, maxmem=MEMORY, dklen=32)
    return f"scrypt${cost}${block}${lanes}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
