"""TensorBoard's event files as a run: every scalar under a folder, followed as it grows.

The files are read by TensorBoard's own reader (the extra `tensorboard`), which knows both ways in which scalars have
been written over the years. A scalar's name is its tag, behind the subfolder that its file lies in: `eval/loss`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from loghook.errors import ConfigurationError
from loghook.metrics import numbers
from loghook.run import Run

__all__ = ["Follower", "Scalar", "record"]

_MARK = "tfevents"


class Scalar(NamedTuple):
    """One point: `name`, `step`, `time` in epoch seconds, `value`."""

    name: str
    step: int
    time: float
    value: Any


class Follower:
    """The scalars under a folder; `news()` gives those that were written since it was asked last."""

    def __init__(self, folder: Path, *, backfill: bool = False) -> None:
        """Follow `folder`, which need not exist yet. `backfill` asks for what was written before now as well.

        Raises ConfigurationError where TensorBoard's reader is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what TensorBoard's own imports warn of is not the user's
                from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        except ImportError:
            raise ConfigurationError("TensorBoard's reader is missing: pip install 'loghook[tensorboard]'") from None
        logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every file that it opens
        self._loader = EventFileLoader
        self._folder = folder
        self._files: dict[Path, Any] = {}
        self.broken: dict[Path, str] = {}
        """Files that can't be read on, and why."""
        if not backfill:
            for _ in self.news():
                pass

    def news(self) -> Iterator[Scalar]:
        """Yield the scalars that are new, file by file, each file's in the order in which they were written."""
        for path in self._paths():
            if path in self.broken:
                continue
            if path not in self._files:
                self._files[path] = self._loader(str(path))
            try:
                for event in self._files[path].Load():
                    yield from self._scalars(path, event)
            except Exception as error:  # a file that is no event file, or is damaged, must not hide the others
                self.broken[path] = f"{type(error).__name__}: {error}"

    def _paths(self) -> list[Path]:
        found = []
        for root, _, names in os.walk(self._folder, followlinks=False):
            found += [Path(root, name) for name in names if _MARK in name]
        return sorted(found)

    def _scalars(self, path: Path, event: Any) -> Iterator[Scalar]:
        place = path.parent.relative_to(self._folder).as_posix()
        for value in event.summary.value:
            number = _number(value)
            if number is not None:
                name = value.tag if place == "." else f"{place}/{value.tag}"
                yield Scalar(name, event.step, event.wall_time, number)


def _number(value: Any) -> Any:
    """Return a summary value's scalar, None if it is something else: an image, a histogram, a text."""
    if value.WhichOneof("value") != "tensor" or value.metadata.plugin_data.plugin_name not in ("scalars", ""):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    with contextlib.suppress(TypeError, ValueError):
        array = make_ndarray(value.tensor)
        if array.size == 1 and array.dtype.kind in "fiub":
            return array.item()
    return None


def record(run: Run, scalar: Scalar) -> None:
    """Put one scalar into a run, with its own step and time."""
    event: dict[str, Any] = {"time": scalar.time, "level": "INFO", "logger": "tensorboard", "message": ""}
    event["metrics"] = numbers({scalar.name: scalar.value}).values
    event["step"] = scalar.step
    run.put(event)
