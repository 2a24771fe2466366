"""Hostile names and texts in a real browser: nothing runs, nothing is loaded, nothing of the page's own changes."""

from __future__ import annotations

import time
from typing import Any

import pytest

ENOUGH = 60_000
"""Milliseconds that a page gets; the machine may be busy."""
NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "length", "prototype"]
SCRIPTS = [
    "<script>window.hit=1</script>",
    '"><img src=x onerror=window.hit=1>',
    "'-window.hit=1-'",
    "</title></textarea></script><svg onload=window.hit=1>",
    "javascript:window.hit=1//",
    "{{constructor.constructor('window.hit=1')()}}",
    '<a href="javascript:window.hit=1" id=name>x</a>',
    "<b>bold</b><br>%{fullData.name}<extra></extra>",
    '<a href="data:text/html,<script>window.hit=1</script>">x</a>',
    "\x1b]8;;javascript:window.hit=1\x07link\x1b]8;;\x07",
    '\x1b[31m<img src="http://127.0.0.1:1/leak" onerror=window.hit=1>\x1b[0m',
    "<style>*{background:url(http://127.0.0.1:1/leak)}</style>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe><base href=http://127.0.0.1:1/>",
]


def log_everything(server: Any, run: str, evil: str, names: list[str]) -> None:
    """Log a text in every field that there is, and metrics and params of some names."""
    begin = time.time()
    about: dict[str, Any] = {
        "name": evil,
        "host": evil,
        "argv": [evil],
        "python": evil,
        "project": evil,
        "group": evil,
        "tags": [evil],
    }
    about.update(description=evil, params={name: {name: [evil]} for name in names})
    about.update(git={"commit": evil, "branch": evil})
    server.post(run, {"time": begin, "event": "run_started", "run": about})
    server.post(run, {"time": begin, "event": "writer_started", "writer": {"pid": 1, "host": evil, "rank": 0}})
    server.post(run, {"time": begin, "event": "dropped", "dropped": {evil: 3}, "since": begin, "until": begin})
    server.post(run, {"time": begin, "event": "internal", "internal": {"metrics": names[:1], "params": names[:1]}})
    for number in range(3):
        values = {f"{group}{name}": float(number) for name in names for group in ("", "group/")}
        server.log(run, evil, metrics=values, step=number, level="ERROR", logger=evil, extra={evil: {evil: evil}})
    server.log(run, evil, exception=f"Traceback\n{evil}", stack=evil, stream=evil, thread=evil, file=evil, level=evil)
    server.post(
        run, {"time": time.time(), "event": "run_ended", "status": "failure", "exception": evil, "reason": evil}
    )


def look_at_everything(page: Any, server: Any, run: str, expect: Any, until: Any) -> None:
    """Open what can be opened of a run, from the list on."""
    page.set_default_timeout(ENOUGH)
    expect(page.locator(".runname").first).to_be_visible()
    page.goto(f"{server.url}runs/{run}")
    expect(page.locator(".record")).to_have_count(4)
    page.locator(".record").last.locator(".message").click()
    until(page, "document.querySelector('.card .nsewdrag') !== null")
    page.locator(".cardhead").first.click()
    until(page, "document.querySelector('#large-plot .nsewdrag') !== null")
    page.locator("#large-plot .nsewdrag").hover()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Details").click()
    expect(page.locator("#details")).to_be_visible()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("turned", [False, True])
def test_no_script_runs(server: Any, open_page: Any, expect: Any, until: Any, turned: bool) -> None:
    """Markup in any field makes no element, runs no script, asks nobody for anything, and breaks no policy."""
    run = f"script-{turned}"
    scripts = SCRIPTS[::-1] if turned else SCRIPTS
    log_everything(server, run, "".join(scripts), scripts)
    page = open_page(server, f"?q={run}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    look_at_everything(page, server, run, expect, until)
    assert page.evaluate("window.hit === undefined")
    assert [url for url in asked if not url.startswith((server.url, "data:image/", "blob:"))] == []
    made = "main script, main iframe, main img, main style, main base, main [onerror], main [onload], main textarea"
    assert page.locator(made).count() == 0
    assert page.locator("a[href^='javascript:'], a[href^='data:text']").count() == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("run", ["__proto__", "constructor"])
def test_names_that_every_object_has(server: Any, open_page: Any, expect: Any, until: Any, run: str) -> None:
    """A metric, a param, a run and all else can be called like what every object of JavaScript has."""
    log_everything(server, run, run, NAMES)
    page = open_page(server, f"?q={run}")
    expect(page.locator(".runname").first).to_have_text(run)
    look_at_everything(page, server, run, expect, until)
    shown = page.evaluate("[...document.querySelectorAll('.card .name')].map((name) => name.textContent)")
    assert set(NAMES) <= set(shown)
    for name in NAMES:
        expect(page.locator("#details th", has_text=name).first).to_be_attached()
    # A page that has run no script of ours has the same.
    names = "Object.getOwnPropertyNames(Object.prototype).sort().join()"
    fresh = page.context.new_page()
    assert page.evaluate(names) == fresh.evaluate(names)
    fresh.close()


def test_scripts_in_addresses(server: Any, open_page: Any, chromium: Any, expect: Any) -> None:
    """What an address of a page says is text on it, and what one leads on to is a page of this server."""
    evil = '"><script>window.hit=1</script>'
    page = open_page(server, f"?q={evil}&project={evil}")
    assert page.evaluate("window.hit") is None
    server.begin("addressed", "addressed")
    for query in (f"?chart={evil}&q={evil}", f"?level={evil}&logger={evil}", "#<img src=x onerror=window.hit=1>"):
        page.goto(f"{server.url}runs/addressed{query}")
        expect(page.locator("#name")).to_have_text("addressed")
        assert page.evaluate("window.hit") is None
    context = chromium.new_context()
    stranger = context.new_page()
    for target in ("//evil.example/", "javascript:window.hit=1", "https://evil.example/", "\\\\evil.example"):
        stranger.goto(f"{server.link}&next={target}")
        assert stranger.url == server.url
        assert stranger.evaluate("window.hit") is None
    context.close()


def test_other_sites_cannot_frame_or_read(server: Any, chromium: Any) -> None:
    """A page of another origin cannot show the server's pages in a frame, nor read its API, though signed in."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(server.link)
    other = context.new_page()
    other.route("http://other.localhost/", lambda route: route.fulfill(content_type="text/html", body="<p>other"))
    other.goto("http://other.localhost/")
    read = "(url) => fetch(url, {credentials: 'include'}).then((answer) => answer.status, () => 'no')"
    assert other.evaluate(read, f"{server.url}api/v1/runs") == "no"
    how = "{method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x'}"
    other.evaluate(f"(url) => fetch(url, {how}).then(() => 'sent', () => 'no')", f"{server.url}sign-out")
    assert page.evaluate("fetch('api/v1/runs').then((answer) => answer.status)") == 200
    framed = """(url) => new Promise((done) => {
      const frame = document.createElement("iframe"); frame.src = url; frame.onload = () => done(frame.contentDocument);
      document.body.append(frame); })"""
    other.evaluate(framed, server.url)
    assert all(frame.url != server.url for frame in other.frames)
    context.close()
