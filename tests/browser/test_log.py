"""The log of a run."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

BOTTOM = """(() => { const pane = document.querySelector("#lines");
return pane.scrollHeight - pane.clientHeight - pane.scrollTop; })()"""
TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 88, in <module>
    main()
ValueError: loss is not finite
"""


def messages(page: Any) -> list[str]:
    """The messages that are in the page, from the top."""
    return page.locator(".record .message").all_text_contents()


@pytest.fixture(scope="module")
def levels(server: Any) -> str:
    """A run with a record of each level, from two loggers."""
    server.begin("levels", "levels")
    for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        server.log("levels", f"{level.lower()} of train", level=level)
        server.log("levels", f"{level.lower()} of data", level=level, logger="data.loader")
    return "runs/levels"


def test_new_records_come_in_at_the_end(server: Any, open_page: Any, expect: Any) -> None:
    """While the end is followed, what is logged appears at the bottom, and the bottom stays in view."""
    server.begin("follow", "follow")
    server.log("follow", *(f"line {i}" for i in range(100)))
    page = open_page(server, "runs/follow")
    expect(page.locator(".record").last).to_contain_text("line 99")
    server.log("follow", "the very newest")
    expect(page.locator(".record").last).to_contain_text("the very newest")
    assert page.evaluate(BOTTOM) < 2


def test_scrolling_up_pauses_and_a_button_goes_on(server: Any, open_page: Any, expect: Any) -> None:
    """Scrolled up, the view stays where it is while records come; the button goes to the newest and follows again."""
    server.begin("pause", "pause")
    server.log("pause", *(f"line {i}" for i in range(200)))
    page = open_page(server, "runs/pause")
    expect(page.locator(".record").last).to_contain_text("line 199")
    page.locator("#lines").hover()
    page.mouse.wheel(0, -600)
    expect(page.get_by_role("button", name="Paused")).to_be_visible()
    place = page.evaluate("document.querySelector('#lines').scrollTop")
    server.log("pause", "came meanwhile")
    expect(page.locator(".record").last).to_contain_text("came meanwhile")
    assert page.evaluate("document.querySelector('#lines').scrollTop") == place
    page.get_by_role("button", name="Paused").click()
    expect(page.get_by_role("button", name="Paused")).to_be_hidden()
    server.log("pause", "and again")
    expect(page.locator(".record").last).to_be_in_viewport()
    expect(page.locator(".record").last).to_contain_text("and again")


def test_a_minimum_level_hides_what_is_below(levels: str, server: Any, open_page: Any, expect: Any) -> None:
    """The level filter shows that level and above, and stands in the address."""
    page = open_page(server, levels)
    expect(page.locator(".record")).to_have_count(10)
    page.get_by_label("Minimum level").select_option("WARNING")
    expect(page.locator(".record")).to_have_count(6)
    expect(page).to_have_url(re.compile("level=WARNING"))


