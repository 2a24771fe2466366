"""Records as events: strict JSON for whatever comes, and the same event on the fast path and on the careful one."""

from __future__ import annotations

import copy
import gc
import json
import logging
import logging.config
import math
import sys
import time
import weakref
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loghook.formatter import LogHookFormatter, encode, plain

LIMIT = 1 << 20


def no_constant(name: str) -> NoReturn:
    """Refuse what Python's parser takes and JSON does not."""
    raise AssertionError(f"{name} is not JSON")


def strict(line: bytes) -> dict[str, Any]:
    """Read one event, strictly: one line, UTF-8, an object, no NaN, no zero byte."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\0" not in line
    event = json.loads(line.decode("utf-8", "strict"), parse_constant=no_constant)
    assert isinstance(event, dict)
    return event


def record(message: Any = "hello", *args: Any, **more: Any) -> logging.LogRecord:
    """A record as logging makes it, at INFO, on logger "train", with extras."""
    logger = logging.Logger("train")
    return logger.makeRecord("train", logging.INFO, "/src/train.py", 88, message, args, None, extra=more)


def event_of(message: Any = "hello", *args: Any, **more: Any) -> dict[str, Any]:
    """The event that a record becomes."""
    return strict(LogHookFormatter().event(record(message, *args, **more)))


class Evil:
    """An object none of whose methods can be called."""

    def _no(self, *args: object) -> NoReturn:
        raise Silent("no")

    __str__ = __repr__ = __float__ = __len__ = __iter__ = __format__ = __bool__ = items = item = _no


class Silent(Exception):
    """An error that can't say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


# ---------------------------------------------------------------- the usual record


def test_a_record_becomes_the_event_of_the_protocol() -> None:
    """A plain record has its time, level, logger, message and place, and no empty key."""
    made = record("epoch %d", 3)
    assert strict(LogHookFormatter().event(made)) == {
        "time": made.created,
        "level": "INFO",
        "logger": "train",
        "message": "epoch 3",
        "file": "train.py:88",
    }


def test_format_is_the_event_as_text() -> None:
    """`format`, which other handlers call, gives the same event without its newline."""
    made, formatter = record("ä", step=1), LogHookFormatter()
    assert formatter.format(made).encode() + b"\n" == formatter.event(made)


def test_metrics_and_step_have_keys_of_their_own() -> None:
    """Metrics are flat numbers under "metrics", the step is beside them, other extras are under "extra"."""
    event = event_of(metrics={"loss": 0.25, "val": {"acc": numpy.float32(0.5)}}, step=3, lr=1e-3, stage="fit")
    assert (event["metrics"], event["step"]) == ({"loss": 0.25, "val/acc": 0.5}, 3)
    assert event["extra"] == {"lr": 1e-3, "stage": "fit"}


@pytest.mark.parametrize(
    ("step", "kept"), [(0, 0), (-4, -4), (1.5, 1.5), (numpy.int64(7), 7), (True, 1), (2**70, float(2**70))], ids=repr
)
def test_a_step_is_any_finite_number(step: object, kept: float) -> None:
    """A step may be 0, negative, fractional, numpy's or huge."""
    assert event_of(metrics={"a": 1.0}, step=step)["step"] == kept


@pytest.mark.parametrize("step", ["three", math.nan, [1], 10**400], ids=lambda step: type(step).__name__)
def test_a_step_that_is_no_number_is_an_extra(step: object) -> None:
    """What can't be a step is kept among the extras."""
    event = event_of(metrics={"a": 1.0}, step=step)
    assert "step" not in event
    assert "step" in event["extra"]


@pytest.mark.parametrize("metrics", [0.5, "loss", [1.0], None, {}, 0, numpy.zeros(2)], ids=repr)
def test_metrics_that_are_no_mapping_are_an_extra(metrics: object) -> None:
    """What is no mapping under "metrics" is kept as an extra, but for nothing at all, and gives no metrics."""
    formatter = LogHookFormatter()
    event = strict(formatter.event(record(metrics=metrics)))
    assert "metrics" not in event
    assert ("extra" in event) == (metrics is not None and not isinstance(metrics, dict))
    assert formatter.odd_metrics == ({"metrics"} if "extra" in event else set())


