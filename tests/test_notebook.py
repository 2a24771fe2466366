"""Monitored cells in real notebooks, executed headless."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .scripts import by_writer, events, last_end

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

# What Jupyter's own packages warn of on some interpreters is theirs to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]

Notebook = Callable[..., list[Any]]


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    """A function that executes cells in one kernel and returns them with their outputs."""

    def execute(*cells: str, allow_errors: bool = True, interrupt: Callable[[], bool] | None = None) -> list[Any]:
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        client = nbclient.NotebookClient(
            book, timeout=120, allow_errors=allow_errors, resources={"metadata": {"path": tmp_path}}
        )
        client.km = client.create_kernel_manager()
        # The kernel is this interpreter, whatever kernels this machine has.
        client.km.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        if interrupt:
            threading.Thread(target=interrupted, args=(client.km, interrupt), daemon=True).start()
        client.execute()
        return list(book.cells)

    return execute


def interrupted(manager: Any, when: Callable[[], bool]) -> None:
    """Interrupt a kernel once a condition holds."""
    deadline = time.monotonic() + 60
    while not when() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(manager.provisioner.pid, signal.SIGINT)


def text(cell: Any, kind: str = "stream") -> str:
    """What a cell shows: what it printed, or the results of one kind."""
    outputs = [output for output in cell.outputs if output.output_type == kind]
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def errors(cell: Any) -> list[Any]:
    """The errors that a cell shows."""
    return [output for output in cell.outputs if output.output_type == "error"]


def test_a_cell_is_an_experiment(notebook: Notebook, home: Path) -> None:
    """Its output shows, its last expression too, its names stay, `exp` is there; running it again is a new run."""
    cells = notebook(
        "from loghook import monitor_cell",
        "%%monitor_cell dogs vs. cats\nfor i in range(2): print('epoch', i)\nexp.metric('acc', 0.5)\nx = 21\nx * 2",
        "%%monitor_cell dogs vs. cats\nprint(x)",
        "print('not monitored', x, 'exp' in dir())",
    )
    assert text(cells[1]).startswith("epoch 0\nepoch 1\n| acc:   0.500000 |\n")
    assert "dogs vs. cats: success after 0:00:00; its output is in " in text(cells[1])
    assert text(cells[1], "execute_result") == "42"
    assert text(cells[3]) == "not monitored 21 False\n"
    assert [event["run"]["api"] for event in events(home, "run_started")] == ["jupyter"] * 2
    assert {event["run"]["name"] for event in events(home, "run_started")} == {"dogs vs. cats"}
    printed = [[event["message"] for event in each if "stream" in event] for each in by_writer(home).values()]
    assert sorted(printed) == [["21"], ["epoch 0", "epoch 1", "| acc:   0.500000 |"]]
    assert [event["status"] for event in events(home, "run_ended")] == ["success"] * 2


@pytest.mark.parametrize("load", ["%load_ext loghook", "import loghook", "from loghook.sdk import monitor_cell"])
def test_the_magic_is_there(load: str, notebook: Notebook, home: Path) -> None:
    """`%load_ext loghook` and each import give the magic; comments may stand above it, other magics below."""
    cells = notebook(load, "# a comment\n\n%%monitor_cell x\n%%time\nprint('monitored')", allow_errors=False)
    assert text(cells[1]).startswith("monitored\n")
    assert "Wall time" in text(cells[1])
    assert (last_end(home) or {})["status"] == "success"


def test_an_error_shows_once(notebook: Notebook, home: Path) -> None:
    """An error shows the traceback that it has without us, once, and is the run's; the next cell runs."""
    code = "def f():\n    raise ValueError('no')\nf()"
    plain, _, failing, following = notebook(code, "import loghook", f"%%monitor_cell x\n{code}", "print('next')")
    (shown,) = errors(failing)
    assert shown.ename == "ValueError"
    assert len(shown.traceback) == len(errors(plain)[0].traceback)
    assert "loghook" not in "".join(shown.traceback)
    assert text(following) == "next\n"
    end = last_end_of(home, "failure")
    assert end["exception"].endswith("ValueError: no")


def last_end_of(home: Path, status: str) -> dict[str, Any]:
    """The last run that ended so."""
    return [event for event in events(home, "run_ended") if event["status"] == status][-1]


def test_a_cell_that_does_not_compile_is_a_failure(notebook: Notebook, home: Path) -> None:
    """A syntax error shows once and makes the run a failure; the next cell runs."""
    _, failing, following = notebook("import loghook", "%%monitor_cell x\nthis is no Python", "print('next')")
    (shown,) = errors(failing)
    assert shown.ename == "SyntaxError"
    assert text(following) == "next\n"
    assert "SyntaxError" in last_end_of(home, "failure")["exception"]


@pytest.mark.parametrize("sleep", ["import time; time.sleep(60)", "import asyncio; await asyncio.sleep(60)"])
def test_an_interrupted_cell_is_stopped(sleep: str, notebook: Notebook, home: Path) -> None:
    """The kernel's interrupt stops the run; the next cell runs."""
    _, failing, following = notebook(
        "import loghook",
        f"%%monitor_cell x\nprint('asleep')\n{sleep}",
        "print('next')",
        interrupt=lambda: any(event.get("message") == "asleep" for event in events(home, "record")),
    )
    assert len(errors(failing)) == 1
    assert text(following) == "next\n"
    assert (last_end(home) or {})["status"] == "stopped"


def test_a_cell_may_await(notebook: Notebook, home: Path) -> None:
    """A cell may await; what its tasks and threads print is captured."""
    code = (
        "%%monitor_cell x\nimport asyncio, threading\nawait asyncio.sleep(0.01)\nprint('awaited')\n"
        "t = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()"
    )
    notebook("%load_ext loghook", code, allow_errors=False)
    printed = [event["message"] for event in events(home, "record") if event.get("stream") == "stdout"]
    assert printed == ["awaited", "from a thread"]


def test_an_experiment_over_several_cells(notebook: Notebook, home: Path) -> None:
    """An Experiment that one cell begins and another ends has the prints of those between."""
    notebook(
        "from loghook import Experiment\nexp = Experiment('x')\nprint('one')",
        "print('two')\nexp.metric('acc', 1)",
        "exp.end()",
        "print('three')",
        allow_errors=False,
    )
    printed = [event["message"] for event in events(home, "record") if event.get("stream") == "stdout"]
    assert printed == ["one", "two", "| acc:   1.000000 |"]


def test_a_magic_without_a_name_says_so(notebook: Notebook, home: Path) -> None:
    """Without a name there is an error that tells how, and no run."""
    _, failing = notebook("import loghook", "%%monitor_cell\nprint(1)")
    assert "%%monitor_cell dogs vs. cats" in errors(failing)[0].evalue
    assert not by_writer(home)


def test_the_extension_can_be_unloaded(notebook: Notebook, home: Path) -> None:
    """After %unload_ext the magic is gone and cells run as ever."""
    cells = notebook("%load_ext loghook", "%unload_ext loghook", "%%monitor_cell x\nprint(1)", "print(2)")
    assert "not found" in text(cells[2])
    assert text(cells[3]) == "2\n"
    assert not by_writer(home)


def test_outside_of_a_notebook_it_says_what_to_use() -> None:
    """Called in a plain script, `monitor_cell` raises an error that names the other ways."""
    import loghook

    with pytest.raises(RuntimeError, match=r"loghook\.Experiment"):
        loghook.monitor_cell("x", "print(1)")
