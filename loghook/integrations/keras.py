"""A Keras callback that records what each epoch logs.

Keras asks its callbacks for nothing but their methods; where it is there, its own base class is taken all the same.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["callback"]

_HOMES = ("keras", "tensorflow", "tf_keras")


def callback(metric: Callable[..., None]) -> Any:
    """Return a Keras callback that calls `metric(name, value, step=epoch)` for what each epoch logs."""

    def on_epoch_end(self: Any, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            metric(name, value, step=epoch)

    return type("LoghookCallback", (_base(),), {"on_epoch_end": on_epoch_end})()


def _base() -> type:
    """Return Keras's Callback, of the Keras that is imported already or that can be; else one that looks like it."""
    for name in (*(name for name in _HOMES if name in sys.modules), *_HOMES[:1]):
        with_keras = f"{name}.keras.callbacks" if name == "tensorflow" else f"{name}.callbacks"
        try:
            return importlib.import_module(with_keras).Callback  # type: ignore[no-any-return]
        except (ImportError, AttributeError):
            continue
    return _Callback


class _Callback:
    """What Keras calls on a callback: everything may be called, and nothing happens."""

    def __init__(self) -> None:
        self.params: Any = None
        self.model: Any = None

    def set_params(self, params: Any) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(name)


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None