def test_metrics_that_are_no_numbers_are_kept_and_named() -> None:
    """A metric that is no number is kept under extra, and its name is there for whoever warns."""
    formatter = LogHookFormatter()
    event = strict(formatter.event(record(metrics={"loss": 0.5, "note": "x", "v": {"m": [1]}})))
    assert event["metrics"] == {"loss": 0.5}
    assert event["extra"] == {"metrics": {"note": "x", "v/m": [1]}}
    assert formatter.odd_metrics == {"note", "v/m"}


def test_odd_names_do_not_pile_up() -> None:
    """Where nobody takes the odd names away they stop being kept, while records go on."""
    formatter = LogHookFormatter()
    for call in range(120):
        formatter.event(record(metrics={f"n{call}/{i}": "x" for i in range(1000)}))
    assert len(formatter.odd_metrics) <= 101_000


def test_extras_come_in_the_order_of_the_call() -> None:
    """Extras keep the order in which they were given, also beside attributes that others set on the record."""
    made = record(zebra=1, apple=2, metrics={"m": 1.0}, mango=3)
    made.message, made.asctime, made.taskName = "m", "now", "Task-1"
    assert list(strict(LogHookFormatter().event(made))["extra"]) == ["zebra", "apple", "mango"]


def test_a_stream_has_a_key_of_its_own() -> None:
    """A record of captured output says which stream it came from; another "stream" is an extra like any."""
    assert event_of(stream="stderr")["stream"] == "stderr"
    assert event_of(stream="river")["extra"] == {"stream": "river"}


def test_a_thread_is_named_unless_it_is_the_main_one() -> None:
    """The thread's name is on the event only where it tells something."""
    made = record()
    for name, expected in (("MainThread", None), ("worker-1", "worker-1"), (None, None)):
        made.threadName = name
        assert strict(LogHookFormatter().event(made)).get("thread") == expected


def test_extras_that_orjson_knows_keep_their_shape() -> None:
    """Dates, dataclasses and containers stay readable as JSON."""

    @dataclass
    class Config:
        rate: float = 0.5

    event = event_of(when=datetime(2020, 1, 2, tzinfo=timezone.utc), config=Config(), pair=(1, 2), path=Path("/a/b"))
    assert event["extra"] == {
        "when": "2020-01-02T00:00:00+00:00",
        "config": {"rate": 0.5},
        "pair": [1, 2],
        "path": "/a/b",
    }


# ---------------------------------------------------------------- the record stays what it was


def test_values_are_read_when_the_call_is_made() -> None:
    """What changes after the call does not change the event."""
    values, metrics, extra = [1], {"x": 1.0}, {"k": [1]}
    line = LogHookFormatter().event(record("%s", values, metrics=metrics, note=extra))
    values.append(2)
    metrics["x"] = 9.0
    extra["k"].append(2)
    event = strict(line)
    assert (event["message"], event["metrics"], event["extra"]) == ("[1]", {"x": 1.0}, {"note": {"k": [1]}})


@pytest.mark.parametrize("metrics", [{"loss": 0.5}, {"loss": {"deep": numpy.float32(1)}, "odd": "x"}])
def test_a_record_is_left_as_it_was(metrics: dict[str, Any]) -> None:
    """Other handlers get the very record: its attributes are what they were, in the same order."""
    made = record("%s %s", "a", [1], metrics=metrics, step=1, note={"k": 1})
    before = list(made.__dict__.items())
    LogHookFormatter().event(made)
    assert list(made.__dict__.items()) == before


def test_a_traceback_has_a_key_of_its_own_and_is_made_once() -> None:
    """The traceback is under "exception", the message stays, and exc_text is shared as logging shares it."""
    try:
        {"here": 1}["missing"]
    except KeyError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    before = dict(made.__dict__)
    event = strict(LogHookFormatter().event(made))
    assert event["message"] == "failed"
    assert event["exception"].startswith("Traceback (most recent call last)")
    assert event["exception"].endswith("KeyError: 'missing'")
    assert made.exc_text == event["exception"]
    assert {**made.__dict__, "exc_text": None} == before
    made.exc_text = "as another formatter made it"
    assert strict(LogHookFormatter().event(made))["exception"] == "as another formatter made it"


