"""`monitor`: a decorator that makes an experiment of each call of a function, a method, a coroutine or a generator.

The module is not called `monitor`, for then importing it would put it in the place of `loghook.monitor`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from loghook.experiment import Experiment

__all__ = ["monitor"]

Function = TypeVar("Function")

_running: ContextVar[dict[object, Experiment]] = ContextVar("loghook_monitored", default={})  # noqa: B039 - never changed


def monitor(
    name: str,
    api_key_getter: Callable[[], str | None] | None = None,
    capture_io: bool = True,
    **settings: Any,
) -> Callable[[Function], Function]:
    """Make an experiment called `name` of each call of the decorated function; its value and exception stay untouched.

    It runs on the caller's thread. A function that names a parameter `exp`, or takes any keyword, is passed the
    `Experiment`. What it calls itself for, in recursion, belongs to the call that is under way. A coroutine is one
    experiment from its first step to its end, a generator from its first item to its last or until it is closed.
    `api_key_getter`, `capture_io` and `settings` are those of `Experiment`.
    """

    def begin() -> Experiment:
        return Experiment(name, api_key_getter, capture_io, api="monitor", **settings)

    def decorate(function: Any) -> Any:
        if isinstance(function, (classmethod, staticmethod)):
            return type(function)(decorate(function.__func__))
        calls = _Calls(function, begin)
        return functools.wraps(function)(calls.wrapper())

    return cast("Callable[[Function], Function]", decorate)


class _Calls:
    """The calls of one monitored function."""

    def __init__(self, function: Callable[..., Any], begin: Callable[[], Experiment]) -> None:
        self._function = function
        self._begin = begin
        self._signature, self._wants = _wants_experiment(function)

    def wrapper(self) -> Callable[..., Any]:
        """Return a function of the same kind that makes experiments of its calls."""
        if inspect.isasyncgenfunction(self._function):
            return lambda *args, **kwargs: self._async_items(args, kwargs)
        if inspect.iscoroutinefunction(self._function):

            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._call() as experiment:
                    return await self._function(*args, **self._pass(experiment, args, kwargs))

            return coroutine
        if inspect.isgeneratorfunction(self._function):
            return lambda *args, **kwargs: self._items(args, kwargs)

        def plain(*args: Any, **kwargs: Any) -> Any:
            with self._call() as experiment:
                return self._function(*args, **self._pass(experiment, args, kwargs))

        return plain

    @contextlib.contextmanager
    def _call(self) -> Iterator[Experiment]:
        """One call, from its beginning to its end; one in recursion joins the call that is under way."""
        running = _running.get()
        if self in running:
            yield running[self]
            return
        experiment = self._begin()
        with _ending(experiment), self._inside(experiment):
            yield experiment

    @contextlib.contextmanager
    def _inside(self, experiment: Experiment) -> Iterator[None]:
        """In this block the call's own code runs, and in no other."""
        before = _running.get()
        _running.set({**before, self: experiment})
        try:
            with experiment.scope():
                yield
        finally:
            _running.set(before)

    def _pass(self, experiment: Experiment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments with the experiment among them, if the function wants it and has none yet."""
        if not self._wants or "exp" in kwargs or self._is_given(args):
            return kwargs
        return {**kwargs, "exp": experiment}

    def _is_given(self, args: tuple[Any, ...]) -> bool:
        try:
            return self._signature is not None and "exp" in self._signature.bind_partial(*args).arguments
        except TypeError:
            return False  # too many arguments: the function will say so itself

    # ---------------------------------------------------------------- generators

    def _items(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        experiment = _running.get().get(self)
        with contextlib.ExitStack() as stack:
            if experiment is None:
                experiment = stack.enter_context(_ending(self._begin()))
            with self._inside(experiment):
                items = self._function(*args, **self._pass(experiment, args, kwargs))
            step: Callable[[], Any] = functools.partial(next, items)
            while True:
                try:
                    with self._inside(experiment):
                        item = step()
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield item
                except GeneratorExit:
                    with self._inside(experiment):
                        items.close()
                    raise
                except BaseException as error:
                    step = functools.partial(items.throw, error)
                else:
                    step = functools.partial(items.send, sent)

    async def _async_items(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        experiment = _running.get().get(self)
        with contextlib.ExitStack() as stack:
            if experiment is None:
                experiment = stack.enter_context(_ending(self._begin()))
            with self._inside(experiment):
                items = self._function(*args, **self._pass(experiment, args, kwargs))
            step: Callable[[], Any] = functools.partial(anext, items)
            while True:
                try:
                    with self._inside(experiment):
                        item = await step()
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    with self._inside(experiment):
                        await items.aclose()
                    raise
                except BaseException as error:
                    step = functools.partial(items.athrow, error)
                else:
                    step = functools.partial(items.asend, sent)


@contextlib.contextmanager
def _ending(experiment: Experiment) -> Iterator[Experiment]:
    """End an experiment as the block ends; a generator that is closed early has done what it was asked for."""
    try:
        yield experiment
    except GeneratorExit:
        experiment.end()
        raise
    except BaseException as error:
        experiment.fail(error, error.__traceback__)
        raise
    experiment.end()


def _wants_experiment(function: Callable[..., Any]) -> tuple[inspect.Signature | None, bool]:
    """Return a function's signature, and whether it names `exp` or takes any keyword."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one that is written in C
        return None, False
    parameters = signature.parameters
    named = "exp" in parameters and parameters["exp"].kind is not inspect.Parameter.POSITIONAL_ONLY
    return signature, named or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
