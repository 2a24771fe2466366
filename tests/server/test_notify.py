"""Telling people: which changes, once each, in whose words, and what happens when nobody listens."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loghook.errors import ConfigurationError
from loghook.server import Server
from loghook.server.ingest import Ingest
from loghook.server.notify import Destination, Sender, Watch, destinations, urls_in
from loghook.server.notify.notice import make, redacted, text, title
from loghook.server.status import LOST_AFTER
from loghook.server.store import Store
from loghook.testing import Answer, AwkwardServer, Clock, lost_reply

Record = Callable[..., dict[str, Any]]
Body = Callable[[list[dict[str, Any]]], bytes]


class Scene:
    """A store, its clock, what runs send, and what is told."""

    def __init__(self, path: Path, body: Body, url: str) -> None:
        self.clock = Clock(1_763_740_000.0)
        self.store = Store(path)
        self.ingest = Ingest(self.store, self.clock)
        self.account = int(self.store.writer.run(self._account) or 0)
        self.told = Destination.parse(url)
        self._body = body
        self.begin()

    def _account(self, connection: Any) -> int | None:
        return connection.execute("INSERT INTO accounts (name, created) VALUES ('a', 0)").lastrowid  # type: ignore[no-any-return]

    def begin(self) -> None:
        """A server that starts: a watch and a sender."""
        self.watch = Watch(self.store, [self.told], lambda run: f"http://here/runs/{run}", self.clock)
        self.sender = Sender(self.store, self.told, self.clock)

    def send(self, *events: dict[str, Any], run: str = "run", ago: float = 0.0) -> None:
        """Events of a run, now or some seconds ago."""
        at = self.clock() - ago
        lines = self._body([{"time": at, **event} for event in events])
        offset = self.ingest.expected(self.account, run, "w")
        self.ingest.events(self.account, run, "w", offset, lines)

    def start(self, **more: Any) -> None:
        """A run starts."""
        self.send({"event": "run_started", "run": {"name": "dogs"}}, **more)

    def end(self, status: str = "success", ago: float = 0.0, **more: Any) -> None:
        """A run ends."""
        self.send({"event": "run_ended", "status": status, **more}, ago=ago)

    def tell(self) -> None:
        """Look for changes, and send what is due."""
        self.watch.look()
        while self.sender.look():
            pass


@pytest.fixture
def hook() -> Iterator[AwkwardServer]:
    """A webhook."""
    with AwkwardServer() as server:
        yield server


@pytest.fixture
def scene(tmp_path: Path, body: Body, hook: AwkwardServer) -> Iterator[Scene]:
    """The scene with that webhook."""
    made = Scene(tmp_path / "test.db", body, hook.url + "/hook")
    yield made
    made.store.close()


def statuses(hook: AwkwardServer) -> list[str]:
    """Return the statuses that were told, in order."""
    return [json.loads(request.body)["run"]["status"] for request in hook.requests]


@pytest.mark.parametrize("status", ["success", "failure", "stopped"])
def test_an_end_is_told_once(scene: Scene, hook: AwkwardServer, status: str) -> None:
    """The end of a run is told once, with its name, how long it took, its last values and its page."""
    scene.start()
    scene.send({"message": "last words", "metrics": {"loss": 0.25, "bad": "NaN"}}, {"message": "password=hunter2"})
    scene.tell()
    assert hook.requests == []
    scene.clock.advance(200)
    scene.end(status, reason="why" if status == "stopped" else None)
    for _ in range(3):
        scene.tell()
    (request,) = hook.requests
    assert (request.method, request.target) == ("POST", "/hook")
    told = json.loads(request.body)
    assert request.headers["idempotency-key"] == told["id"]
    run = told["run"]
    assert (run["id"], run["name"], run["status"], run["duration"]) == ("run", "dogs", status, 200.0)
    assert run["url"] == "http://here/runs/run"
    assert told["metrics"] == {"loss": 0.25, "bad": "NaN"}
    assert told["title"] in told["text"]
    assert "after 3 min 20 s" in told["title"]
    lines = [] if status == "success" else ["INFO last words", "INFO password=***"]
    assert told["lines"] == lines


def test_a_failure_says_why(scene: Scene, hook: AwkwardServer) -> None:
    """A failed run's notice has the exception and the last twenty lines."""
    scene.start()
    scene.send(*({"message": f"line {number}", "level": "WARNING"} for number in range(30)))
    scene.end("failure", exception="Traceback (most recent call last):\n  ...\nValueError: api_key=abc is bad\n")
    scene.tell()
    told = json.loads(hook.requests[0].body)
    assert told["run"]["exception"] == "ValueError: api_key=*** is bad"
    assert told["lines"] == [f"WARNING line {number}" for number in range(10, 30)]
    assert told["text"].splitlines()[:2] == ["dogs failed after 0 s", "ValueError: api_key=*** is bad"]


