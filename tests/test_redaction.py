"""Secrets are replaced before they reach a file, by value and by shape; what is none stays as it is."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import loghook
from loghook.formatter import LogHookFormatter
from loghook.redaction import NONE, PrivateKey, Redaction
from loghook.testing import FakeLoghookServer

from .planted import AROUND, SHAPES
from .scripts import Script, events, messages

HARMLESS = [
    "epoch 3/20 step 1200: loss=0.3123 acc=0.9123 lr=3.0e-4",
    "commit 0123456789abcdef0123456789abcdef01234567 on main",
    "run 550e8400-e29b-41d4-a716-446655440000 and 0123456789ABCDEF0123456789ABCDEF",
    "saved /data/checkpoints/epoch_0003_step_012000_validation_accuracy.pt",
    "C:\\Users\\me\\AppData\\Local\\Programs\\Python\\Python311\\python.exe",
    "s3://bucket/key/0123456789abcdef0123456789abcdef/part-00000-of-00128.parquet",
    "http://host:8080/path?mail=joe@example.org, https://example.org/@joe, ssh://git@github.com/o/r",
    "mail joe@example.org about http://localhost:8080/runs",
    "password: wrong", "the password is missing", "password=get_password(), user.password = password",
    "Authorization failed for user 7", "basic configuration of a token classification model",
    "bert-for-token-classification-large-uncased", "KeyError: 'token_type_ids'", "max_tokens=4096, pad_token='[PAD]'",
    "task-classification-model-2-large", "sk-learn-random-forest-classifier",
    "DistributedDataParallelCommunicationHookType", "keyboard_interrupt_handler_thing",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "----------------------------------------", "{'lr': 0.00012345678901234567, 'betas': (0.9, 0.999)}",
    'File "train.py", line 3, in <module>\n    client = Client(api_key=settings.api_key, token=token)',
    "größer als 3 µm: ✓",
]  # fmt: skip

VALUE = 'p"ä\\ss!w%rd1'
ENVIRON = {"DB_PASSWORD": VALUE, "WANDB_API_KEY": "fedcba9876543210fedcba9876543210fedcba98"}


@pytest.fixture
def redaction() -> Redaction:
    """A redaction that knows an environment."""
    known = Redaction()
    known.learn(ENVIRON)
    return known


def line_of(message: str, **more: Any) -> bytes:
    """An event with a message."""
    return orjson.dumps({"time": 1.5, "level": "INFO", "message": message, **more}, None, orjson.OPT_APPEND_NEWLINE)


# -------------------------------------------------------------------- what is replaced


@pytest.mark.parametrize("what", SHAPES)
@pytest.mark.parametrize("around", ["{}", "it is {}!", "token_id={}", "x\\n{}", "ä {} ö", '["{}"]', "?key={}&a=1"])
def test_a_shape_is_replaced(redaction: Redaction, what: str, around: str) -> None:
    """A secret of each shape is replaced by what it is, wherever it stands; what is around it stays."""
    shown = redaction.text(around.format(SHAPES[what]))
    assert shown == around.format(f"[redacted: {what}]")


@pytest.mark.parametrize("around", AROUND)
def test_a_place_is_known(redaction: Redaction, around: str) -> None:
    """What stands in a header, a URL or behind a telling name is replaced, and nothing around it."""
    what, secret = AROUND[around]
    assert redaction.text(around.format(secret)) == around.replace("{!r}", "'{}'").format(f"[redacted: {what}]")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(redaction: Redaction, text: str) -> None:
    """Hashes, ids, paths, numbers, addresses, code and prose are left alone, as text and as an event."""
    assert redaction.text(text) == text
    line = line_of(text, extra={"note": text})
    assert redaction.line(line) == line


@pytest.mark.parametrize(
    "shown",
    [str, repr, ascii, json.dumps, lambda v: json.dumps(v, ensure_ascii=False), lambda v: repr(json.dumps(v))],
)
def test_a_value_is_replaced_however_it_is_shown(redaction: Redaction, shown: Callable[[str], str]) -> None:
    """A secret of the environment is found in plain text, in a repr and in JSON, with whatever characters it has."""
    text = f"it is {shown(VALUE)} here"
    assert "[redacted: DB_PASSWORD]" in redaction.text(text)
    line = redaction.line(line_of(text))
    message = json.loads(line)["message"]
    assert message == redaction.text(text)
    assert "ss!w" not in message


def test_a_value_in_a_url_is_replaced(redaction: Redaction) -> None:
    """A value is found as it is quoted in a URL."""
    assert redaction.text("GET /?q=p%22%C3%A4%5Css%21w%25rd1") == "GET /?q=[redacted: DB_PASSWORD]"


@pytest.mark.parametrize(
    ("name", "value", "is_replaced"),
    [
        ("MY_TOKEN", "abcdef-12345", True),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", True),
        ("API_KEY", "zyx-98765", True),
        ("OPENAI_API_KEY", "some.thing.4", True),
        ("PGPASSWORD", "correct horse", True),
        ("mysql_pwd", "abc$defg", True),
        ("DATABASE_URL", "postgres://me:abc$defg@h/db", True),
        ("SESSION_SECRET", "Zürich-2026", True),
        ("DB_PASSWORD", "postgres", False),
        ("DB_PASSWORD", "abc$12", False),
        ("DEBUG_TOKEN", "true", False),
        ("USE_KEY", "1", False),
        ("CACHE_KEY", "20261121", False),
        ("SSL_KEY", "/etc/hosts", False),
        ("PWD", "/some-where/not-there", False),
        ("TOKENIZERS_PARALLELISM", "some-thing-1", False),
        ("MAX_TOKENS", "some-thing-1", False),
        ("AWS_REGION", "eu-central-1", False),
        ("KEYBOARD_LAYOUT", "de-latin1-x", False),
    ],
)
def test_the_name_of_a_variable_says_that_it_is_secret(name: str, value: str, is_replaced: bool) -> None:
    """Values of variables with telling names are replaced, unless they are short, a word, a number or a file."""
    redaction = Redaction()
    redaction.learn({name: value})
    secret = "abc$defg" if "://" in value else value
    expected = f"x [redacted: {name}] y" if is_replaced else f"x {secret} y"
    assert redaction.text(f"x {secret} y") == expected


def test_more_names_can_be_given() -> None:
    """The values of further variables are replaced, whatever they are; names may have a `*`."""
    redaction = Redaction(["SITE_*", "PIN"])
    redaction.learn({"SITE_CODE": "abc", "PIN": "9317", "OTHER": "xyz"})
    assert redaction.text("abc 9317 xyz") == "[redacted: SITE_CODE] [redacted: PIN] xyz"


def test_a_value_stays_known(redaction: Redaction) -> None:
    """What a variable held before it was changed or deleted is still replaced."""
    redaction.learn({"DB_PASSWORD": "another!1"})
    redaction.learn({})
    assert redaction.text(f"{VALUE} another!1") == "[redacted: DB_PASSWORD] [redacted: DB_PASSWORD]"


def test_values_may_hold_each_other() -> None:
    """Of two values one of which is a part of the other the longer is found."""
    redaction = Redaction()
    redaction.learn({"A_TOKEN": "abc$defg", "B_TOKEN": "abc$defg-hij"})
    assert redaction.text("abc$defg-hij abc$defg") == "[redacted: B_TOKEN] [redacted: A_TOKEN]"


def test_the_newest_keys_are_known() -> None:
    """Of very many keys those found last are known; a log call never has to look for all that there ever were."""
    redaction = Redaction()
    for number in range(2000):
        redaction.add_key(f"key-{number:08d}")
        redaction.add_key(f"a-long-key-of-a-long-run-{number:08d}")
    assert redaction.text("key-00001999 a-long-key-of-a-long-run-00001999") == "[redacted: API key] [redacted: API key]"
    assert len(redaction.hints) < 100


def test_names_hide_params() -> None:
    """What a param or an extra of a telling name holds is replaced at any depth; switches, special tokens are not."""
    params = {"db": {"password": "abcd", "user": "joe"}, "apiKey": "shrt", "pad_token": "[PAD]", "max_tokens": 4096}
    event = {"event": "params", "params": {**params, "token": True, "auth_token": "x-y-z", "primary_key": "name"}}
    shown = json.loads(Redaction().rewritten(orjson.dumps(event)))["params"]
    assert shown == {
        **event["params"],  # type: ignore[dict-item]
        "db": {"password": "[redacted: password]", "user": "joe"},
        "apiKey": "[redacted: apiKey]",
        "auth_token": "[redacted: auth_token]",
    }


@pytest.mark.parametrize(
    ("name", "held", "shown"),
    [
        ("password", 12345678, "[redacted: password]"),
        ("db_pwd", 0.12345, "[redacted: db_pwd]"),
        ("api_key", ["a", "hunter2hunter2", [4711]], ["a", "[redacted: api_key]", ["[redacted: api_key]"]]),
        ("credentials", {"user": "joe doe", "n": [1, None]}, {"user": "[redacted: credentials]", "n": [1, None]}),
        ("secret", {"api_key": {"a": "abcd"}}, {"api_key": {"a": "[redacted: api_key]"}}),
        ("password=Abc123 secret", "abcd", "[redacted: secret]"),
        ("use_auth_token", True, True),
        ("access_token", None, None),
        ("hub_token", ["[PAD]", "<eos>", "***", ""], ["[PAD]", "<eos>", "***", ""]),
        ("token", "abcd", "[redacted: token]"),
        ("token", 50256, 50256),
        ("token", ["the", "lazy", {"id": 50256}], ["the", "lazy", {"id": 50256}]),
        ("max_tokens", [4096, "abcd"], [4096, "abcd"]),
    ],
)
def test_a_name_hides_whatever_it_holds(name: str, held: object, shown: object) -> None:
    """Texts and numbers under a telling name are replaced, in lists and mappings too; what says nothing stays."""
    line = orjson.dumps({"event": "params", "params": {"a": [{name: held}]}})
    once = Redaction().rewritten(line)
    assert json.loads(once)["params"] == {"a": [{Redaction().text(name): shown}]}
    assert Redaction().rewritten(once) == once


def test_a_printed_private_key_leaves_one_line() -> None:
    """A private key that is printed line by line is taken out, also where its lines come in several pieces."""
    block = PrivateKey()
    lines = ["before", *f"key: {SHAPES['private key']}".split("\n"), "after"]
    assert [line for one in lines for line in block.taken_out([one])] == [
        "before",
        "key: [redacted: private key]",
        "after",
    ]
    assert PrivateKey().taken_out(lines) == ["before", "key: [redacted: private key]", "after"]
    unfinished = ["-----BEGIN PRIVATE KEY-----", "an ordinary line", "x"]
    assert PrivateKey().taken_out(unfinished) == ["[redacted: private key]", "an ordinary line", "x"]


# -------------------------------------------------------------------- what never happens


TEXTS = st.lists(
    st.one_of(st.text(), st.sampled_from([*SHAPES.values(), *AROUND, *HARMLESS, VALUE, *ENVIRON.values()])), max_size=6
).map("".join)


@given(text=TEXTS, name=TEXTS, metric=st.floats(allow_nan=False, allow_infinity=False), step=st.integers(0, 1 << 53))
def test_an_event_stays_an_event(text: str, name: str, metric: float, step: int) -> None:
    """Whatever is in it: the line stays JSON, metrics and step are untouched, and a second time changes nothing."""
    redaction = Redaction()
    redaction.learn(ENVIRON)
    text, name = (t.encode("utf-8", "replace").decode() for t in (text, name))
    line = line_of(text, extra={name: [text, {"a": text}]}, metrics={name: metric}, step=step)
    once = redaction.line(line)
    event = json.loads(once)
    assert (event["metrics"], event["step"], event["time"]) == ({name: metric}, step, 1.5)
    assert (once[-1:], once.count(b"\n")) == (b"\n", 1)
    assert redaction.line(once) == once
    assert redaction.text(redaction.text(text)) == redaction.text(text)


HOSTILE = [
    "a", "@", " ", "\\n", "eyJ", "eyJaaaaaaaaa.", "eyJaaaaaaaa.eyJaaaa", "sk-", "sk-a", "://a", "://a:", "://a:b@", "a@://",
    "password=", "password='", "password:\"", "secret", "token=", "token ",
    "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAA", "Authorization:", "Authorization: Bearer ", "bearer ",
    "Basic AAAAAAAAAAAAAAAA",
    "ghp_", "github_pat_", "AKIA", "AKIA0123456789012345", "ya29.", "1//0", "xoxb-", "hf_", "lh_",
    "SG.aaaaaaaaaaaaaaaaaaaaaa.", "123456789:AA", "key aaaaaaaaaaaaaaaaaaaaaa ", "[redacted: ", "ab" * 9 + "-",
]  # fmt: skip


def seconds(redaction: Redaction, text: str) -> float:
    """The processor's time that it takes to find the one secret behind a text."""
    text += f" assword uthorization :// @ PRIVATE KEY {SHAPES['AWS key']}"
    began = time.thread_time()
    shown = redaction.text(text)
    took = time.thread_time() - began
    assert SHAPES["AWS key"] not in shown
    return took


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_no_piece_takes_long(redaction: Redaction, piece: str) -> None:
    """A line made of one beginning of a secret takes time that grows as its length does."""
    assert seconds(redaction, (piece * (1 << 17))[: 1 << 17]) < 5.0  # what is quadratic takes far longer


