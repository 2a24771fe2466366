"""How long a client may take, whoever it is: held by `connections` and `security`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Patience"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take; seconds, but for `pace`.

    head: for the head of a request. part: for the next bytes of a body. pace: bytes a second that a body has to come
    at, on the whole. answer: for taking some bytes of an answer.
    """

    head: float = 15.0
    part: float = 30.0
    pace: float = 1024.0
    answer: float = 30.0