def test_a_stack_has_a_key_of_its_own() -> None:
    """`stack_info=True` is under "stack", beside the message."""
    made = record("here")
    made.stack_info = "Stack (most recent call last):\n  File ..."
    assert strict(LogHookFormatter().event(made))["stack"] == made.stack_info


def test_an_exception_whose_text_can_not_be_made_is_still_told() -> None:
    """An exception that raises while it is shown leaves its type, and costs neither record nor message."""
    made = record("failed")
    made.exc_info = (Silent, Silent(), None)
    event = strict(LogHookFormatter().event(made))
    assert event["message"] == "failed"
    assert "Silent" in event["exception"]


@pytest.mark.parametrize(
    "exc_info", [True, 1, "text", (None, None, None), (Evil, Evil(), Evil())], ids=lambda x: str(type(x))
)
def test_exc_info_of_any_kind_is_survived(exc_info: Any) -> None:
    """An exc_info that is none, as hand-made records have it, costs no record."""
    made = record("failed")
    made.exc_info = exc_info
    assert strict(LogHookFormatter().event(made))["message"] == "failed"


def test_nothing_of_a_record_is_kept() -> None:
    """After the event is made nothing refers to arguments, metrics or extras any more."""

    class Value:
        def item(self) -> float:
            return 1.0

    for place in ("metrics", "odd", "extra", "argument"):
        value = Value()
        watch = weakref.ref(value)
        formatter = LogHookFormatter()
        made = record("%s", value if place == "argument" else "", metrics={"a": value if place == "metrics" else 1})
        if place == "odd":
            made.metrics = {"a": [value]}
        if place == "extra":
            made.extra = {"b": value}
        formatter.event(made)
        del value, made
        gc.collect()
        assert watch() is None, place


# ---------------------------------------------------------------- everything that is not usual


@pytest.mark.parametrize(
    ("message", "args"),
    [("%d", ("x",)), ("%s %s", ("one",)), ("none", ("one",)), ("%(a)s", ("x",)), ("%", (1,)), ("%s", (Evil(),))],
)
def test_arguments_that_do_not_match_are_shown_beside_the_message(message: str, args: tuple[Any, ...]) -> None:
    """A message that can't be formatted is kept as it is, with its arguments and the reason."""
    text = event_of(message, *args)["message"]
    assert text.startswith(f"{message} [")
    assert "(not formatted: " in text


def test_a_message_of_any_type_is_text() -> None:
    """A message that is no text is shown as its text, as logging does."""
    assert event_of({"a": 1})["message"] == "{'a': 1}"
    assert event_of(ValueError("no"))["message"] == "no"
    assert "can't be shown" in event_of(Evil())["message"]


@pytest.mark.parametrize("text", ["\ud800 half", "nul \0 byte", "\u2028", "\x1b[31m", "𝄞 é 损失", "\r\n\t", '"\\'])
def test_any_text_is_kept_or_shown_escaped(text: str) -> None:
    """Any Unicode comes back as it was, and half a surrogate pair as its escape, wherever it stands."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    event = event_of(text, metrics={text: 1.0}, **{text: text})
    assert event["message"] == shown
    assert event["metrics"] == {shown: 1.0}
    assert event["extra"] == {shown: shown}


def test_a_huge_message_keeps_head_and_tail() -> None:
    """Of a 50 MB message head and tail stay, with its length between them, and it takes no long time."""
    message = "head " + "x" * 50_000_000 + " tail"
    started = time.thread_time()
    line = LogHookFormatter().event(record(message, metrics={"loss": 1.0}, step=3, note="kept"))
    assert time.thread_time() - started < 5  # what it costs, however busy the machine is
    event = strict(line)
    assert LIMIT // 2 < len(line) <= LIMIT
    assert event["message"].startswith("head x")
    assert event["message"].endswith("x tail")
    assert "(50000010 characters," in event["message"]
    assert (event["metrics"], event["step"], event["extra"]) == ({"loss": 1.0}, 3, {"note": "kept"})


@pytest.mark.parametrize("character", ["é", "𝄞", "\0", "\ud800"])
def test_a_huge_message_fits_however_wide_its_characters_are(character: str) -> None:
    """The limit holds in bytes of JSON, not in characters."""
    assert len(LogHookFormatter(message_limit=100_000).event(record(character * 200_000))) <= 100_000


def test_a_huge_traceback_is_cut_and_the_message_is_not() -> None:
    """Whatever is too long is cut, what is short beside it stays whole."""
    made = record("short")
    made.exc_text = "Traceback " + "frame\n" * 1_000_000 + "ValueError: no"
    line = LogHookFormatter().event(made)
    event = strict(line)
    assert len(line) <= LIMIT
    assert event["message"] == "short"
    assert event["exception"].endswith("ValueError: no")


def cyclic() -> Any:
    """A container in itself."""
    ring: dict[str, Any] = {"a": 1}
    ring["self"] = [ring, ring]
    return ring


def deep() -> Any:
    """A container that is nested beyond all measure."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


