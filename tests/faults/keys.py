"""Keys that change under load, and secrets planted wherever a program can put them: nothing is lost, nothing leaks."""

from __future__ import annotations

import functools
import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.planted import SHAPES

from .campaign import Campaign, Figures, Row
from .proxy import Conversation, Proxy
from .serving import Platform

__all__ = ["ROWS"]

WAIT = 60.0
PATIENT = {"LOGHOOK_SHUTDOWN_TIMEOUT": "50"}
"""How long a program may take to deliver the rest on a busy machine is not what is tried here."""

ROTATING = """
import itertools, json, logging, os, sys, threading
from pathlib import Path
import loghook
from loghook.keyfile import store

how, place, keys = sys.argv[1], Path(__file__).with_name("loghook.json"), []

def turn(key):
    keys.append(key)
    if how == "environment":
        os.environ["LOGHOOK_API_KEY"] = key
    elif how == "file" and len(keys) % 2:
        store(place, api_key=key)
    elif how == "file":
        place.write_text(json.dumps({"api_key": key}))

turn(sys.stdin.readline().strip())
run = loghook.install("rotation", api_key_getter=(lambda: keys[-1]) if how == "getter" else None)
numbers, stop = itertools.count(), threading.Event()

def work():
    log = logging.getLogger("count")
    while not stop.wait(0.002):
        log.info("record %d", next(numbers))

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
print(run.id, flush=True)
for line in sys.stdin:
    turn(line.strip())
    logging.getLogger("told").info("the key is %s now", keys[-1], extra={"key": keys[-1], "run": repr(run)})
    print("turned", flush=True)
stop.set()
for thread in threads:
    thread.join()
print(next(numbers), flush=True)
"""


class Wire:
    """Records what goes through a proxy, and counts what the server refuses for its key."""

    def __init__(self) -> None:
        self.refused = 0
        self.taken_with: set[bytes] = set()
        """The keys with which something was taken."""
        self._requests: list[bytes] = []

    def pass_on(self, conversation: Conversation) -> None:
        """Hand on each request; what the proxy is told to do."""
        while request := conversation.request():
            self._requests.append(request)
            answer = conversation.upstream(request)
            if not answer:
                return
            status = answer.split(b" ", 2)[1]
            self.refused += status in (b"401", b"403")
            if status == b"200":
                self.taken_with.add(_key_of(request))
            conversation.send(answer)

    def text(self) -> bytes:
        """Return all that was sent, bodies unpacked, without the header that keys belong in."""
        return b"\n".join(_without_key(request) for request in list(self._requests))


def _key_of(request: bytes) -> bytes:
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(b"authorization: bearer "):
            return line.rpartition(b" ")[2]
    return b""


def _without_key(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"authorization:")]
    return b"\r\n".join([*lines, gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body])


def below(*folders: Path) -> bytes:
    """Return all that is in the files of some folders, and the names of the files."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(os.fsencode(path) + b"\n" + path.read_bytes() for path in files)


def shown_by_ps(pid: int) -> bytes:
    """Return the command lines and environments of a process and its descendants."""
    found = []
    for name in ("cmdline", "environ"):
        try:
            found.append(Path(f"/proc/{pid}/{name}").read_bytes())
        except OSError:
            continue  # it is gone, or another's
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [shown_by_ps(int(child)) for child in listing.read_text().split()]
    return b"\n".join(found)


def leaks(keys: Iterable[str], places: dict[str, bytes]) -> list[str]:
    """Return a sentence for each place in which there is a key, with what stands in front of the first."""
    sentences = []
    for where, data in places.items():
        found = sorted(data.index(key.encode()) for key in keys if key.encode() in data)
        if found:
            sentences.append(f"{len(found)} are {where}, the first after {data[max(0, found[0] - 60) : found[0]]!r}")
    return sentences


# -------------------------------------------------------------------- rotation


def rotation(campaign: Campaign, how: str) -> Figures:
    """Change the key again and again while four threads log; the server refuses the old one at once."""
    wire = Wire()
    with Platform(campaign.folder / "server") as platform, Proxy(platform.port) as proxy:
        proxy.set(wire.pass_on)
        return _rotated(campaign, how, wire, platform, proxy)


def _rotated(campaign: Campaign, how: str, wire: Wire, platform: Platform, proxy: Proxy) -> Figures:
    script = campaign.folder / "script" / "train.py"
    script.parent.mkdir()
    script.write_text(ROTATING)
    errors = campaign.folder / "stderr"
    number, key = _create(platform)
    keys, shown, times = [key], b"", campaign.times(50, 500)
    given = {"LOGHOOK_API_KEY": key} if how == "environment" else {}
    environ = {**os.environ, **PATIENT, **given, "LOGHOOK_URL": f"http://127.0.0.1:{proxy.port}"}
    environ["LOGHOOK_FLUSH_INTERVAL"] = "0.02"
    with errors.open("wb") as stderr:
        command = [sys.executable, str(script), how]
        program = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        with program:
            try:
                run = _ask(program, key)
                for _ in range(times):
                    _until(wire, keys[-1])
                    old, (number, key) = number, _create(platform)
                    keys.append(key)
                    _ask(program, key)
                    _revoke(platform, old)
                    shown += shown_by_ps(program.pid) + shown_by_ps(platform.pid)
                _until(wire, keys[-1])
                total = int(program.communicate(timeout=WAIT)[0])
            finally:
                program.kill()
    platform.wait_for(run, total, WAIT)
    lost, twice = platform.compare([run], total)
    disk = below(campaign.home, campaign.folder / "server")
    wrong = leaks(keys, {"on disk": disk, "on the wire": wire.text(), "on stderr": errors.read_bytes()})
    wrong += leaks(keys[len(given) :], {"in what ps shows": shown})
    if wire.refused > times:
        wrong.append(f"{wire.refused} requests were refused in {times} rotations")
    note = f"{total:,} records, {wire.refused} requests refused, {len(keys)} keys looked for"
    return Figures(times, lost, twice, tuple(wrong), note)


def _ask(program: subprocess.Popen[str], key: str) -> str:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{key}\n")
    program.stdin.flush()
    answer = program.stdout.readline().strip()
    if not answer:
        raise RuntimeError("the program died")
    return answer


def _until(wire: Wire, key: str) -> None:
    deadline = time.monotonic() + WAIT
    while key.encode() not in wire.taken_with:
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing was taken with the new key within {WAIT:g} s")
        time.sleep(0.005)


def _create(platform: Platform) -> tuple[int, str]:
    made = _call(platform, "POST", "/api/v1/keys")
    return int(made["id"]), str(made["key"])


def _revoke(platform: Platform, number: int) -> None:
    _call(platform, "DELETE", f"/api/v1/keys/{number}")


def _call(platform: Platform, method: str, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {platform.key}"}
    request = urllib.request.Request(f"{platform.api.url}{path}", headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return dict(json.loads(answer.read() or b"{}"))


# -------------------------------------------------------------------- planted secrets

DOORS = """
import json, logging, os, sys, threading
import loghook