@pytest.mark.slow
def test_a_megabyte_takes_seconds(redaction: Redaction) -> None:
    """A line of a megabyte made of all beginnings of secrets takes some seconds at most."""
    assert seconds(redaction, ("".join(HOSTILE) * (1 << 20))[: 1 << 20]) < 30.0


def test_an_event_that_cannot_be_looked_at_does_not_pass(redaction: Redaction) -> None:
    """At the end of the stack, where no event can be walked through, its text is left out and its metrics kept."""
    line = line_of(VALUE, metrics={"loss": 0.5}, extra={"a": [[[[[[[[[[VALUE]]]]]]]]]]})

    def deep() -> bytes:
        try:
            return deep()
        except RecursionError:
            return redaction.line(line)

    shown = json.loads(deep())
    assert shown["metrics"] == {"loss": 0.5}
    assert "ss!w" not in str(shown)


# -------------------------------------------------------------------- through the formatter


def make(message: object = "hello", *args: object, **more: Any) -> logging.LogRecord:
    """A record as logging makes it."""
    trace = more.pop("exc_info", None)
    return logging.Logger("train").makeRecord("train", logging.INFO, "train.py", 8, message, args, trace, extra=more)


@pytest.fixture
def formatter(redaction: Redaction) -> LogHookFormatter:
    """A formatter that replaces secrets."""
    formatter = LogHookFormatter(message_limit=4000)
    formatter.redact_with(redaction)
    return formatter


