"""What USER/PROJECT/experiments/ID names here; pure.

    address                       run id              name while nobody gives another
    user/project/experiments/5    user.project.5      user.project.5, in group 3 user.project.3.5
    user/project/jobs/5           user.project.jobs.5 the same; builds likewise

The numbers of a real platform's experiments are unknown here until something comes from one of them: its job runs
there, and speaks to this server alone. Numbers that this server gives to experiments that are created here begin so
high that the two never meet; one of those that this account was not given is not there.

USER is a word in a name: whose a run is, its key says.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

__all__ = ["FIRST_OWN", "KINDS", "Address", "group_in", "slug"]

KINDS = ("experiments", "jobs", "builds")
FIRST_OWN = 1_000_001
"""The first number that this server gives."""
WORD = re.compile(r"[A-Za-z0-9_-]+")
LONGEST = 128
FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Address:
    """An experiment, a job or a build (`kind`) as its client addresses it."""

    user: str
    project: str
    kind: str
    number: str

    @property
    def project_name(self) -> str:
        """The project as Polyaxon names it: `user.project`."""
        return f"{self.user}.{self.project}"

    @property
    def run(self) -> str:
        """The id of its run; other addresses have others."""
        parts = [self.user, self.project, *self._kind, self.number]
        plain = ".".join(parts)
        if len(plain) <= LONGEST and all(WORD.fullmatch(part) for part in parts):
            return plain
        # A part that is no plain word, or too long, is made one; a hash keeps apart what then looks alike.
        digest = hashlib.sha256("/".join(map(repr, parts)).encode(errors="surrogatepass")).hexdigest()[:12]
        return ".".join(slug(part)[:30] for part in parts) + "." + digest

    def name(self, group: str = "") -> str:
        """Polyaxon's own name for it, with its group where it is in one."""
        return ".".join([self.user, self.project, *self._kind, *([group] if group else []), self.number])

    @property
    def is_own(self) -> bool:
        """Whether the number is one that only this server gives."""
        return self.number.isascii() and self.number.isdigit() and int(self.number[:20]) >= FIRST_OWN

    @property
    def _kind(self) -> list[str]:
        return [] if self.kind == "experiments" else [self.kind]


def group_in(name: object, user: str, project: str) -> str:
    """Return the group in a name `user.project.group.5`, "" where there is none."""
    parts = name.split(".") if isinstance(name, str) else []
    is_grouped = len(parts) == 4 and parts[:2] == [user, project] and parts[2] not in KINDS and parts[3].isdigit()
    return parts[2] if is_grouped else ""


def slug(text: str) -> str:
    """Return a text as one word of letters, digits, underscores and dashes."""
    return FOREIGN.sub("-", text)
