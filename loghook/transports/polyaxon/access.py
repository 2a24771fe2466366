"""Where a Polyaxon project is, by a URL, and the tokens that open it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigurationError
from ...job import job_of
from ...keyfile import same_place
from ..address import Address, masked

if TYPE_CHECKING:
    from ...credentials import KeySource

__all__ = ["Place", "place_of", "with_tokens"]

VARIABLES = ("POLYAXON_USER_TOKEN", "POLYAXON_SECRET_USER_TOKEN", "POLYAXON_AUTH_TOKEN")
NAMES = ("POLYAXON_AUTH_TOKEN", "token")


@dataclass(frozen=True, slots=True)
class Place:
    """A project: the API's address without the last two parts of the path, which are its owner and name."""

    address: Address
    owner: str
    project: str


def place_of(url: str) -> Place:
    """The project that a URL names (`polyaxon+https://HOST/OWNER/PROJECT`). Raises ConfigurationError."""
    address = Address.parse(url)
    head, _, path = address.url.partition("://")
    parts = path.split("/")
    if len(parts) < 3 or not all(parts[-2:]):
        raise ConfigurationError(
            f"{masked(url)!r} names no project: write polyaxon+https://HOST/OWNER/PROJECT, or set LOGHOOK_PROJECT"
        )
    return Place(address._replace(url=f"{head}://{'/'.join(parts[:-2])}"), parts[-2], parts[-1])


def with_tokens(keys: KeySource, environ: Mapping[str, str], url: str) -> KeySource:
    """The key source that looks first where Polyaxon puts tokens: its variables, its files in a job and at home.

    The files of loghook and Hyperdash are left out: their keys are not for Polyaxon. In a job its tokens are for the
    job's own platform; a `url` somewhere else gets LOGHOOK_API_KEY or nothing.
    """
    job = job_of(environ)
    if job is not None and job.host and not same_place(job.host, url):
        return keys.preferring((), (), NAMES)
    context = environ.get("POLYAXON_CONTEXT_ROOT") or "/plx-context"
    home = environ.get("POLYAXON_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".polyaxon")
    files = (Path(context) / ".configs" / ".auth", Path(home) / ".auth")
    return keys.preferring(VARIABLES, files, NAMES)