@pytest.mark.parametrize(
    "record",
    [
        make(f"it is {VALUE}"),
        make("it is %s", VALUE),
        make("hello", note=VALUE),
        make("hello", note={"deep": [VALUE]}),
        make("hello", password="abcd", note=VALUE),
        make(VALUE, metrics={"loss": 0.5, "count": 3}),
        make(VALUE + "x" * 9000),
        make("x" * 990 + VALUE + "x" * 9000),
        make("hello", exc_info=(ValueError, ValueError(VALUE), None)),
        make("hello", note=VALUE, metrics={f"m{i}": 0.5 for i in range(1000)}),
        make("hello", metrics={"loss": VALUE}),
        make("it is %s", SHAPES["AWS key"]),
        make(["x", VALUE]),
    ],
)
def test_records_are_rendered_without_secrets(formatter: LogHookFormatter, record: logging.LogRecord) -> None:
    """A secret is in no event, on the fast path and on the careful one, nor a half of one that was cut."""
    lines = formatter.event(record).splitlines()
    text = str([json.loads(line) for line in lines])
    for part in ("ss!w", 'p"', "%rd1", SHAPES["AWS key"], "abcd"):
        assert part not in text
    assert "[redacted: " in text


@pytest.mark.parametrize("more", [{}, {"metrics": {"loss": 0.5}, "step": 3}, {"note": "x"}], ids=str)
@pytest.mark.parametrize("text", [*SHAPES.values(), *(around.format(AROUND[around][1]) for around in AROUND), VALUE])
def test_the_short_way_misses_nothing(
    formatter: LogHookFormatter, redaction: Redaction, text: str, more: dict[str, Any]
) -> None:
    """What the thread that logs looks for by itself is all that reading with care would find."""
    for message in (text, f"it is {text}!"):
        assert json.loads(formatter.event(make(message, **more)))["message"] == redaction.text(message)


