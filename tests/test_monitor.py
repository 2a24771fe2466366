"""A monitored function is the function that it was, and each call of it is an experiment."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import loghook
from loghook.testing import FakeLoghookServer

from .scripts import Script, by_writer, events, last_end, messages


def ends(home: Path) -> list[str]:
    """How the runs ended."""
    return sorted(event["status"] for event in events(home, "run_ended"))


def printed(home: Path) -> dict[str, list[str]]:
    """What was printed into each run, by the run's name."""
    found = {}
    for each in by_writer(home).values():
        (began,) = [event["run"] for event in each if event.get("event") == "run_started"]
        found[began["name"]] = [event["message"] for event in each if "stream" in event]
    return found


# -------------------------------------------------------------------- Hyperdash's usage, with the name replaced

DOGS = """\
from loghook import monitor

class Model:
  accuracy = 0.9
  def __init__(self, lr): pass
  def fit(self): print("fitting")

@monitor("dogs vs. cats")
def train_dogs_vs_cats(exp): # Get Experiment object as argument to function.
  lr = exp.param("learning rate", 0.005)
  model = Model(lr)
  model.fit()
  exp.metric("accuracy", model.accuracy)

train_dogs_vs_cats()
"""

GETTER = """\
import os, time
from loghook.sdk import monitor

# This function can do anything you want, as long as it returns an API key as a string
def get_api_key():
  return os.environ["SECRET"]

@monitor("dogs vs. cats", api_key_getter=get_api_key)
def train_dogs_vs_cats():
  print("Epoch 1, accuracy: 50%")
  time.sleep(0.1)
  print("Epoch 2, accuracy: 75%")
  time.sleep(0.1)
  print("Epoch 3, accuracy: 100%")

train_dogs_vs_cats()
"""


def test_hyperdashs_decorator(tmp_path: Path, home: Path) -> None:
    """The decorator of Hyperdash's README prints its lines, names its log file, and arrives."""
    ended = Script(tmp_path, DOGS, install=False).run()
    assert (ended.status, ended.err) == (0, "")
    texts = ["{ learning rate: 0.005 }", "fitting", "| accuracy:   0.900000 |"]
    assert ended.out.splitlines()[:3] == texts
    assert "its output is in" in ended.out.splitlines()[3]
    assert messages(home, "stdout") == texts
    (began,) = events(home, "run_started")
    assert (began["run"]["name"], began["run"]["api"]) == ("dogs vs. cats", "monitor")
    assert (last_end(home) or {})["status"] == "success"


def test_hyperdashs_key_getter(tmp_path: Path) -> None:
    """The key that the getter returns is the one that is sent."""
    with FakeLoghookServer() as platform:
        ended = Script(tmp_path, GETTER, install=False).run(LOGHOOK_URL=platform.url, SECRET=platform.key)
        assert (ended.status, ended.err) == (0, "")
        records = [event["message"] for event in platform.platform.records()]
        assert records == ["Epoch 1, accuracy: 50%", "Epoch 2, accuracy: 75%", "Epoch 3, accuracy: 100%"]
        assert platform.platform.events()[-1]["status"] == "success"


# -------------------------------------------------------------------- functions


@loghook.monitor("named", quiet=True)
def add(one: int, other: int = 1, *, exp: Any = None) -> tuple[int, Any]:
    """Add two numbers."""
    return one + other, exp


def test_a_monitored_function_is_what_it_was(home: Path) -> None:
    """It has its name, its docstring, its signature, can be pickled, and returns what it returns."""
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Add two numbers.", __name__)
    assert list(inspect.signature(add).parameters) == ["one", "other", "exp"]
    assert pickle.loads(pickle.dumps(add)) is add
    assert add(1, other=2)[0] == 3
    assert isinstance(add(1)[1], loghook.Experiment)
    assert ends(home) == ["success", "success"]


def test_an_exp_of_the_callers_is_left_alone(home: Path) -> None:
    """Who passes `exp` himself, by name or by place, gets that one."""

    @loghook.monitor("x", quiet=True)
    def by_place(exp: Any, rest: int = 0) -> Any:
        return exp

    assert add(1, exp="mine") == (2, "mine")
    assert by_place("mine") == "mine"
    assert by_place("mine", 1) == "mine"


