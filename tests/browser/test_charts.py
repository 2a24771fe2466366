"""The charts of a run."""

from __future__ import annotations

import math
import re
import time
from typing import Any

FULL = "document.querySelector('{0}')._fullLayout"
CARD = ".card .chart"


def drawn(until: Any, page: Any, selector: str = CARD) -> None:
    """Wait until plotly.js has drawn a chart."""
    until(page, f"document.querySelector('{selector} .nsewdrag') !== null")


def points(page: Any, selector: str = CARD) -> int:
    """How many points a chart's line has."""
    return page.evaluate(f"document.querySelector('{selector}').data[0].x.length")


def zoom(page: Any, selector: str, left: float, right: float) -> None:
    """Drag over a part of a chart, in parts of its width."""
    box = page.locator(f"{selector} .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + left * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + right * box["width"], middle + 3, steps=5)
    page.mouse.up()


def test_a_live_chart_grows(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """New points appear in the chart, and the new value beside its name, without a reload."""
    begin = server.begin("grow", "grow")
    server.metric("grow", "loss", [3.0, 2.0, 1.0], begin=begin)
    page = open_page(server, "runs/grow")
    drawn(until, page)
    assert points(page) == 3
    server.metric("grow", "loss", [0.5, 0.25], first=3)
    until(page, f"document.querySelector('{CARD}').data[0].x.length === 5")
    expect(page.locator(".card .value")).to_have_text("0.25")


def test_a_zoom_survives_new_points(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """What one has zoomed into stays while the run goes on."""
    server.begin("zoom", "zoom")
    server.metric("zoom", "loss", [math.sin(i / 9) for i in range(300)])
    page = open_page(server, "runs/zoom")
    drawn(until, page)
    zoom(page, CARD, 0.25, 0.5)
    until(page, f"{FULL.format(CARD)}.xaxis.autorange === false")
    before = page.evaluate(f"{FULL.format(CARD)}.xaxis.range")
    server.metric("zoom", "loss", [5.0] * 10, first=300)
    until(page, f"document.querySelector('{CARD}').data[0].x.length === 310")
    assert page.evaluate(f"{FULL.format(CARD)}.xaxis.range") == before


def test_a_hundred_thousand_points_come_within_a_second(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Switching to a metric of 100,000 points draws it in under a second, with its spike, and says what is shown."""
    server.begin("big", "big")
    values = [math.sin(i / 5000) for i in range(100_000)]
    values[77_777] = 50.0
    for first in range(0, len(values), 20_000):
        server.metric("big", "wave/big", values[first : first + 20_000], first=first)
    server.metric("big", "wave/small", [1.0, 2.0])
    page = open_page(server, "runs/big")
    drawn(until, page)
    page.locator(".card", has_text="small").get_by_role("button").click()
    expect(page.locator("#large-shown")).to_have_text("2 points")
    drawn(until, page, "#large-plot")
    page.get_by_role("button", name="Metric before").click()
    expect(page.locator("#large-shown")).to_contain_text("of 100,000 points")
    until(page, "performance.getEntriesByName('metric-drawn').length === 2")
    asked, drawn_at = page.evaluate(
        "['metric-asked', 'metric-drawn'].map((name) => performance.getEntriesByName(name)[1].startTime)"
    )
    assert drawn_at - asked < 1000
    assert 50.0 in page.evaluate("document.querySelector('#large-plot').data[0].y")
    assert points(page, "#large-plot") <= 2000


def test_zooming_in_brings_detail(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """A part of a long metric, zoomed into, shows its own points and not the thinned ones."""
    server.begin("detail", "detail")
    server.metric("detail", "noise", [(i * 7919) % 1000 / 1000 for i in range(20_000)])
    page = open_page(server, "runs/detail?chart=noise")
    drawn(until, page, "#large-plot")
    zoom(page, "#large-plot", 0.5, 0.52)
    expect(page.locator("#large-shown")).to_contain_text("zoomed in")
    until(
        page,
        """(() => {
          const [from, to] = document.querySelector("#large-plot")._fullLayout.xaxis.range;
          const steps = document.querySelector("#large-plot").data[0].x.filter((x) => x >= from && x <= to);
          return steps.length === Math.floor(to) - Math.ceil(from) + 1;
        })()""",
    )
    page.get_by_role("button", name="Whole range").click()
    expect(page.locator("#large-shown")).to_contain_text("of 20,000 points; every peak is kept")
    until(page, "document.querySelector('#large-plot')._fullLayout.xaxis.range[1] > 19000")


def test_what_is_no_number_is_a_gap_and_a_mark(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """NaN and the infinities leave a gap in the line and a mark at the edge; the scale stays that of the numbers."""
    server.begin("odd", "odd")
    server.metric("odd", "loss", [1.0, 2.0, "NaN", 1.5, "Infinity", "-Infinity", 1.0])
    page = open_page(server, "runs/odd")
    drawn(until, page)
    line, marks = page.evaluate(f"document.querySelector('{CARD}').data.map(({{y}}) => y)")
    assert line == [1, 2, None, 1.5, None, None, 1]
    assert len(marks) == 3
    low, high = page.evaluate(f"{FULL.format(CARD)}.yaxis.range")
    assert 0 < low < high < 3
    expect(page.locator(".card .value")).to_have_text("1")


def test_axes_can_be_chosen_and_are_in_the_address(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Step, elapsed and clock time, linear and log: each is a button, and a link keeps the choice."""
    begin = server.begin("axes", "axes", time=time.time() - 60)
    server.metric("axes", "loss", [10.0, 1.0, 0.1], begin=begin)
    page = open_page(server, "runs/axes")
    drawn(until, page)
    charts = page.locator("#charts")
    charts.get_by_role("button", name="Clock").click()
    until(page, f"{FULL.format(CARD)}.xaxis.type === 'date'")
    charts.get_by_role("button", name="Elapsed").click()
    until(page, f"{FULL.format(CARD)}.xaxis.type === 'linear'")
    charts.get_by_role("button", name="Log y").click()
    until(page, f"{FULL.format(CARD)}.yaxis.type === 'log'")
    expect(page).to_have_url(re.compile(r"x=relative&log=1"))
    page.reload()
    drawn(until, page)
    assert page.evaluate(f"{FULL.format(CARD)}.yaxis.type") == "log"
    expect(charts.get_by_role("button", name="Elapsed")).to_have_attribute("aria-pressed", "true")


def test_metrics_are_grouped_and_filtered(server: Any, open_page: Any, expect: Any) -> None:
    """Names with a common prefix stand under it, groups close, and the filter narrows them."""
    server.begin("groups", "groups")
    metrics = {"train/loss": 1, "train/acc": 2, "val/loss": 3, "val/acc": 4, "lr": 5}
    server.log("groups", "all", metrics=metrics, step=0)
    page = open_page(server, "runs/groups")
    expect(page.locator(".group .name")).to_have_text(["General", "train", "val"])
    expect(page.locator(".card")).to_have_count(5)
    page.get_by_role("button", name="train").click()
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_label("Filter metrics by name").fill("val/")
    expect(page.locator(".card .name")).to_have_text(["acc", "loss"])
    expect(page).to_have_url(re.compile(r"metric=val"))


def test_ten_thousand_names_cost_no_more_than_a_screenful(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """With 10,000 metrics the page opens, scrolls and filters, with few elements and few charts."""
    server.begin("names", "names")
    for group in range(100):
        metrics = {f"layer{group}/weight{i}": i for i in range(100)}
        server.log("names", f"layer {group}", metrics=metrics, step=0)
    page = open_page(server, "runs/names")
    drawn(until, page)
    assert page.evaluate("document.querySelectorAll('.card').length") < 150
    assert page.evaluate("document.querySelectorAll('.js-plotly-plot').length") < 40
    page.locator("#grid").hover()
    page.mouse.wheel(0, 20_000)
    until(page, "document.querySelectorAll('.card').length > 60")
    assert page.evaluate("document.querySelectorAll('.js-plotly-plot').length") < 60
    page.get_by_label("Filter metrics by name").fill("layer42/weight99")
    expect(page.locator(".card")).to_have_count(1)


def test_any_name_is_drawn(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """Names with slashes, percent signs, spaces and other scripts are found and drawn."""
    odd = ["MAP@k", "a b,c=1", "100%/x?y#z", "timing(s)/gen", "\u635f\u5931", "..", "constructor", "__proto__"]
    server.begin("odd-names", "odd names")
    server.log("odd-names", "one", metrics=dict.fromkeys(odd, 1.0), step=0)
    server.log("odd-names", "two", metrics=dict.fromkeys(odd, 2.0), step=1)
    page = open_page(server, "runs/odd-names")
    expect(page.locator(".card")).to_have_count(len(odd))
    assert sorted(page.locator(".card").evaluate_all("cards => cards.map(c => c.dataset.metric)")) == sorted(odd)
    until(page, "[...document.querySelectorAll('.card')].every((card) => !card.card.visible || card.card.count === 2)")


def test_arrow_keys_go_from_metric_to_metric(server: Any, open_page: Any, expect: Any) -> None:
    """In the large view the arrow keys show the neighbours, Escape closes, and the address follows."""
    server.begin("arrows", "arrows")
    server.log("arrows", "all", metrics={"a": 1, "b": 2, "c": 3}, step=0)
    page = open_page(server, "runs/arrows?chart=b")
    expect(page.locator("#large-name")).to_have_text("b")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#large-name")).to_have_text("c")
    expect(page).to_have_url(re.compile("chart=c"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#large-name")).to_have_text("a")
    page.keyboard.press("Escape")
    expect(page.locator("#large")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("chart="))


def test_a_metric_without_a_name_is_drawn(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """A metric whose name is empty has its points in a chart, and words in place of the name."""
    server.begin("nameless", "nameless")
    server.metric("nameless", "", [1.0, 2.0, 3.0])
    page = open_page(server, "runs/nameless")
    drawn(until, page)
    assert points(page) == 3
    expect(page.locator(".card .name")).to_have_text("(no name)")
    page.locator(".cardhead").click()
    expect(page.locator("#large-name")).to_have_text("(no name)")
    drawn(until, page, "#large-plot")


def test_values_beyond_measure_leave_the_others_their_scale(
    server: Any, open_page: Any, expect: Any, until: Any
) -> None:
    """Values that no axis can span are marked at the edge, as infinities are, and the others are drawn."""
    server.begin("vast", "vast")
    server.metric("vast", "loss", [1.0, 2.0, 1.7e308, -1.7e308, 3.0])
    page = open_page(server, "runs/vast")
    drawn(until, page)
    low, high = page.evaluate(f"{FULL.format(CARD)}.yaxis.range")
    assert -1 < low < 1 < 3 < high < 5
    assert page.evaluate(f"document.querySelector('{CARD}').data[1].marker.symbol") == ["triangle-up", "triangle-down"]