@pytest.mark.parametrize("more", [{}, {"metrics": {"count": 3}}, {"metrics": {f"m{i}": 1 for i in range(1000)}}])
@pytest.mark.parametrize(
    ("name", "held"), [("api_key", "abcd"), ("db_password", 4711), ("Secret", ["abcd"]), ("x" * 200 + "_pwd", "abcd")]
)
def test_the_name_of_an_extra_is_enough(formatter: LogHookFormatter, name: str, held: object, more: Any) -> None:
    """What an extra of a telling name holds is replaced, again and again, on the fast path and on the careful one."""
    for _ in range(2):
        formatter.event(make("hello", note="abcd", number=4711))
        line = formatter.event(make("hello", note="abcd", **{name: held}, **more)).splitlines()[0]
        extras = json.loads(line)["extra"]
        assert extras["note"] == "abcd"
        assert "[redacted: " in str(extras[name])
        assert "abcd" not in str(extras[name])


def test_extras_of_other_names_stay(formatter: LogHookFormatter) -> None:
    """However many names extras have, what stands under one that is not telling is what was logged."""
    extras: dict[Any, Any] = {"token": "word", "keys": "abcd", 7: "seven"}
    extras.update((f"name-{number}", number) for number in range(3000))
    for _ in range(2):
        for name, value in extras.items():
            record = make("hello")
            record.__dict__[name] = value
            assert json.loads(formatter.event(record))["extra"] == {str(name): value}
        assert json.loads(formatter.event(make("hello", api_key="abcd")))["extra"] == {"api_key": "[redacted: api_key]"}


