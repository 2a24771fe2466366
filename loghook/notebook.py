"""`%%monitor_cell NAME`: a notebook's cell as an experiment.

The line is taken out of the cell before IPython looks at it, and the experiment begins and ends with the cell's
events. So the cell runs as any other: its last expression is shown, its names stay, it may await and be interrupted,
and its traceback is IPython's own. IPython is not imported here: the shell that runs is handed in, or found where it
is imported already.
"""

from __future__ import annotations

import re
import sys
import threading
from typing import Any

from loghook.experiment import Experiment, open_experiments

__all__ = ["load_ipython_extension", "monitor_cell", "register", "unload_ipython_extension"]

_LINE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*%%monitor_cell\b[ \t]*([^\n]*)")
_NO_NAME = "say what the experiment is called: %%monitor_cell dogs vs. cats"


class _Cells:
    """The monitored cells of one shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._experiment: Experiment | None = None

    def transform(self, lines: list[str]) -> list[str]:
        """Take the line out, with the comments before it; one without a name is left for the magic to complain of."""
        found = _LINE.match("".join(lines))
        if not found or not found[1].strip():
            return lines
        return "".join(lines)[found.end() :].lstrip("\n").splitlines(keepends=True)

    def before(self, info: Any = None, *rest: Any) -> None:
        """Begin an experiment, if the cell that is about to run asks for one."""
        self._end(None)
        for experiment in open_experiments():  # each cell has a context of its own, and IPython's writes
            if experiment.spans and experiment.thread == threading.get_ident():
                experiment.follow()
        found = _LINE.match(getattr(info, "raw_cell", None) or "")
        if found and found[1].strip():
            self._begin(found[1].strip())

    def after(self, result: Any = None, *rest: Any) -> None:
        """End the cell's experiment as the cell ended."""
        self._end(getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None))

    def run(self, name: str, cell: str) -> None:
        """Run a cell that came as the argument of a magic, from `get_ipython().run_cell_magic` say."""
        if not name.strip():
            raise ValueError(_NO_NAME)
        experiment = self._begin(name.strip())
        self._experiment = None  # the events of the cell within must not end it
        try:
            result = self.shell.run_cell(cell)
        except BaseException as error:
            experiment.fail(error, error.__traceback__)
            raise
        self._experiment = experiment
        self.after(result)

    def _begin(self, name: str) -> Experiment:
        self._experiment = experiment = Experiment(name, api="jupyter")
        experiment.follow()
        self.shell.user_ns.setdefault("exp", experiment)
        return experiment

    def _end(self, error: BaseException | None) -> None:
        experiment, self._experiment = self._experiment, None
        if experiment is None:
            return
        if self.shell.user_ns.get("exp") is experiment:
            del self.shell.user_ns["exp"]
        if error is None:
            experiment.end()
        else:
            experiment.fail(error, error.__traceback__)


def register(shell: Any = None) -> bool:
    """Give a shell the magic, once; `shell` None means the one that runs. False where there is none."""
    shell = shell or _running_shell()
    if shell is None:
        return False
    if getattr(shell, "_loghook_cells", None) is None:
        cells = shell._loghook_cells = _Cells(shell)
        shell.input_transformers_cleanup.append(cells.transform)
        shell.events.register("pre_run_cell", cells.before)
        shell.events.register("post_run_cell", cells.after)
        shell.register_magic_function(cells.run, "cell", "monitor_cell")
    return True


def _running_shell() -> Any:
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    return get() if get else None


def monitor_cell(name: str, cell: str) -> None:
    """Run the text of a cell as an experiment called `name`; in a notebook write `%%monitor_cell NAME` instead.

    Raises RuntimeError outside of IPython.
    """
    shell = _running_shell()
    if shell is None:
        raise RuntimeError("monitor_cell is for notebooks; elsewhere use @loghook.monitor or loghook.Experiment")
    register(shell)
    shell._loghook_cells.run(name, cell)


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext loghook`."""
    register(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Called by `%unload_ext loghook`."""
    cells = getattr(shell, "_loghook_cells", None)
    if cells is not None:
        shell._loghook_cells = None
        cells.after()
        shell.input_transformers_cleanup.remove(cells.transform)
        shell.events.unregister("pre_run_cell", cells.before)
        shell.events.unregister("post_run_cell", cells.after)
        shell.magics_manager.magics["cell"].pop("monitor_cell", None)


register()
