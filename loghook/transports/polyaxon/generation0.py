"""Polyaxon 0.x."""

from __future__ import annotations

from .generation2 import Polyaxon2Transport

__all__ = ["Polyaxon0Transport"]
Polyaxon0Transport = Polyaxon2Transport