def test_a_text_filter_finds_and_takes_new_records(server: Any, open_page: Any, expect: Any) -> None:
    """After "/" one types a text; only records with it show, new ones too, and none is told as such."""
    server.begin("text", "text")
    server.log("text", "an error", "a warning", "another error")
    page = open_page(server, "runs/text")
    expect(page.locator(".record")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("ERROR")
    expect(page.locator(".record .message")).to_have_text(["an error", "another error"])
    page.get_by_label("Filter the log by text").fill("never said")
    expect(page.get_by_text("No record passes this filter.")).to_be_visible()
    server.log("text", "said it: never said")
    expect(page.locator(".record .message")).to_have_text(["said it: never said"])


def test_a_link_keeps_the_filter(levels: str, server: Any, open_page: Any, expect: Any) -> None:
    """An address with level, logger and text opens the log filtered so, and the controls show it."""
    page = open_page(server, f"{levels}?level=ERROR&logger=data&q=of")
    expect(page.locator(".record .message")).to_have_text(["error of data", "critical of data"])
    expect(page.get_by_label("Minimum level")).to_have_value("ERROR")
    expect(page.get_by_label("Filter the log by logger")).to_have_value("data")
    expect(page.get_by_label("Filter the log by text")).to_have_value("of")


def test_a_record_opens_and_narrows_to_its_logger(levels: str, server: Any, open_page: Any, expect: Any) -> None:
    """A click on a record shows what else is known, and from there the log narrows to its logger."""
    page = open_page(server, levels)
    page.locator(".record", has_text="warning of data").click()
    page.get_by_role("button", name="Only this logger").click()
    expect(page.locator(".record .logger").first).to_have_text("data.loader")
    expect(page.locator(".record .message", has_text="of train")).to_have_count(0)
    expect(page.get_by_label("Filter the log by logger")).to_have_value("data.loader")


def test_a_long_log_is_walked_in_both_directions(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Of 5,000 records the page holds a window; scrolling moves it to the first and back, in order, without a gap."""
    server.begin("long", "long")
    server.log("long", *(f"line {i}" for i in range(5000)))
    page = open_page(server, "runs/long")
    expect(page.locator(".record").last).to_contain_text("line 4999")
    while (shown := messages(page))[0] != "line 0":
        first = int(shown[0].removeprefix("line "))
        assert len(shown) <= 900
        assert shown == [f"line {i}" for i in range(first, first + len(shown))]
        page.evaluate("document.querySelector('#lines').scrollTop = 0")
        until(page, f"document.querySelector('.record .message').textContent !== 'line {first}'")
    page.get_by_role("button", name="Paused").click()
    expect(page.locator(".record").last).to_contain_text("line 4999")
    page.get_by_role("button", name="First").click()
    expect(page.locator(".record").first).to_contain_text("line 0")
    while (shown := messages(page))[-1] != "line 4999":
        first = int(shown[0].removeprefix("line "))
        assert len(shown) <= 900
        assert shown == [f"line {i}" for i in range(first, first + len(shown))]
        page.evaluate("document.querySelector('#lines').scrollTop = 1e9")
        until(page, f"[...document.querySelectorAll('.record .message')].at(-1).textContent !== '{shown[-1]}'")


SLOW_START = """() => {
    // The answer with the first records comes late, and the answer to whatever else is asked meanwhile still later.
    const real = window.fetch;
    let started = null;
    window.fetch = (url, ...rest) => {
        const text = String(url.url || url);
        if (!text.includes("/logs?")) return real(url, ...rest);
        if (/[?&]after=0(&|$)/.test(text)) {
            started = new Promise((done) => setTimeout(done, 4000)).then(() => real(url, ...rest));
            return started;
        }
        const later = () => new Promise((done) => setTimeout(done, 300));
        return started ? started.then(later).then(() => real(url, ...rest)) : real(url, ...rest);
    };
}"""


def test_a_slow_way_to_the_first_record_loses_no_record(server: Any, open_page: Any, expect: Any) -> None:
    """What is asked for while the first records are on their way does not make a gap behind them."""
    server.begin("slow", "slow")
    server.log("slow", *(f"line {i}" for i in range(1000)))
    page = open_page(server, "runs/slow")
    expect(page.locator(".record").last).to_contain_text("line 999")
    page.evaluate(SLOW_START)
    page.get_by_role("button", name="First").click()
    expect(page.locator(".record").first).to_have_text(re.compile("line 0$"), timeout=30_000)
    page.wait_for_timeout(1000)
    while (shown := messages(page))[-1] != "line 999":
        page.evaluate("document.querySelector('#lines').scrollTop = 1e9")
        expect(page.locator(".record .message").last).not_to_have_text(shown[-1], timeout=30_000)
    first = int(shown[0].removeprefix("line "))
    assert shown == [f"line {i}" for i in range(first, 1000)]


def test_a_rare_text_is_found_far_back(server: Any, open_page: Any, expect: Any) -> None:
    """A filter that matches two records in 30,000 shows both."""
    server.begin("rare", "rare")
    server.log("rare", "first needle", *(f"hay {i}" for i in range(15_000)))
    server.log("rare", "second needle", *(f"hay {i}" for i in range(15_000)))
    page = open_page(server, "runs/rare?q=needle")
    expect(page.locator(".record .message")).to_have_text(["first needle", "second needle"])


def test_a_traceback_is_readable_and_folds(server: Any, open_page: Any, expect: Any) -> None:
    """A record with a traceback names the exception; the traceback keeps its lines and can be folded away."""
    server.begin("trace", "trace")
    server.log("trace", "it broke", level="ERROR", exception=TRACEBACK)
    page = open_page(server, "runs/trace")
    summary = page.locator(".trace summary")
    expect(summary).to_have_text("ValueError: loss is not finite")
    assert page.locator(".trace pre").text_content() == TRACEBACK
    summary.click()
    expect(page.locator(".trace pre")).to_be_hidden()


def test_why_it_failed_stands_on_top(server: Any, open_page: Any, expect: Any) -> None:
    """A run that fails while its page is open turns to failed, with the exception and the traceback behind it."""
    server.begin("fails", "fails")
    page = open_page(server, "runs/fails")
    expect(page.locator("#status")).to_have_text("Running")
    server.post("fails", {"time": time.time(), "event": "run_ended", "status": "failure", "exception": TRACEBACK})
    expect(page.locator("#status")).to_have_text("Failed")
    expect(page.locator("#why")).to_have_text("ValueError: loss is not finite")
    page.locator("#ending").get_by_text("Traceback", exact=True).click()
    expect(page.locator("#trace")).to_have_text(TRACEBACK.strip())


def test_several_writers_show_their_rank(server: Any, open_page: Any, expect: Any) -> None:
    """In a run of several writers each record says which rank it came from."""
    server.begin("two-ranks", "two-ranks")
    for rank in (0, 1):
        about = {"pid": 10 + rank, "host": "a", "rank": rank}
        server.post("two-ranks", {"time": time.time(), "event": "writer_started", "writer": about}, writer=f"w{rank}")
        said = {"time": time.time(), "level": "INFO", "logger": "t", "message": f"from {rank}"}
        server.post("two-ranks", said, writer=f"w{rank}")
    page = open_page(server, "runs/two-ranks?tab=details")
    expect(page.locator(".record", has_text="from 1").locator(".rank")).to_have_text("r1")
    expect(page.locator("#details").get_by_role("heading", name="writers")).to_be_visible()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r 50%\r100%", "100%"),
        ("long text\rshort\x1b[K", "short"),
        ("abc\b\bX", "aXc"),
        ("a\r\nb", "a\nb"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x.invalid\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("up\x1b[A\x1b[2J\x1b[10;10Hdown", "updown"),
        ("unended \x1b[38;5", "unended 38;5"),
        ("nul\x00", "nul\u2400"),
    ],
)
def test_terminal_text_reads_as_on_a_terminal(server: Any, open_page: Any, text: str, shown: str) -> None:
    """Escape sequences leave no trace in the text; carriage returns and backspaces do what they do on a terminal."""
    page = open_page(server)
    source = page.evaluate("document.querySelector('script[type=module]').src").replace("list.js", "ansi.js")
    assert page.evaluate("async ([source, text]) => (await import(source)).plain(text)", [source, text]) == shown


def test_colours_show(server: Any, open_page: Any, expect: Any) -> None:
    """Colours of 16, of 256 and of 24 bit and weights reach the page as styles."""
    server.begin("colour", "colour")
    server.log("colour", "\x1b[1;31mone\x1b[0m \x1b[38;5;208mtwo\x1b[0m \x1b[48;2;1;2;3mthree\x1b[0m four")
    page = open_page(server, "runs/colour")
    pieces = page.locator(".record .sgr")
    expect(pieces).to_have_text(["one", "two", "three"])
    expect(pieces.nth(0)).to_have_class("sgr bold fg1")
    expect(pieces.nth(1)).to_have_css("color", "rgb(255, 135, 0)")
    expect(pieces.nth(2)).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(page.locator(".record .message")).to_have_text("one two three four")