def tangled() -> Any:
    """A small container that is large when it is written out, and that JSON has no word for."""
    value: Any = [object()]
    for _ in range(7):
        value = [value, value, value, value]
    return value


EXTRAS: dict[str, Any] = {
    "cyclic": cyclic,
    "deep": deep,
    "tangled": tangled,
    "huge list": lambda: [list(range(1000))] * 2000,
    "huge text": lambda: ["x" * 10_000] * 2000,
    "huge bytes": lambda: b"\0" * 20_000_000,
    "huge array": lambda: numpy.zeros(1_000_000),
    "huge integer": lambda: 10**5000,
    "odd keys": lambda: {None: 1, (1, 2): 2, 1.5: 3, b"x": 4, Evil(): 5},
    "object": object,
    "evil": Evil,
    "evil inside": lambda: [{"a": Evil()}, {Evil(): 1}],
    "class": lambda: Evil,
    "function": lambda: deep,
    "set": lambda: {1, "a", None},
    "exception": lambda: ValueError("no"),
    "silent exception": Silent,
    "nan": lambda: [math.nan, math.inf],
    "complex": lambda: 1j,
    "generator": lambda: (i for i in range(3)),
    "module": lambda: sys,
    "lock": lambda: logging._lock,  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_of_any_kind_costs_no_record(name: str) -> None:
    """Whatever an extra is, the event is strict JSON within the limit, in a moment, its message and metrics whole."""
    made = record("message", metrics={"loss": 0.5, "odd": EXTRAS[name]()}, odd=EXTRAS[name]())
    started = time.thread_time()
    line = LogHookFormatter().event(made)
    assert time.thread_time() - started < 5  # what it costs, however busy the machine is
    event = strict(line)
    assert len(line) <= LIMIT
    assert event["message"] == "message"
    assert event["metrics"]["loss"] == 0.5
    assert "odd" in event["extra"]


def test_ten_thousand_metrics_are_one_event() -> None:
    """Ten thousand metrics of one call stay together."""
    assert len(event_of(metrics={f"layer{i}/grad": float(i) for i in range(10_000)})["metrics"]) == 10_000


@pytest.mark.parametrize("value", [0.5, numpy.float32(0.5)])
def test_metrics_beyond_the_limit_go_into_several_events(value: Any) -> None:
    """Metrics are never cut: too many for one event they follow in further ones of the same time and step."""
    names = [f"{i:05d}" + "n" * 240 for i in range(10_000)]
    line = LogHookFormatter().event(record("step", metrics=dict.fromkeys(names, value), step=3, note="once"))
    events = [strict(part) for part in line.splitlines(keepends=True)]
    assert all(len(part) <= LIMIT for part in line.splitlines(keepends=True))
    assert [name for event in events for name in event["metrics"]] == names
    assert {(event["time"], event["step"]) for event in events} == {(events[0]["time"], 3)}
    assert [event["message"] for event in events] == ["step"] + [""] * (len(events) - 1)
    assert [event.get("extra") for event in events] == [{"note": "once"}] + [None] * (len(events) - 1)


def test_a_metric_name_that_is_too_long_is_cut_on_every_path() -> None:
    """A name past 250 characters is cut to the same name, whether its value is a float or not."""
    name = "n" * 300
    assert event_of(metrics={name: 1.0})["metrics"].keys() == event_of(metrics={name: numpy.int8(1)})["metrics"].keys()
    assert max(map(len, event_of(metrics={name: 1.0})["metrics"])) == 250


@pytest.mark.parametrize("missing", [*logging.makeLogRecord({}).__dict__, "everything"])
def test_a_record_that_lacks_an_attribute_is_taken(missing: str) -> None:
    """A record from which somebody took an attribute away becomes an event all the same, with a time."""
    made = record("hello", note=1)
    for name in list(made.__dict__) if missing == "everything" else [missing]:
        del made.__dict__[name]
    event = strict(LogHookFormatter().event(made))
    assert isinstance(event["time"], float)


@pytest.mark.parametrize("created", ["2020-01-01", None, math.nan, math.inf, Evil()], ids=lambda x: type(x).__name__)
def test_a_time_that_is_none_becomes_now(created: Any) -> None:
    """A hand-made record whose time is no number gets the present one where the careful path sees it."""
    made = record("hello", note=object())
    made.created = created
    assert abs(strict(LogHookFormatter().event(made))["time"] - time.time()) < 60


@pytest.mark.parametrize("taken", sorted(logging.makeLogRecord({}).__dict__))
@pytest.mark.parametrize(
    "more", [{}, {"metrics": {"loss": 0.5}}, {"metrics": {"loss": 0.5}, "step": 3}, {"user": "u"}], ids=str
)
def test_what_a_filter_takes_away_takes_nothing_else_along(taken: str, more: dict[str, Any]) -> None:
    """Where an attribute is gone, such as `taskName`, and others have come, each of those is in the event."""
    formatter = LogHookFormatter()
    for _ in range(20):
        formatter.event(record(**more, request=7))
        made = record(**more, request=7)
        del made.__dict__[taken]
        event = strict(formatter.event(made))
        assert event["extra"] == {"request": 7, **{name: more[name] for name in more if name == "user"}}
        assert event.get("metrics") == more.get("metrics")
        assert event.get("step") == more.get("step")


def test_a_record_says_itself_what_it_says() -> None:
    """The text of a record whose class makes its own message, to mask it say, is that message."""

    class Masked(logging.LogRecord):
        def getMessage(self) -> str:
            return "****"

    made = Masked("train", logging.INFO, "train.py", 1, "card %s", ("4111",), None)
    assert strict(LogHookFormatter().event(made))["message"] == "****"


@pytest.mark.parametrize("name", ["created", "levelname", "name"])
@pytest.mark.parametrize("value", [None, 5, math.nan, "x", [], True], ids=str)
def test_an_odd_standard_attribute_is_made_usual(name: str, value: Any) -> None:
    """Time, level and logger are a finite number and two texts, whatever stands in their place."""
    made = record("hello")
    made.__dict__[name] = value
    event = strict(LogHookFormatter().event(made))
    assert math.isfinite(event["time"])
    assert isinstance(event["level"], str)
    assert isinstance(event["logger"], str)


def test_a_subclass_of_record_may_put_its_own_in_front() -> None:
    """Attributes that a LogRecord subclass sets before the standard ones are extras too."""

    class Mine(logging.LogRecord):
        def __init__(self, *args: Any) -> None:
            self.request = 7
            super().__init__(*args)

    made = Mine("train", logging.INFO, "train.py", 1, "hello", (), None)
    assert strict(LogHookFormatter().event(made))["extra"] == {"request": 7}


# ---------------------------------------------------------------- properties

EVIL = [Evil(), Silent(), object(), 1j, math.nan, b"\xff", "\ud800", 10**400, deep(), cyclic(), numpy.zeros(2), Evil]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)
values = st.recursive(
    scalars | st.integers(0, len(EVIL) - 1).map(lambda at: EVIL[at]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4) | st.tuples(inner) | st.sets(scalars)
    ),
    max_leaves=8,
)
names = st.sampled_from(list(logging.makeLogRecord({}).__dict__)) | st.sampled_from(["metrics", "step", "stream"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names | st.text(), values, max_size=6))
def test_a_record_of_any_kind_becomes_strict_json(attributes: dict[str, Any]) -> None:
    """Whatever the attributes of a record are, its event is strict JSON with time, level, logger and message."""
    made = record("hello")
    made.__dict__.update(attributes)
    for part in LogHookFormatter().event(made).splitlines(keepends=True):
        assert {"time", "level", "logger", "message"} <= strict(part).keys()