def test_a_lost_run_is_told_once_each_time(scene: Scene, hook: AwkwardServer) -> None:
    """A run that falls silent is told to be lost; it is told again when it came back and fell silent again."""
    scene.start()
    scene.clock.advance(LOST_AFTER)
    scene.tell()
    assert hook.requests == []
    for _ in range(3):
        scene.clock.advance(1)
        scene.tell()
    assert statuses(hook) == ["lost"]
    scene.send({"event": "heartbeat"})
    scene.tell()
    scene.clock.advance(LOST_AFTER + 1)
    scene.tell()
    assert statuses(hook) == ["lost", "lost"]
    scene.send({"event": "heartbeat"}, ago=LOST_AFTER + 1)
    scene.tell()
    assert len(hook.requests) == 2


def test_a_lost_run_that_ended_after_all(scene: Scene, hook: AwkwardServer) -> None:
    """The end of a run that was lost to the network is told when it arrives."""
    scene.start()
    scene.clock.advance(LOST_AFTER + 1)
    scene.tell()
    scene.end("success", ago=30)
    scene.tell()
    assert statuses(hook) == ["lost", "success"]


def test_a_resumed_run_is_told_of_again(scene: Scene, hook: AwkwardServer) -> None:
    """A run that starts again and ends again is told of twice."""
    scene.start()
    scene.end("failure")
    scene.tell()
    scene.clock.advance(10)
    scene.start()
    scene.tell()
    scene.clock.advance(10)
    scene.end("success")
    scene.tell()
    assert statuses(hook) == ["failure", "success"]


def test_the_servers_own_absence(scene: Scene, hook: AwkwardServer) -> None:
    """A server that was away tells no run to be lost before it has listened for a while."""
    scene.start()
    scene.clock.advance(3600)
    scene.begin()
    scene.tell()
    scene.send({"event": "heartbeat"})
    scene.clock.advance(LOST_AFTER)
    scene.tell()
    assert hook.requests == []
    scene.clock.advance(1)
    scene.tell()
    assert statuses(hook) == ["lost"]


def test_old_news_are_told_to_nobody(scene: Scene, hook: AwkwardServer) -> None:
    """What comes from a spool of last week is told to nobody, now or later."""
    scene.start(ago=7 * 86400)
    scene.end("failure", ago=6 * 86400)
    scene.clock.advance(LOST_AFTER + 1)
    scene.tell()
    assert hook.requests == []


TROUBLE = [Answer(500), Answer(503, {"Retry-After": "1"}), Answer(cut=0), lost_reply, Answer(429), Answer(408)]


@pytest.mark.parametrize("step", TROUBLE, ids=range(len(TROUBLE)))
def test_trouble_is_tried_again(scene: Scene, hook: AwkwardServer, step: Any) -> None:
    """What is in the way for a while puts a notice off, and it is told when its time comes, also by a new server."""
    hook.script(step)
    scene.start()
    scene.end()
    scene.tell()
    scene.tell()
    assert len(hook.requests) == 1
    scene.begin()
    scene.clock.advance(6)
    scene.tell()
    scene.tell()
    assert len(hook.requests) == 2
    assert hook.requests[0].body == hook.requests[1].body


