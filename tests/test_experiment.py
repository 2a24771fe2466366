"""An Experiment is a run by the name that Hyperdash's users know."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

import loghook
from loghook.testing import FakeLoghookServer

from .scripts import Script, by_writer, events, last_end, messages


def shown(code: str, tmp_path: Path, **variables: str) -> list[str]:
    """What a script prints, line by line; it must succeed and say nothing on stderr."""
    ended = Script(tmp_path, code, install=False).run(**variables)
    assert (ended.status, ended.err) == (0, "")
    return ended.out.splitlines()


def runs(home: Path) -> dict[str, list[dict[str, Any]]]:
    """The events of each run, by its name."""
    found = {}
    for each in by_writer(home).values():
        (began,) = [event["run"] for event in each if event.get("event") == "run_started"]
        found[began["name"]] = each
    return found


def metrics(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The metrics among some events."""
    return [event["metrics"] for event in events if "metrics" in event]


# -------------------------------------------------------------------- Hyperdash's usage, with the name replaced

DIGITS = """\
from loghook import Experiment

# Create an experiment with a model name, then autostart
exp = Experiment("Digits Classifier")
# Record the value of hyperparameter gamma for this experiment
gamma = exp.param("gamma", 0.1)
# Param can record any basic type (Number, Boolean, String)

# Record a numerical performance metric
exp.metric("accuracy", 0.3)

# Cleanup and mark that the experiment successfully completed
exp.end()
"""


def test_hyperdashs_experiment(tmp_path: Path, home: Path) -> None:
    """The experiment of Hyperdash's README prints its lines, names its log file, and arrives."""
    lines = shown(DIGITS, tmp_path)
    assert lines[:2] == ["{ gamma: 0.1 }", "| accuracy:   0.300000 |"]
    assert len(lines) == 3
    (file,) = (home / "logs" / "digits-classifier").iterdir()
    assert lines[2] == f"Digits Classifier: success after 0:00:00; its output is in {file}"
    assert file.read_text() == "{ gamma: 0.1 }\n| accuracy:   0.300000 |\n"
    assert messages(home, "stdout") == ["{ gamma: 0.1 }", "| accuracy:   0.300000 |"]
    found = runs(home)["Digits Classifier"]
    assert [event["params"] for event in found if event.get("event") == "params"] == [{"gamma": 0.1}]
    assert metrics(found) == [{"accuracy": 0.3}]
    (began,) = events(home, "run_started")
    assert began["run"]["api"] == "experiment"
    assert (last_end(home) or {})["status"] == "success"


def test_hyperdashs_capture_io(tmp_path: Path, home: Path) -> None:
    """With capture_io=False what is printed is no record; params, metrics and `log` are."""
    code = 'exp = Experiment("Digits Classifier", capture_io=False)\nprint("a print")\n'
    code += 'exp.metric("accuracy", 1)\nexp.log("a log")\nexp.end()\n'
    assert shown("from loghook.sdk import Experiment\n" + code, tmp_path)[:3] == [
        "a print",
        "| accuracy:   1.000000 |",
        "a log",
    ]
    assert messages(home, "stdout") == ["a log"]
    assert metrics(events(home)) == [{"accuracy": 1}]


def test_iter_tells_how_far_it_is(tmp_path: Path, home: Path) -> None:
    """`iter` yields 0 to n-1, prints each unless told not to, and says its length and place by internal names."""
    code = "import loghook\nexp = loghook.Experiment('x', quiet=True)\n"
    code += "print(list(exp.iter(2)), list(exp.iter(3, log=False)))\nexp.end()"
    assert shown(code, tmp_path) == ["| Iteration 0 of 1 |", "| Iteration 1 of 1 |", "[0, 1] [0, 1, 2]"]
    assert [event["params"] for event in events(home, "params")] == [{"hd_iter_0_epochs": 2}, {"hd_iter_1_epochs": 3}]
    assert metrics(events(home)) == [*({"hd_iter_0": i} for i in range(2)), *({"hd_iter_1": i} for i in range(3))]


def test_every_metric_is_kept(home: Path) -> None:
    """Metrics of one name that come within a second are all there, with their steps."""
    with loghook.Experiment("x", quiet=True) as exp:
        for i in range(5000):
            exp.metric("loss", i / 7, log=False, step=i)
    points = [(e["step"], e["metrics"]["loss"]) for e in events(home, "record") if "metrics" in e]
    assert points == [(i, i / 7) for i in range(5000)]


def test_odd_values_are_printed_and_kept(tmp_path: Path, home: Path) -> None:
    """A NaN, a text and None are printed as they can be, and nothing is raised; param returns the very value."""
    code = (
        "import loghook\n"
        "with loghook.Experiment('x', quiet=True) as exp:\n"
        "    for value in (float('nan'), 'text', None, True): exp.metric('m', value)\n"
        "    thing = object()\n"
        "    print(exp.param('thing', thing, log=False) is thing)\n"
    )
    assert shown(code, tmp_path) == [
        "| m:        nan |",
        "| m: text |",
        "| m: None |",
        "| m:   1.000000 |",
        "True",
    ]
    assert metrics(events(home)) == [{"m": "NaN"}, {"m": True}]


