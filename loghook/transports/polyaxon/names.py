"""Names as Polyaxon takes them: of metric files as its own client writes them, of runs as slugs. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Container

__all__ = ["metric_file", "run_uuid", "slug"]

LONGEST = 100


def metric_file(name: str, taken: Container[str] = (), suffix: str = "") -> str:
    """The name of the file of a metric, without folder and ending: `train/acc` is `train__acc`, `a b.c` is `a-b-c`.

    Characters that are not ASCII go. A name that is `taken`, or of which nothing is left, or that is too long, ends in
    a hash of the original. `suffix` sets a writer's files apart from another's: it follows two dashes, which no
    translated name has.
    """
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = re.sub(r"[^\w\\/.\s-]", "", text).strip()
    text = re.sub(r"[-.\s]+", "-", re.sub(r"[\\/]+", "__", text)).strip("-")
    ending = f"--{suffix}" if suffix else ""
    if text and len(text) <= LONGEST and text + ending not in taken:
        return text + ending
    mark = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{text[: LONGEST - 9] or 'metric'}-{mark}{ending}"


def slug(name: str) -> str:
    """A run's name as a slug of letters, digits, dashes and underscores; "" when nothing is left."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:LONGEST].rstrip("-")


def run_uuid(run: str) -> str:
    """The uuid of a run, 32 hex digits: its id where that is one, else a hash of it."""
    plain = run.replace("-", "").lower()
    if re.fullmatch(r"[0-9a-f]{32}", plain):
        return plain
    return hashlib.sha256(run.encode("utf-8", "backslashreplace")).hexdigest()[:32]
