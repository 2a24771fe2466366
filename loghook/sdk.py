"""What `hyperdash` offers, for programs that were written for it: `from loghook.sdk import monitor`."""

from __future__ import annotations

from loghook.experiment import Experiment
from loghook.monitoring import monitor
from loghook.notebook import monitor_cell

__all__ = ["Experiment", "monitor", "monitor_cell"]
