"""How users call loghook, for the type checker alone: nothing here runs."""

from __future__ import annotations

import loghook

version: str = loghook.__version__
