"""What the server itself says, on stderr: one line for each thing that goes wrong, and its traceback indented below.

What foreigners send ends up in both, in a path or in the words of an exception. So nothing that is not printable gets
to the terminal, and no line but the first of an entry begins like one.
"""

from __future__ import annotations

import logging

__all__ = ["Plain", "to_stderr"]

BEGIN = "loghook server: "
LONGEST = 2000
"""Characters of a line."""


class Plain(logging.Formatter):
    """Formats an entry so that it cannot be taken for another one, nor for an order to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError):  # of another library's logger: arguments that do not fit
            said = str(record.msg)
        lines = [BEGIN + _printable(said)]
        if record.exc_info:
            lines += ["    " + _printable(line) for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


def to_stderr() -> None:
    """Let this process say on stderr what goes wrong in the server; because the process is the server's own."""
    handler = logging.StreamHandler()
    handler.setFormatter(Plain())
    for name in ("loghook.server", "asyncio"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False


def _printable(text: str) -> str:
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[:LONGEST])
    return shown if len(text) <= LONGEST else shown + "…"