usual_extras = st.dictionaries(
    st.text(min_size=1, max_size=10).filter(lambda name: name not in ("metrics", "step", "stream")),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text(), max_size=3),
    max_size=4,
)
usual_numbers = st.floats() | st.integers() | st.booleans() | st.floats().map(numpy.float64)
usual_metrics = usual_numbers | st.dictionaries(st.text(), usual_numbers, max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    message=st.text(),
    level=st.sampled_from(["DEBUG", "INFO", "WARNING"]),
    metrics=st.none() | st.dictionaries(st.text(), usual_metrics, max_size=5),
    step=st.none() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    extras=usual_extras,
    trace=st.sampled_from(["", "Traceback ...\nValueError"]),
    thread=st.sampled_from(["MainThread", "worker", None]),
)
@example("m", "INFO", {"n" * 251: 1.0}, 0, {}, "", "MainThread")
@example("m" * 1000, "INFO", {}, 0, {}, "", "MainThread")
@example("\ud800", "INFO", {"a": -0.0}, 0, {"stream": "stdout"}, "", "MainThread")
@example("m", "INFO", {"val": {}}, 1.5, {"stream": "stdout"}, "", "MainThread")
def test_the_fast_path_and_the_careful_path_agree(
    message: str, level: str, metrics: dict[str, Any] | None, step: float | None, extras: Any, trace: str, thread: Any
) -> None:
    """For usual records the fast path writes, byte for byte, what the careful one does."""
    made = record(message)
    made.levelname, made.threadName = level, thread
    if metrics is not None:
        made.metrics = metrics
    if step is not None:
        made.step = step
    made.exc_text = trace
    for name in extras.keys() - made.__dict__.keys():
        made.__dict__[name] = extras[name]
    formatter = LogHookFormatter()
    fast = formatter.event(copy.copy(made))
    careful = formatter._careful(copy.copy(made))
    assert json.loads(fast) == json.loads(careful)
    assert sorted(json.loads(fast)) == sorted(json.loads(careful))