# -------------------------------------------------------------------- the end


def test_a_secret_param_is_not_printed(tmp_path: Path, home: Path) -> None:
    """What is replaced among the params is replaced where `param` prints it, too: prints are recorded."""
    code = "from loghook import Experiment\nwith Experiment('x') as exp:\n    exp.param('api_key', 'expkey1x')"
    assert shown(code, tmp_path)[0] == "{ api_key: [redacted: api_key] }"
    assert not [file for file in home.rglob("*") if file.is_file() and b"expkey1x" in file.read_bytes()]
    assert shown(code, tmp_path, LOGHOOK_REDACT="0")[0] == "{ api_key: expkey1x }"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, "success", None),
        (ValueError("no"), "failure", None),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
        (SystemExit(0), "success", None),
        (SystemExit(3), "failure", "exit code 3"),
        (SystemExit("no"), "failure", "exit code 1"),
    ],
)
def test_a_block_ends_as_its_code_does(
    error: BaseException | None, status: str, reason: str | None, home: Path
) -> None:
    """The run's status says how the block ended; an exception goes on its way, with its traceback in the run."""
    with contextlib.suppress(ValueError, KeyboardInterrupt, SystemExit), loghook.Experiment("x", quiet=True):
        if error:
            raise error
    end = last_end(home) or {}
    assert (end["status"], end.get("reason")) == (status, reason)
    if isinstance(error, ValueError):
        assert end["exception"].endswith("ValueError: no")
        assert events(home, "record")[-1]["exception"] == end["exception"]


def test_end_counts_once(home: Path) -> None:
    """A second end does nothing, and what comes after the first is named once and left out."""
    errors = io.StringIO()
    exp = loghook.Experiment("x")
    exp.end("stopped")
    exp.end()
    with contextlib.redirect_stderr(errors):
        exp.metric("loss", 1)
        assert exp.param("rate", 2) == 2
        exp.log("late")
    assert errors.getvalue().count("has ended") == 1
    assert (last_end(home) or {})["status"] == "stopped"
    assert metrics(events(home)) == []


@pytest.mark.parametrize(
    ("code", "status", "end"),
    [
        ("", 0, "success"),
        ("raise ValueError('no')", 1, "failure"),
        ("sys.exit(3)", 3, "failure"),
        ("raise KeyboardInterrupt", -2, "stopped"),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15, "stopped"),
    ],
)
def test_an_experiment_that_nobody_ends_does_so_with_the_process(
    code: str, status: int, end: str, tmp_path: Path, home: Path
) -> None:
    """The end of the process ends the experiment, as it would end a run; the exit status is untouched."""
    head = "import loghook, os, signal, sys\nexp = loghook.Experiment('x', quiet=True)\nprint('a print')\n"
    assert Script(tmp_path, head + code, install=False).run().status == status
    assert (last_end(home) or {})["status"] == end
    assert messages(home, "stdout") == ["a print"]


def test_several_at_once_are_told_apart(home: Path) -> None:
    """Two experiments beside an installed run: each has what was said to it, and prints go to the latest."""
    loghook.install("installed", quiet=True)
    try:
        one, other = loghook.Experiment("one", quiet=True), loghook.Experiment("other", quiet=True)
        print("to the other")
        one.metric("loss", 1, log=False)
        other.metric("loss", 2, log=False)
        other.end()
        print("to the one")
        one.end()
        print("to none")
        loghook.Experiment("third", quiet=True).end()
    finally:
        loghook.uninstall()
    found = runs(home)
    assert set(found) == {"installed", "one", "other", "third"}
    assert metrics(found["one"]) == [{"loss": 1}]
    assert metrics(found["other"]) == [{"loss": 2}]
    assert [e["message"] for e in found["one"] if e.get("stream")] == ["to the one"]
    assert [e["message"] for e in found["other"] if e.get("stream")] == ["to the other"]
    assert len({run for run, _ in by_writer(home)}) == 4


