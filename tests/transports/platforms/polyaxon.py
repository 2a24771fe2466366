"""Polyaxon where the server is asked for its generation: 2.x's fake."""

from __future__ import annotations

from typing import ClassVar

from . import generation2

__all__ = ["Bench"]


class Bench(generation2.Bench):
    """The same project by a URL that names no generation."""

    scheme: ClassVar[str] = "polyaxon"
