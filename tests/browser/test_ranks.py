"""The ranks of a run: which one's points the charts show."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .test_phone import FITS, TOO_SMALL

CARD = ".card[data-metric='loss']"
DATA = f'document.querySelector("{CARD} .chart").data[0]'


@pytest.fixture(scope="module")
def run(server: Any) -> str:
    """A run of four ranks that log the same metric, of which one logs another alone."""
    begin = time.time()
    server.begin("ranks", "four ranks", time=begin, rank=0)
    for rank in range(4):
        writer = f"rank-{rank}"
        server.post(
            "ranks",
            {"time": begin, "event": "writer_started", "writer": {"pid": 10 + rank, "rank": rank}},
            writer=writer,
        )
        events = [
            {
                "time": begin + step,
                "level": "INFO",
                "message": "",
                "step": step,
                "metrics": {"loss": 100.0 * rank + step},
            }
            for step in range(30)
        ]
        server.post("ranks", *events, writer=writer)
    alone = {"time": begin, "level": "INFO", "message": "", "step": 0, "metrics": {"alone": 7.5}}
    server.post("ranks", alone, writer="rank-3")
    return "runs/ranks"


def test_the_lowest_rank_is_shown_first(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """A chart shows rank 0's points alone until another is chosen, and what one rank alone logged too."""
    page = open_page(server, run)
    expect(page.locator("#rank")).to_be_visible()
    expect(page.locator("#rank option")).to_have_text(["Rank 0", "Rank 1", "Rank 2", "Rank 3", "All ranks"])
    expect(page.locator(f"{CARD} .value")).to_have_text("29")
    expect(page.locator(".card")).to_have_count(2)
    until(page, f"{DATA}.y.length === 30 && {DATA}.y[29] === 29")


def test_another_rank(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Another rank's points take the place of the first's, in the charts, in their last values, and in a link."""
    page = open_page(server, run)
    expect(page.locator(f"{CARD} .value")).to_have_text("29")
    page.locator("#rank").select_option("Rank 2")
    expect(page.locator(f"{CARD} .value")).to_have_text("229")
    until(page, f"{DATA}.y[0] === 200 && {DATA}.y.length === 30")
    assert page.url.endswith("?rank=2")
    page.reload()
    expect(page.locator(f"{CARD} .value")).to_have_text("229")
    expect(page.locator("#rank")).to_have_value("2")
    page.locator(f"{CARD} button").click()
    expect(page.locator("#large-max")).to_have_text("229")
    until(page, "document.querySelector('#large-plot').data[0].y[0] === 200")


def test_all_ranks(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """All ranks are lines of their own, each point with its rank."""
    page = open_page(server, f"{run}?rank=all")
    until(page, f"{DATA}.y.length === 123")
    assert page.evaluate(f"{DATA}.y.map((y, i) => y === null ? i : -1).filter((i) => i >= 0)") == [30, 61, 92]
    assert page.evaluate(f"{DATA}.x.slice(29, 32)") == [29, 0, 0]
    assert page.evaluate(f"{DATA}.text[31]").startswith("rank 1, step 0")
    page.locator("#rank").select_option("Rank 0")
    until(page, f"{DATA}.y.length === 30")
    assert "rank=" not in page.url


def test_a_run_without_ranks_has_no_choice(server: Any, open_page: Any, expect: Any) -> None:
    """Where one process logs a metric there is nothing to choose."""
    server.begin("rankless", "rankless")
    server.metric("rankless", "loss", [1.0, 2.0])
    page = open_page(server, "runs/rankless")
    expect(page.locator(f"{CARD} .value")).to_have_text("2")
    expect(page.locator("#rank")).to_be_hidden()


def test_on_a_phone(run: str, server: Any, open_page: Any, expect: Any) -> None:
    """On a phone the choice fits, can be tapped, and draws each rank's line."""
    page = open_page(server, run, phone=True)
    expect(page.locator("#rank")).to_be_visible()
    expect(page.locator(f"{CARD} svg polyline")).to_have_count(1)
    page.locator("#rank").select_option("All ranks")
    expect(page.locator(f"{CARD} svg polyline")).to_have_count(4)
    assert page.evaluate(FITS)
    assert page.evaluate(TOO_SMALL) == []