def test_the_ids_of_ranks_agree(home: Path) -> None:
    """In a launch the first experiment of each rank is one run, the second another, the same for all ranks."""
    code = (
        "import loghook\nfor n in 'ab':\n    with loghook.Experiment(n, quiet=True) as e: e.metric('m', 1, log=False)\n"
    )
    folder = home.parent
    for rank in ("0", "1"):
        launch = {"RANK": rank, "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "job", "MASTER_ADDR": "x", "MASTER_PORT": "1"}
        Script(folder, code, install=False).run(**launch)
    ids = [run for run, _ in by_writer(home)]
    assert len(ids) == 4
    assert len(set(ids)) == 2
    assert len(events(home, "run_ended")) == 2


def test_it_does_not_join_the_run_of_install_in_a_parent(tmp_path: Path, home: Path) -> None:
    """In a process that a script with `install` starts, an experiment is a run of its own."""
    inner = "import loghook; loghook.Experiment('inner', quiet=True).end()"
    code = "import loghook, subprocess, sys\nloghook.install('outer')\n"
    code += f"subprocess.run([sys.executable, '-c', {inner!r}])\n"
    Script(tmp_path, code, install=False).run()
    assert set(runs(home)) == {"inner", "outer"}


def test_all_arrives_when_it_has_ended() -> None:
    """With a platform that is up, everything is there when `end` returns."""
    with FakeLoghookServer() as platform:
        with loghook.Experiment("x", api_key_getter=lambda: platform.key, url=platform.url, quiet=True) as exp:
            exp.metric("loss", 0.5)
        assert platform.platform.events()[-1]["event"] == "run_ended"


def test_an_unreachable_platform_holds_nobody_up(home: Path) -> None:
    """With nobody at the URL `end` gives up as soon as that is known, and the events wait in the spool."""
    import time

    began = time.monotonic()
    with loghook.Experiment("x", url="http://127.0.0.1:9", quiet=True, shutdown_timeout=30) as exp:
        exp.metric("loss", 0.5)
    assert time.monotonic() - began < 10
    assert (last_end(home) or {})["status"] == "success"


def test_wrong_settings_are_the_programs_mistake() -> None:
    """An unknown setting raises ConfigurationError, and no stream is touched."""
    before = sys.stdout.write
    with pytest.raises(loghook.ConfigurationError, match="no_such"):
        loghook.Experiment("x", no_such=1)
    assert sys.stdout.write == before


def test_threads_that_it_starts_belong_to_it(home: Path) -> None:
    """Prints of threads that the experiment's code starts are its own, by thread; those of others are nobody's."""
    begin, done = threading.Event(), threading.Event()

    def stranger() -> None:
        begin.wait(10)
        print("from a stranger")
        done.set()

    other = threading.Thread(target=stranger)
    other.start()
    with loghook.Experiment("x", quiet=True):
        mine = threading.Thread(target=lambda: print("from mine"), name="mine")
        mine.start()
        mine.join()
        begin.set()
        done.wait(10)
    other.join()
    (record,) = events(home, "record")
    assert (record["message"], record["thread"]) == ("from mine", "mine")


# -------------------------------------------------------------------- Keras


class Model:
    """Trains as Keras does, as far as callbacks can see."""

    def fit(self, epochs: int, callbacks: list[Any]) -> None:
        """Call the callbacks as a training of so many epochs does."""
        for callback in callbacks:
            callback.set_params({"epochs": epochs})
            callback.set_model(self)
            callback.on_train_begin(logs={})
            for epoch in range(epochs):
                callback.on_epoch_begin(epoch, logs={})
                callback.on_train_batch_end(0, logs={"loss": 9.0})
                callback.on_epoch_end(epoch, logs={"loss": 0.5 - epoch / 10, "val_acc": 0.25})
            callback.on_train_end(logs={})


def is_recorded(home: Path) -> bool:
    """Tell whether the training of two epochs is there."""
    points = [(e["metrics"], e["step"]) for e in events(home, "record") if "metrics" in e]
    return points == [({"loss": 0.5}, 0), ({"val_acc": 0.25}, 0), ({"loss": 0.4}, 1), ({"val_acc": 0.25}, 1)]


def test_the_keras_callback_needs_no_keras(home: Path) -> None:
    """Whatever calls it as Keras does gets each epoch's numbers recorded."""
    with loghook.Experiment("x", quiet=True) as exp:
        assert exp.callbacks.keras is exp.callbacks.keras
        Model().fit(2, [exp.callbacks.keras])
    assert is_recorded(home)


def test_the_keras_callback_is_one_of_keras(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Keras is there, the callback is of its class."""
    modules = {name: types.ModuleType(name) for name in ("keras", "keras.callbacks")}
    base = type("Callback", (), {"__getattr__": lambda self, name: lambda *args, **kwargs: None})
    modules["keras.callbacks"].Callback = base  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with loghook.Experiment("x", quiet=True) as exp:
        assert isinstance(exp.callbacks.keras, base)
        Model().fit(2, [exp.callbacks.keras])
    assert is_recorded(home)


def test_importing_it_imports_no_ipython_and_no_keras() -> None:
    """`from loghook import Experiment, monitor, monitor_cell` loads neither, nor a terminal's or a server's modules."""
    code = "import json, sys\nfrom loghook.sdk import Experiment, monitor, monitor_cell\n"
    code += "print(json.dumps(list(sys.modules)))"
    ended = Script(Path(os.environ["LOGHOOK_HOME"]).parent, code, install=False).run()
    assert not {"IPython", "keras", "termios", "requests", "click"} & set(json.loads(ended.out))