secrets = json.load(sys.stdin)
everything = " ".join(secrets)
run = loghook.install("name " + everything, params={"param": {"deep": secrets}, "loss": 0.5})
log = logging.getLogger("doors")
for secret in secrets:
    run.param("later", secret)
    log.info("argument %s", secret)
    log.info("message " + secret)
    log.info({"object": secret})
    log.info("extra", extra={"note": secret, "deep": {"a": [secret]}})
    log.info("metrics", extra={"metrics": {"loss": 0.5, "odd": secret}, "step": 1})
    log.info("stack", stack_info=True, extra={"s": secret})
    try:
        raise ValueError(secret)
    except ValueError as error:
        log.info("caught", exc_info=error)
    thread = threading.Thread(target=lambda: {}[secret])
    thread.start()
    thread.join()
log.info("long %s %s %s", "x" * 600_000, everything, "y" * 600_000)
with loghook.Experiment("experiment " + everything, params={"p": secrets}) as exp:
    for secret in secrets:
        print("printed", secret)
        for character in "piecemeal " + secret + "\\n":
            sys.stdout.write(character)
        exp.log(secret)
        exp.param("q", secret)
raise RuntimeError(everything)
"""
MARKS = 40
"""How often at least each secret is replaced in what the server gets of a program that puts it through all doors."""


def planted(campaign: Campaign) -> Figures:
    """Plant a secret of each shape, and one of known value, in all that a program can say; then look everywhere."""
    wire = Wire()
    secrets = {**SHAPES, "DB_PASSWORD": 'p"ä\\ss!w%rd-2026'}
    folders = (campaign.home, campaign.folder / "server")
    with Platform(folders[1]) as platform, Proxy(platform.port) as proxy:
        proxy.set(wire.pass_on)
        environ = {**os.environ, **PATIENT, "LOGHOOK_URL": f"http://127.0.0.1:{proxy.port}"}
        environ["LOGHOOK_API_KEY"] = platform.key
        said = _say(campaign, list(secrets.values()), {**environ, "DB_PASSWORD": secrets["DB_PASSWORD"]})
        places = {"in loghook's own words": said, "on disk": below(*folders), "on the wire": wire.text()}
    wrong, tried = [], 0
    for what, secret in secrets.items():
        wrong += [f"{what}: {sentence}" for sentence in leaks(_parts(secret), places)]
        marks = places["on the wire"].count(f"[redacted: {what}]".encode())
        tried += marks
        if marks < MARKS:
            wrong.append(f"{what}: it was replaced {marks} times only")
    return Figures(tried, wrong=tuple(wrong), note=f"{len(secrets)} kinds of secrets")


def _say(campaign: Campaign, secrets: list[str], environ: dict[str, str]) -> bytes:
    """Run the program by itself, under `loghook run`, and with `loghook pipe` behind it; return what loghook said."""
    script = campaign.folder / "doors.py"
    script.write_text(DOORS)
    loghook = [sys.executable, "-m", "loghook"]
    program = [sys.executable, str(script), *secrets, *(f"--option={secret}" for secret in secrets)]
    said = b""
    for command, given in (
        (program, json.dumps(secrets)),
        ([*loghook, "run", "-n", f"run {secrets[0]}", *program], json.dumps(secrets)),
        ([*loghook, "pipe", "-n", "pipe"], "".join(f"piped {secret}\n" for secret in secrets)),
    ):
        ended = subprocess.run(command, env=environ, input=given.encode(), capture_output=True, timeout=2 * WAIT)
        said += b"\n".join(line for line in ended.stderr.splitlines() if line.startswith(b"loghook: "))
    return said


def _parts(secret: str) -> list[str]:
    """Return what of a secret must be nowhere, in characters that look the same everywhere."""
    lines = [line for line in secret.split("\n") if not line.startswith("-----")]
    return [line if line.isascii() else line[-12:] for line in lines]


ROWS = [
    Row(
        "Keys",
        f"the key changes under load, by {words}, and the old one is refused at once",
        "nothing lost or twice; one refused request per change; no key on disk, on the wire, on stderr, in `ps`",
        functools.partial(rotation, how=how),
    )
    for how, words in (("getter", "getter"), ("environment", "environment"), ("file", "file"))
]
ROWS.append(
    Row(
        "Keys",
        "secrets in messages, extras, tracebacks, output, params, arguments and names",
        "each is replaced before it reaches a file or the server",
        planted,
    )
)