def test_waits_grow(scene: Scene, hook: AwkwardServer) -> None:
    """The time between two tries doubles, up to a quarter of an hour, and after a day a notice is given up."""
    hook.script(*[Answer(500)] * 200)
    scene.start()
    scene.end()
    tries: list[float] = []
    for _ in range(26 * 3600):
        before = len(hook.requests)
        if not tries or scene.clock() >= tries[-1] + 4:
            scene.tell()
        if len(hook.requests) > before:
            tries.append(scene.clock())
        scene.clock.advance(1 if len(tries) < 4 else 60)
        if scene.clock() - tries[0] > 26 * 3600:
            break
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert gaps[:3] == [5, 10, 20]
    assert max(gaps) <= 960
    assert 24 * 3600 <= tries[-1] - tries[0] < 25 * 3600
    with scene.store.reading() as connection:
        assert connection.execute("SELECT count(*) FROM notices").fetchone() == (0,)


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 410])
def test_a_refusal_is_final(scene: Scene, hook: AwkwardServer, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is one line without the address, is not tried again, and a redirect is not followed."""
    hook.script(Answer(status, {"Location": hook.url + "/elsewhere"}))
    scene.start()
    scene.end()
    with caplog.at_level(logging.WARNING, "loghook.server"):
        scene.tell()
        scene.clock.advance(3600)
        scene.tell()
    assert [request.target for request in hook.requests] == ["/hook"]
    (record,) = caplog.records
    assert str(status) in record.message
    assert "127.0.0.1" in record.message
    assert "/hook" not in record.message
    assert "\n" not in record.message


def test_one_line_for_the_same_trouble(scene: Scene, hook: AwkwardServer, caplog: pytest.LogCaptureFixture) -> None:
    """The same trouble again and again is one line."""
    hook.script(*[Answer(500)] * 5)
    scene.start()
    scene.end()
    with caplog.at_level(logging.WARNING, "loghook.server"):
        for _ in range(5):
            scene.tell()
            scene.clock.advance(1000)
    assert len(caplog.records) == 1


def test_a_destination_that_is_gone(scene: Scene, hook: AwkwardServer) -> None:
    """What waits for an address that is no longer configured is sent to nobody; the address lies in no database."""
    hook.script(Answer(500))
    scene.start()
    scene.end()
    scene.tell()
    with AwkwardServer() as other:
        scene.told = Destination.parse(other.url)
        scene.begin()
        scene.clock.advance(3600)
        scene.tell()
        assert other.requests == []
    assert len(hook.requests) == 1
    with scene.store.reading() as connection:
        assert not any(hook.url in line for line in connection.iterdump())


def notice(status: str = "failure", name: str = "dogs", reason: str | None = None) -> dict[str, Any]:
    """Return a notice."""
    run = {"id": "r1", "name": name, "status": status, "source": "loghook", "started_at": 1.0, "ended_at": 4000.0}
    run |= {"duration": 3999.0, "reason": reason, "exception": "Traceback\nValueError: x"}
    lines = [{"level": "INFO", "message": f"line {number} " + "x" * 600} for number in range(20)]
    return make(run, 7, {"loss": 0.123456}, lines, "http://here/runs/r1")


def test_ntfy() -> None:
    """ntfy gets a text, its title in a header that is ASCII, a priority, and the page as what a tap opens."""
    request = Destination.parse("https://ntfy.sh/my-topic").request(notice(name="Köln 🐶"))
    packed = request.headers["Title"].removeprefix("=?UTF-8?B?").removesuffix("?=")
    assert base64.b64decode(packed).decode() == "Köln 🐶 failed after 1 h 6 min"
    assert (request.headers["Priority"], request.headers["Click"]) == ("4", "http://here/runs/r1")
    assert request.body.decode().splitlines()[:3] == ["ValueError: x", "loss 0.1235", "http://here/runs/r1"]
    assert len(request.body) < 4096
    assert "line 19" in request.body.decode()
    assert "line 0 " not in request.body.decode()
    plain = Destination.parse("ntfy+http://box:8080/t").request(notice("success"))
    assert plain.headers["Title"] == "dogs finished after 1 h 6 min"


def test_slack() -> None:
    """Slack and its like get a text as JSON, and nothing else."""
    for url in ("https://hooks.slack.com/services/T/B/X", "slack+https://chat.example.org/hooks/x"):
        request = Destination.parse(url).request(notice())
        assert list(json.loads(request.body)) == ["text"]
        assert len(json.loads(request.body)["text"]) <= 8000


def test_slack_calls_nobody() -> None:
    """What Slack would take for a link or a call to everybody is plain text."""
    made = notice(name="<!channel> <http://evil.example|here> &")
    request = Destination.parse("https://hooks.slack.com/services/x").request(made)
    sent = json.loads(request.body)["text"]
    assert sent.startswith("&lt;!channel&gt; &lt;http://evil.example|here&gt; &amp; failed")
    assert not set("<>") & set(sent)


def test_addresses() -> None:
    """An address keeps its query and its password, which are sent, and neither is shown."""
    found = Destination.parse("https://anna:pa%20ss@hooks.example.org/secret-path?sig=secret-sig&x=1")
    assert found.query == (("sig", "secret-sig"), ("x", "1"))
    pair = base64.b64encode(b"anna:pa ss").decode()
    assert found.request(notice()).headers["Authorization"] == f"Basic {pair}"
    assert "secret" not in f"{found} {found!r}"
    assert str(found) == "json at hooks.example.org"


@pytest.mark.parametrize("url", ["hooks.example.org/secret", "ftp://x/secret", "https:///secret", "https://a b/secret"])
def test_wrong_addresses(home: Path, url: str) -> None:
    """A wrong address is refused before the server starts."""
    with pytest.raises(ConfigurationError):
        Server(home, port=0, notify=[url]).start()
    assert not (home / "server" / "loghook.db").exists()


def test_too_many_addresses() -> None:
    """There are at most sixteen addresses; the same one twice is one."""
    assert len(destinations(["http://a/x", "http://a/x"])) == 1
    with pytest.raises(ConfigurationError, match="at most 16"):
        destinations(f"http://a/{number}" for number in range(17))


@pytest.mark.parametrize(
    ("content", "urls"),
    [
        ('{"notify": "http://a/x"}', ("http://a/x",)),
        ('{"notify": ["http://a/x", "", "http://b"]}', ("http://a/x", "http://b")),
        ("{}", ()),
        ("[]", ()),
        ("{", ()),
        ('{"notify": null}', ()),
    ],
)
def test_in_the_settings(tmp_path: Path, content: str, urls: tuple[str, ...]) -> None:
    """The file of settings holds one address or a list."""
    path = tmp_path / "loghook.json"
    path.write_text(content)
    assert urls_in(path) == urls
    assert urls_in(tmp_path / "none") == ()


def test_wrong_settings(tmp_path: Path) -> None:
    """What is no address in the file is refused with the file's name."""
    (tmp_path / "loghook.json").write_text('{"notify": [5]}')
    with pytest.raises(ConfigurationError, match=r"loghook\.json"):
        urls_in(tmp_path / "loghook.json")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password=hunter2 ok", "password=*** ok"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": "***", "n": 1}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("curl -H 'Bearer abc'", "curl -H 'Bearer ***'"),
        ("key lh_" + "a" * 43, "key ***"),
        ("https://anna:pw@host/x", "https://***@host/x"),
        ("DB_PASSWORD=hunter2 GITHUB_TOKEN: abc", "DB_PASSWORD=*** GITHUB_TOKEN: ***"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=***"),
        ("tokens per second: 5", "tokens per second: 5"),
        ("loss 0.5", "loss 0.5"),
    ],
)
def test_redacted(line: str, shown: str) -> None:
    """What looks like a password or a key is blotted out, and nothing else."""
    assert redacted(line) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m wine", "red wine"),
        ("\x9b1mbold", "bold"),
        ("\x1b]8;;http://evil.example\x07here\x1b]8;;\x07", "here"),
        ("\x1b]0;a title that has no end", ""),
        ("a\u202eb\x00c\td", "a b c d"),
        ("\x1b[31mpassword=\x1b[1mhunter2", "password=***"),
    ],
)
def test_plain_text(said: str, shown: str) -> None:
    """What leaves has no terminal's control sequences in it, and nothing that hides a password from the search."""
    run = {"id": "r", "name": f"n{said}", "status": "failure", "source": "loghook", "duration": 1.0}
    run.update(reason=said, exception=f"Traceback\n{said}", started_at=0.0, ended_at=1.0)
    line = {"level": "ERROR", "message": said}
    made = make(run, 1, {f"m{said}": 1.0}, [line], "http://here/runs/r")
    told = text(made, most=10_000)
    assert told.isascii()
    assert all(character.isprintable() for character in told.replace("\n", ""))
    assert (made["run"]["exception"] or "") == (shown or "Traceback")
    assert made["run"]["reason"] == shown
    assert made["lines"] == ([f"ERROR {shown}"] if shown else [])