def test_metrics_are_untouched(formatter: LogHookFormatter) -> None:
    """Metrics and step of a record whose text has a secret are exactly what was logged."""
    metrics = {"loss": 0.1 + 0.2, "tiny": 5e-324, "count": 3, "nan": float("nan")}
    event = json.loads(formatter.event(make(VALUE, metrics=metrics, step=7)))
    assert event["metrics"] == {"loss": 0.1 + 0.2, "tiny": 5e-324, "count": 3, "nan": "NaN"}
    assert (event["step"], event["message"]) == (7, "[redacted: DB_PASSWORD]")


def test_nothing_is_replaced_for_nobody() -> None:
    """A formatter that belongs to no run replaces nothing."""
    assert VALUE in json.loads(LogHookFormatter().event(make(VALUE)))["message"]
    assert NONE.text(VALUE) == VALUE


# -------------------------------------------------------------------- through every door

DOORS = """
import sys
secret, key = os.environ["DB_PASSWORD"], os.environ["SOME_SHAPE"]
run = loghook.install("doors %s" % key)
run.param("note", {"a": [secret, key]})
run.param("db_password", "abcd")
run.metric("loss", 0.5)
run.metric("bad", secret)
log.info("call %s", secret)
log.info("shape " + key, extra={"metrics": {"loss": 0.25}, "step": 3})
log.info("extra", extra={"note": {"x": [secret, key]}})
log.info("stack", stack_info=True, extra={"secret": secret})
try:
    raise ValueError(secret, key)
except ValueError:
    log.exception("caught")
log.warning(b"%s", secret)
with loghook.Experiment("inside %s" % key, params={"p": secret}) as exp:
    print("print", secret, key)
    sys.stdout.write(secret[:4]); sys.stdout.write(secret[4:] + "\\n")
    print("-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQ\\nq1bZ+2x/4f\\n-----END PRIVATE KEY-----")
    exp.log(secret)
    exp.param("q", key)
    exp.metric("m", 1)
os.environ["LATE_TOKEN"] = "came-late-0815"
run.keeper.wake.ring()
import time
deadline = time.monotonic() + 60
while "came-late" in run.redaction.text("came-late-0815") and time.monotonic() < deadline:
    time.sleep(0.05)
log.info("late came-late-0815")
raise RuntimeError(f"the end of {secret} {key}")
"""