@settings(max_examples=200, deadline=None)
@given(values, st.integers(16, 1000), st.integers(0, 50))
def test_plain_is_json_for_anything(value: Any, text: int, items: int) -> None:
    """`plain` makes JSON of anything, with no more items than asked for."""
    copied = plain(value, text=text, items=items)
    json.dumps(copied, allow_nan=False).encode()


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1), values, max_size=4), st.sampled_from([2000, 1 << 20]))
def test_encode_is_strict_json_for_anything(event: dict[str, Any], limit: int) -> None:
    """`encode` writes any event as one line of strict JSON."""
    event.pop("metrics", None)
    strict(encode(event, limit))


# ---------------------------------------------------------------- as logging configures it


@pytest.mark.parametrize(
    "entry",
    [
        {"class": "loghook.LogHookFormatter"},
        {"()": "loghook.LogHookFormatter"},
        {"()": "loghook.LogHookFormatter", "message_limit": 1000},
        {"class": "loghook.LogHookFormatter", "format": "%(message)s", "datefmt": "%H"},
    ],
    ids=str,
)
def test_dictconfig_can_name_the_formatter(entry: dict[str, Any], tmp_path: Path) -> None:
    """dictConfig makes a LogHookFormatter for any handler from its class alone, and a format changes nothing."""
    file = {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "formatter": "events"}
    loggers = {"tests.formatter": {"handlers": ["file"], "level": "INFO", "propagate": False}}
    config = {"version": 1, "disable_existing_loggers": False, "formatters": {"events": entry}}
    logging.config.dictConfig({**config, "handlers": {"file": file}, "loggers": loggers})
    logger = logging.getLogger("tests.formatter")
    logger.info("hello", extra={"metrics": {"loss": 0.5}})
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    event = strict((tmp_path / "log").read_bytes())
    assert (event["message"], event["metrics"]) == ("hello", {"loss": 0.5})