def test_any_keyword_takes_exp(home: Path) -> None:
    """A function with **kwargs is passed `exp`; one without either is not."""

    @loghook.monitor("x", quiet=True)
    def keywords(**kwargs: Any) -> list[str]:
        return sorted(kwargs)

    @loghook.monitor("x", quiet=True)
    def neither(*args: Any) -> tuple[Any, ...]:
        return args

    assert keywords(a=1) == ["a", "exp"]
    assert neither(1, 2) == (1, 2)


def test_an_exception_is_untouched(home: Path) -> None:
    """The very exception comes through, with the user's frames; the run is a failure that has it."""
    error = ValueError("no")

    @loghook.monitor("x", quiet=True)
    def fails() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        fails()
    assert caught.value is error
    assert caught.traceback[-1].name == "fails"
    assert (last_end(home) or {})["exception"].endswith("ValueError: no")


def test_a_wrong_call_is_the_functions_own_error(home: Path) -> None:
    """Too many arguments raise the function's own TypeError."""
    with pytest.raises(TypeError, match=r"add\(\) takes from 1 to 2 positional arguments"):
        add(1, 2, 3)  # type: ignore[call-arg]


def test_it_runs_on_the_callers_thread(home: Path) -> None:
    """The function runs on the thread that calls it."""

    @loghook.monitor("x", quiet=True)
    def thread() -> threading.Thread:
        return threading.current_thread()

    assert thread() is threading.current_thread()


def test_recursion_is_one_run(home: Path) -> None:
    """A function that calls itself is one experiment; one that another monitored function calls is its own."""

    @loghook.monitor("inner", quiet=True)
    def inner() -> None:
        print("inside")

    @loghook.monitor("fib", quiet=True)
    def fib(n: int, exp: loghook.Experiment) -> int:
        exp.metric("n", n, log=False)
        if n == 3:
            inner()
        return n if n < 2 else fib(n - 1) + fib(n - 2)  # type: ignore[call-arg]

    assert fib(6) == 8  # type: ignore[call-arg]
    assert sorted(event["run"]["name"] for event in events(home, "run_started")) == ["fib", "inner", "inner", "inner"]
    assert sum("metrics" in event for event in events(home, "record")) == 25
    assert messages(home, "stdout") == ["inside"] * 3


class Trainer:
    """Something with methods of every kind."""

    rate = 0.5

    @loghook.monitor("method", quiet=True)
    def method(self, exp: Any) -> tuple[float, bool]:
        """A method."""
        return self.rate, exp is not None

    @loghook.monitor("class method", quiet=True)
    @classmethod
    def inside(cls, exp: Any) -> tuple[type, bool]:
        """A class method, decorated from outside."""
        return cls, exp is not None

    @classmethod
    @loghook.monitor("class method", quiet=True)
    def outside(cls, exp: Any) -> tuple[type, bool]:
        """A class method, decorated from inside."""
        return cls, exp is not None

    @loghook.monitor("static method", quiet=True)
    @staticmethod
    def static(exp: Any) -> bool:
        """A static method."""
        return exp is not None


def test_methods_of_every_kind(home: Path) -> None:
    """Methods, class methods and static methods get their self or class, and `exp`."""
    trainer: Any = Trainer()
    assert trainer.method() == (0.5, True)
    assert trainer.inside() == (Trainer, True)
    assert trainer.outside() == (Trainer, True)
    assert trainer.static() is True
    assert ends(home) == ["success"] * 4


# -------------------------------------------------------------------- generators and coroutines


def test_a_generator_is_one_run(home: Path) -> None:
    """A generator takes what is sent and thrown, returns its value; only its own prints are captured."""

    @loghook.monitor("x", quiet=True)
    def items(exp: Any) -> Iterator[Any]:
        print("begin")
        got = yield 1
        print("got", got)
        try:
            yield 2
        except KeyError as error:
            print("caught", error)
        return (yield 3)

    made: object = items()  # type: ignore[call-arg]
    assert inspect.isgenerator(made)
    running: Any = made
    assert not by_writer(home)
    assert next(running) == 1
    print("outside")
    assert running.send("it") == 2
    assert running.throw(KeyError("k")) == 3
    with pytest.raises(StopIteration) as stop:
        running.send("value")
    assert stop.value.value == "value"
    assert messages(home, "stdout") == ["begin", "got it", "caught 'k'"]
    assert ends(home) == ["success"]


