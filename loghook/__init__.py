"""loghook: Python's standard logging as an experiment tracker."""

from __future__ import annotations

__version__ = "0.1.0"
