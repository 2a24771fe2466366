"""Whatever is logged shows as it is, and does nothing."""

from __future__ import annotations

import time
from typing import Any

EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>&amp;\'"><b>'


def test_markup_shows_literally_everywhere(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Markup in every field that a client can fill is text on the list and on the run."""
    begin = server.begin(
        "evil",
        f"evil {EVIL}",
        host=EVIL,
        argv=[EVIL],
        python=EVIL,
        params={EVIL: EVIL, "deep": {EVIL: [EVIL]}},
        git={"commit": EVIL, "branch": EVIL, "dirty": True},
    )
    name = f"m/{EVIL}"
    server.metric("evil", name, [1.0, "NaN", 2.0], begin=begin)
    server.metric("evil", "m/other", [1.0, 2.0], begin=begin)
    server.log(
        "evil",
        EVIL,
        level="ERROR",
        logger=EVIL,
        exception=f"Traceback\nValueError: {EVIL}",
        extra={EVIL: EVIL},
        metrics={name: 3.0},
        stream=EVIL,
        thread=EVIL,
        file=EVIL,
        step=3,
        stack=EVIL,
    )
    server.post("evil", {"time": time.time(), "event": "dropped", "dropped": {EVIL: 3}, "since": begin, "until": begin})
    ended = {"time": time.time(), "event": "run_ended", "status": "failure", "exception": f"ValueError: {EVIL}"}
    server.post("evil", {**ended, "reason": EVIL})

    page = open_page(server, "?q=evil <img")
    expect(page.locator(".runname")).to_have_text(f"evil {EVIL}")
    expect(page.locator(".run .under")).to_have_text(f"ValueError: {EVIL}")
    page.locator(".runname").click()
    expect(page.locator("#name")).to_have_text(f"evil {EVIL}")
    expect(page.locator("#why")).to_have_text(f"ValueError: {EVIL}")
    last = page.locator(".record").last
    expect(last.locator(".message")).to_have_text(EVIL)
    expect(last.locator(".logger")).to_have_text(EVIL)
    expect(last.locator(".trace summary").first).to_have_text(f"ValueError: {EVIL}")
    last.locator(".message").click()
    expect(last.locator(".more")).to_contain_text(EVIL)
    expect(page.locator(".card .name").first).to_have_text(EVIL)
    until(page, "document.querySelector('.card .nsewdrag') !== null")
    page.locator(".cardhead").first.click()
    expect(page.locator("#large-name")).to_have_text(name)
    until(page, "document.querySelector('#large-plot .nsewdrag') !== null")
    page.locator("#large-plot").hover()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Details").click()
    expect(page.locator("#details")).to_contain_text(EVIL)
    assert page.locator("main img, main script, main b b").count() == 0


def test_no_page_breaks_its_content_policy(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Drawing, hovering, zooming, log axes and saving a picture need nothing that the policy forbids."""
    begin = server.begin("policy", "policy")
    server.metric("policy", "loss", [1e-6 * 10**i for i in range(8)], begin=begin)
    page = open_page(server, "runs/policy?chart=loss&log=1")
    answer = page.request.get(server.url + "runs/policy")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    until(page, "document.querySelector('#large-plot .nsewdrag') !== null")
    page.locator("#large-plot .nsewdrag").hover()
    expect(page.locator("#large-plot .hoverlayer .hovertext").first).to_be_visible()
    page.locator("#large").get_by_role("button", name="Clock").click()
    until(page, "document.querySelector('#large-plot')._fullLayout.xaxis.type === 'date'")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save").click()
    assert download.value.suggested_filename == "loss.svg"


def test_a_name_cannot_turn_the_text_around_it(server: Any, open_page: Any, expect: Any) -> None:
    """Characters that turn the direction of writing are left out of a run's name, in the list, the head and the tab."""
    server.begin("turned", "a\u202eb\u2066c")
    page = open_page(server, "?q=turned")
    expect(page.locator(".runname")).to_have_text("abc")
    page.locator(".runname").click()
    expect(page.locator("#name")).to_have_text("abc")
    expect(page).to_have_title("Running: abc - loghook")
