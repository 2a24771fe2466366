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


LINES = f'document.querySelector("{CARD} .chart").data'
COLOURS = f"{LINES}.map((line) => line.line.color)"


def test_all_ranks(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """All ranks are lines of their own, each in a colour of its own, and each point with its rank."""
    page = open_page(server, f"{run}?rank=all")
    until(page, f"{LINES}.length === 4")
    assert page.evaluate(f"{LINES}.map((line) => [line.name, line.y.length, line.y[0]])") == [
        [f"Rank {rank}", 30, 100 * rank] for rank in range(4)
    ]
    assert len(set(page.evaluate(COLOURS))) == 4
    assert page.evaluate(f"{LINES}[1].text[0]").startswith("rank 1, step 0")
    alone = "document.querySelector(\".card[data-metric='alone'] .chart\").data"
    assert page.evaluate(f"{alone}[0].line.color") == page.evaluate(f"{COLOURS}[3]")
    page.locator("#rank").select_option("Rank 0")
    until(page, f"{LINES}.length === 1")
    assert "rank=" not in page.url


def test_a_legend(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Where all ranks are shown a legend tells whose each colour is, in the large chart too, in any theme."""
    page = open_page(server, run)
    legend = page.locator("#charts .legend")
    expect(page.locator("#rank")).to_be_visible()
    expect(legend).to_be_hidden()
    page.locator("#rank").select_option("All ranks")
    expect(legend.locator("li")).to_have_text(["Rank 0", "Rank 1", "Rank 2", "Rank 3"])
    until(page, f"{LINES}.length === 4")
    light = page.evaluate(COLOURS)
    assert page.evaluate(STROKES) == [rgb(colour) for colour in light]
    page.emulate_media(color_scheme="dark")
    until(page, f"{COLOURS}[0] !== '{light[0]}'")
    assert page.evaluate(STROKES) == [rgb(colour) for colour in page.evaluate(COLOURS)]
    page.locator(f"{CARD} button").click()
    expect(page.locator("#large .legend li")).to_have_count(4)
    until(page, "document.querySelector('#large-plot').data.length === 4")


STROKES = "[...document.querySelectorAll('#charts .legend line')].map((line) => getComputedStyle(line).stroke)"


def rgb(colour: str) -> str:
    """A colour as a browser computes it."""
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_what_is_pointed_at_says_its_rank(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Pointing into the chart shows the values there, each with its rank."""
    page = open_page(server, f"{run}?rank=all")
    until(page, f"{LINES}.length === 4")
    page.locator(f"{CARD} .nsewdrag").hover()
    expect(page.locator(f"{CARD} .hovertext")).to_have_count(4)
    expect(page.locator(f"{CARD} .hoverlayer")).to_contain_text("rank 2, step")


def test_a_saved_picture_has_the_legend(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """The picture that is saved of a large chart names the ranks, which on the page stand beside it."""
    page = open_page(server, f"{run}?rank=all&chart=loss")
    until(page, "document.querySelector('#large-plot').data.length === 4")
    with page.expect_download() as saved:
        page.locator("#large-save").click()
    picture = saved.value.path().read_text()
    assert all(f">Rank {rank}<" in picture for rank in range(4))


def test_many_ranks(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Where there are more ranks than colours a dash tells them apart; of very many some look alike."""
    begin = time.time()
    server.begin("many-ranks", "many ranks", time=begin, rank=0)
    for rank in range(26):
        writer = f"rank-{rank}"
        about = {"time": begin, "event": "writer_started", "writer": {"pid": 10 + rank, "rank": rank}}
        points = ({"time": begin, "step": step, "message": "", "metrics": {"loss": rank + step}} for step in range(3))
        server.post("many-ranks", about, *points, writer=writer)
    page = open_page(server, "runs/many-ranks?rank=all")
    until(page, f"{LINES}.length === 24")
    assert page.evaluate(f"new Set({LINES}.map(({{line}}) => line.color + line.dash)).size") == 24
    assert page.evaluate(f"{LINES}[1].y") == [1, 2, 3, None, 25, 26, 27]
    assert page.evaluate(f"{LINES}[1].name") == "Rank 1, Rank 25"
    expect(page.locator("#charts .legend li")).to_have_count(26)
    assert page.locator("#charts .legend").bounding_box()["height"] < 100
    assert page.evaluate(FITS)


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
    lines = page.locator(f"{CARD} svg polyline")
    expect(lines).to_have_count(4)
    assert len({line.get_attribute("stroke") for line in lines.all()}) == 4
    expect(page.locator("#charts .legend li")).to_have_count(4)
    assert page.evaluate(FITS)
    assert page.evaluate(TOO_SMALL) == []
