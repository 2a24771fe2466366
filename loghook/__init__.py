"""loghook: Python's standard logging as an experiment tracker."""

from __future__ import annotations

from loghook._version import __version__

__all__ = ["__version__"]