def test_words() -> None:
    """A title says what became of the run and after how long."""
    assert [title(notice(status)) for status in ("success", "failure", "stopped", "lost")] == [
        f"dogs {word} after 1 h 6 min" for word in ("finished", "failed", "was stopped", "is lost")
    ]
    assert title(notice(name="\x1b[1ma\nb")).startswith("a b failed")
    assert title(notice(name=" \x00 ")).startswith("r1 failed")  # no header begins with a space
    assert len(text(notice(), most=100)) <= 100
    assert "hunter2" not in text(notice(reason="password=hunter2"), most=1000)
    assert "http://here" in text(notice(reason="x" * 60_000), most=1200)


def test_a_server_tells(home: Path, as_client: Callable[..., Any], record: Record, hook: AwkwardServer) -> None:
    """A server with an address in its settings tells the end of a run, and stops while another address keeps silent."""
    home.mkdir()
    with AwkwardServer(lambda request: Answer(delay=60)) as silent:
        (home / "loghook.json").write_text(json.dumps({"notify": [hook.url + "/x", silent.url]}))
        with Server(home, port=0) as server:
            client = as_client(server)
            now = time.time()
            client.send([{"time": now - 5, "event": "run_started", "run": {"name": "dogs"}}, record("hello", time=now)])
            client.send([{"time": now, "event": "run_ended", "status": "stopped", "reason": "SIGTERM"}], writer="other")
            assert hook.wait(lambda: hook.requests, 20)
            assert silent.wait(lambda: silent.requests, 20)
            link = f"{server.url}/runs/run"
            began = time.monotonic()
        assert time.monotonic() - began < 15
    told = json.loads(hook.requests[0].body)
    assert (told["run"]["url"], told["run"]["reason"]) == (link, "SIGTERM")
    assert told["lines"] == ["INFO hello"]
