"""loghook: Python's standard logging as an experiment tracker."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from loghook._version import __version__

if TYPE_CHECKING:
    from loghook.environment import (
        get_cluster_def,
        get_data_path,
        get_data_paths,
        get_declarations,
        get_experiment_info,
        get_job_info,
        get_log_level,
        get_outputs_path,
        get_outputs_refs_paths,
        get_params,
        get_task_info,
        get_tf_config,
    )
    from loghook.errors import ConfigurationError, LoghookError, ServerError, SpoolError
    from loghook.experiment import Experiment
    from loghook.formatter import LogHookFormatter
    from loghook.handler import LogHookHandler
    from loghook.helper import send_metrics
    from loghook.installation import install, uninstall
    from loghook.monitoring import monitor
    from loghook.notebook import monitor_cell
    from loghook.run import Run
    from loghook.session import flush, stats

__all__ = [
    "ConfigurationError",
    "Experiment",
    "LogHookFormatter",
    "LogHookHandler",
    "LoghookError",
    "Run",
    "ServerError",
    "SpoolError",
    "__version__",
    "flush",
    "get_cluster_def",
    "get_data_path",
    "get_data_paths",
    "get_declarations",
    "get_experiment_info",
    "get_job_info",
    "get_log_level",
    "get_outputs_path",
    "get_outputs_refs_paths",
    "get_params",
    "get_task_info",
    "get_tf_config",
    "install",
    "monitor",
    "monitor_cell",
    "send_metrics",
    "stats",
    "uninstall",
]

_HOMES = {
    "environment": (
        *("get_cluster_def", "get_data_path", "get_data_paths", "get_declarations", "get_experiment_info"),
        *("get_job_info", "get_log_level", "get_outputs_path", "get_outputs_refs_paths", "get_params"),
        *("get_task_info", "get_tf_config"),
    ),
    "errors": ("ConfigurationError", "LoghookError", "ServerError", "SpoolError"),
    "experiment": ("Experiment",),
    "formatter": ("LogHookFormatter",),
    "handler": ("LogHookHandler",),
    "helper": ("send_metrics",),
    "installation": ("install", "uninstall"),
    "monitoring": ("monitor",),
    "notebook": ("load_ipython_extension", "monitor_cell", "unload_ipython_extension"),
    "run": ("Run",),
    "session": ("flush", "stats"),
}
"""Where each name lives; its module is imported when the name is first asked for, so that an import costs nothing."""

_LATE = {name: f"loghook.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'loghook' has no attribute {name!r}")
    found = getattr(importlib.import_module(_LATE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "IPython" in sys.modules:  # a notebook, perhaps: it gets its magic
    importlib.import_module("loghook.notebook")