def test_a_generator_that_is_closed_is_a_success(home: Path) -> None:
    """A loop that is left early closes the generator, which runs its clean-up in the run."""

    @loghook.monitor("x", quiet=True)
    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            print("cleaning up")

    running = items()
    assert next(running) == 0
    running.close()  # type: ignore[attr-defined]
    assert messages(home, "stdout") == ["cleaning up"]
    assert ends(home) == ["success"]


def test_a_generator_that_fails_is_a_failure(home: Path) -> None:
    """An exception in a generator comes through and makes the run a failure."""

    @loghook.monitor("x", quiet=True)
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(items())
    assert ends(home) == ["failure"]


def test_coroutines_are_told_apart(home: Path) -> None:
    """Coroutines that run at once, on one thread, are runs with their own prints; tasks that they start too."""

    async def told(text: str) -> None:
        print(text)

    def coroutine(name: str) -> Any:
        @loghook.monitor(name, quiet=True)
        async def work(exp: loghook.Experiment) -> str:
            for i in range(3):
                print(name, i)
                await asyncio.sleep(0.001)
            await asyncio.create_task(told(f"{name} task"))
            return name

        assert inspect.iscoroutinefunction(work)
        return work()  # type: ignore[call-arg]

    async def both() -> Any:
        stranger = asyncio.create_task(told("from a stranger"))
        found = await asyncio.gather(coroutine("a"), coroutine("b"))
        await stranger
        return found

    assert list(asyncio.run(both())) == ["a", "b"]
    assert printed(home) == {name: [f"{name} 0", f"{name} 1", f"{name} 2", f"{name} task"] for name in "ab"}


def test_a_cancelled_coroutine_is_stopped(home: Path) -> None:
    """A coroutine that is cancelled stops its run, and the cancellation comes through."""

    @loghook.monitor("x", quiet=True)
    async def work() -> None:
        await asyncio.sleep(60)

    with pytest.raises(asyncio.TimeoutError):  # its own class up to 3.10
        asyncio.run(asyncio.wait_for(work(), 0.05))
    assert ends(home) == ["stopped"]


def test_an_async_generator_is_one_run(home: Path) -> None:
    """An async generator gives its items and takes what is sent; closing it early is a success."""

    @loghook.monitor("x", quiet=True)
    async def items(exp: Any) -> AsyncIterator[Any]:
        got = yield 1
        print("got", got)
        try:
            yield 2
        finally:
            print("closed")

    async def use() -> None:
        made: object = items()  # type: ignore[call-arg]
        assert inspect.isasyncgen(made)
        running: Any = made
        assert await anext(running) == 1
        print("outside")
        assert await running.asend("it") == 2
        await running.aclose()

    asyncio.run(use())
    assert messages(home, "stdout") == ["got it", "closed"]
    assert ends(home) == ["success"]


# -------------------------------------------------------------------- threads


def test_two_threads_make_two_clean_runs(home: Path) -> None:
    """Functions monitored at once on two threads each have their own prints, and pools that they start too."""
    meet = threading.Barrier(2, timeout=60)

    def training(name: str) -> None:
        @loghook.monitor(name, quiet=True)
        def train() -> None:
            with ThreadPoolExecutor(1) as pool:
                for i in range(3):
                    meet.wait()
                    print(name, i)
                    pool.submit(print, name, "pool", i).result()
            print(name, "error", file=sys.stderr)

        train()

    threads = [threading.Thread(target=training, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = printed(home)
    for name in "ab":
        assert sorted(found[name]) == sorted(
            [*(f"{name} {i}" for i in range(3)), *(f"{name} pool {i}" for i in range(3)), f"{name} error"]
        )