def bytes_below(folder: Path) -> bytes:
    """All that is in the files of a folder, and their names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in files)


def test_no_door_lets_a_secret_through(tmp_path: Path, home: Path) -> None:
    """Log calls, extras, exceptions, prints, params, arguments, names, the end: no secret is in a file, nor sent."""
    key = SHAPES["GitHub token"]
    with FakeLoghookServer() as server:
        ended = Script(tmp_path, DOORS).run(
            f"--token={key}",
            key,
            LOGHOOK_URL=server.url,
            LOGHOOK_API_KEY=server.key,
            DB_PASSWORD=VALUE,
            SOME_SHAPE=key,
            LOGHOOK_SHUTDOWN_TIMEOUT="50",
        )
        assert ended.status == 1, ended.err
        sent = json.dumps(server.platform.events(), ensure_ascii=False)
    stored = bytes_below(home).decode("utf-8", "replace")
    for text in (sent, stored, "\n".join(ended.ours)):
        for part in ("ss!w", key, "came-late", "MIIEvQ", "q1bZ", "abcd", server.key):
            assert part not in text, text[max(0, text.index(part) - 200) : text.index(part) + 50]
    records = {event["message"]: event for event in server.platform.records() if event["message"]}
    assert records["shape [redacted: GitHub token]"]["metrics"] == {"loss": 0.25}
    for expected in ("call", "extra", "stack", "caught", "print", "late"):
        assert any(message.startswith(expected) for message in records), expected
    assert sum("loss" in event.get("metrics", {}) for event in server.platform.records()) == 2
    assert "print [redacted: DB_PASSWORD] [redacted: GitHub token]" in stored


@pytest.mark.parametrize("switch", ["argument", "variable"])
def test_it_can_be_switched_off(tmp_path: Path, home: Path, switch: str) -> None:
    """With `redact=False` or LOGHOOK_REDACT=0 everything is recorded as it was logged."""
    variables = {"LOGHOOK_REDACT": "0"} if switch == "variable" else {}
    code = f"import loghook, logging, os\nloghook.install('x'{', redact=False' * (switch == 'argument')})\n"
    code += "logging.getLogger('train').warning('it is %s', os.environ['DB_PASSWORD'])\n"
    ended = Script(tmp_path, code, install=False).run(DB_PASSWORD=VALUE, **variables)
    assert (ended.status, messages(home)) == (0, [f"it is {VALUE}"])


def test_output_too_is_recorded_as_it_was_printed(tmp_path: Path, home: Path) -> None:
    """With redaction off a private key that is printed is recorded line by line."""
    code = f"import loghook\nwith loghook.Experiment('x', redact=False):\n    print({SHAPES['private key']!r})\n"
    Script(tmp_path, code, install=False).run()
    assert messages(home, "stdout") == SHAPES["private key"].split("\n")


def test_a_variable_may_have_any_name(tmp_path: Path, home: Path) -> None:
    """A record with the secret of a variable whose name is no UTF-8 is kept, and shows the name escaped."""
    code = "log.warning('it is abcd1234-efgh5678', extra={'note': 'abcd1234-efgh5678'})\n"
    Script(tmp_path, code).run(**{"MY\udcff_TOKEN": "abcd1234-efgh5678"})
    [event] = events(home, "record")
    assert event["message"] == "it is [redacted: MY\\udcff_TOKEN]"
    assert event["extra"] == {"note": "[redacted: MY\\udcff_TOKEN]"}


def test_further_names_are_a_setting(tmp_path: Path, home: Path) -> None:
    """LOGHOOK_REDACT_NAMES names more variables."""
    code = "log.warning('it is %s', os.environ['SITE_CODE'])\n"
    Script(tmp_path, code).run(SITE_CODE="a1b2", LOGHOOK_REDACT_NAMES="PIN, SITE_*")
    assert messages(home) == ["it is [redacted: SITE_CODE]"]


def test_a_key_in_a_file_is_known(tmp_path: Path, home: Path) -> None:
    """The keys in the files of the settings are known from the first record, with no destination too."""
    home.mkdir()
    (home / "loghook.json").write_text(json.dumps({"api_key": "plain-key-1", "api_keys": {"http://h": "bound-key-2"}}))
    Script(tmp_path, "log.warning('plain-key-1 bound-key-2')\n").run()
    assert messages(home) == ["[redacted: API key] [redacted: API key]"]


def test_a_formatter_of_ones_own_replaces_too(home: Path) -> None:
    """A `LogHookFormatter` that a program gives to the handler replaces what the run's own does."""
    os.environ["DB_PASSWORD"] = VALUE
    handler = loghook.LogHookHandler("own")
    handler.setFormatter(LogHookFormatter())
    handler.handle(make(f"it is {VALUE}"))
    loghook.session.close(handler.run)
    assert [event["message"] for event in events(home, "record")] == ["it is [redacted: DB_PASSWORD]"]
