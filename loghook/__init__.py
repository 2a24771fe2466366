"""loghook: Python's standard logging as an experiment tracker."""

from __future__ import annotations

from loghook._version import __version__
from loghook.environment import get_log_level
from loghook.errors import ConfigurationError, LoghookError, ServerError, SpoolError
from loghook.formatter import LogHookFormatter
from loghook.handler import LogHookHandler
from loghook.installation import install, uninstall
from loghook.run import Run
from loghook.session import flush, stats

__all__ = [
    "ConfigurationError",
    "LogHookFormatter",
    "LogHookHandler",
    "LoghookError",
    "Run",
    "ServerError",
    "SpoolError",
    "__version__",
    "flush",
    "get_log_level",
    "install",
    "stats",
    "uninstall",
]
