"""A private key that is printed: many lines, of which each for itself looks like nothing."""

from __future__ import annotations

import re

from loghook.redaction.hints import placeholder

__all__ = ["PrivateKey"]

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----\s*$")
_BODY = re.compile(r"\s*(?:[A-Za-z0-9+/]{1,100}={0,2}|(?:Proc-Type|DEK-Info|Version|Comment): ?.{0,100})?\s*")


class PrivateKey:
    """Follows one stream of lines, and knows whether it is in the middle of a private key."""

    def __init__(self) -> None:
        self._inside = False

    def taken_out(self, lines: list[str]) -> list[str]:
        """Return the lines, and for those of a private key one placeholder."""
        if not self._inside and not any("PRIVATE KEY" in line for line in lines):
            return lines
        kept = []
        for line in lines:
            if self._inside:
                self._inside = _BODY.fullmatch(line) is not None
                if self._inside or ("-----END" in line and "PRIVATE KEY" in line):
                    continue
            begun = _BEGIN.search(line)
            self._inside = begun is not None
            kept.append(line if begun is None else f"{line[: begun.start()]}{placeholder('private key')}")
        return kept
