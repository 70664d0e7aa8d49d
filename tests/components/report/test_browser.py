"""The page in a real browser, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from components.report.charts import charts
from components.report.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]


@pytest.fixture(scope="module")
def file(report_data, tmp_path_factory) -> Path:
    return write_page({"": report_data}, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, file):
    """Opens the page; afterwards it must have asked for nothing, and complained of nothing."""
    seen: list[str] = []
    contexts = []

    def open_page(**options) -> Page:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("request", lambda request: seen.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in seen if not one.startswith(("file:", "data:"))] == []
    assert sum(one.startswith("file:") for one in seen) == len(contexts)


def column(table: Locator, number: int) -> list[str]:
    return [cell.strip() for cell in table.locator(f"tbody td:nth-child({number})").all_inner_texts()]


def drawn(page: Page) -> Locator:
    return page.locator(".chart:visible svg")


@pytest.mark.parametrize("width", [360, 500, 768, 1100, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_draws_every_chart_and_is_as_wide_as_the_screen(opened, report_data, width, scheme):
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    costs = page.locator("[data-panel]").count()
    page.wait_for_function(
        "n => document.querySelectorAll('.chart svg').length >= n", arg=_charts(report_data) - costs + 1
    )
    assert page.evaluate("document.documentElement.scrollWidth") == width
    words = page.locator("h1").inner_text().split()
    assert words == ["Passed", "90", "%", "smaller,", "no", "difference", "in", "accuracy", "measured"]


@pytest.mark.parametrize("width", [500, 768, 1100, 1280])
def test_no_table_is_cut_off(opened, width):
    page = opened(viewport={"width": width, "height": 800})
    cut = page.evaluate(
        "[...document.querySelectorAll('.table')].filter((one) => one.scrollWidth > one.clientWidth)"
        ".filter((one) => one.checkVisibility()).map((one) => one.getAttribute('aria-label'))"
    )
    assert cut == []
    shown = page.locator("table.sortable tbody tr").first.locator("td")
    assert all(box["x"] + box["width"] <= width for box in (cell.bounding_box() for cell in shown.all()) if box)


def test_what_a_name_says_is_text(opened):
    page = opened()
    assert page.get_by_alt_text("shirt & tie, predicted hat").count() == 1


def test_the_switch_shows_another_cost_by_keyboard(opened):
    page = opened()
    first, second = page.locator("[data-panel=pareto-parameters]"), page.locator("[data-panel=pareto-macs]")
    assert (first.is_visible(), second.is_visible()) == (True, False)
    page.get_by_role("radio", name="Parameters").focus()
    page.keyboard.press("ArrowRight")
    second.locator("svg").wait_for()
    assert (first.is_visible(), second.is_visible()) == (False, True)
    assert "MACs per image" in (second.locator("svg").text_content() or "")


def test_a_point_tells_its_connection(opened, report_data):
    page = opened()
    point = page.locator("[data-panel=pareto-parameters] svg .mark-symbol path[aria-label*='connection']").nth(9)
    point.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert any(trial.connection in tooltip.inner_text() for trial in report_data.trials)


def test_trials_are_sorted_by_a_column_and_back(opened, report_data):
    page = opened()
    table = page.get_by_role("region", name="Trials", exact=True).locator("table")
    heading = table.get_by_role("columnheader", name="Parameters")
    numbers = [int(trial.costs["parameters"]) for trial in report_data.trials]

    heading.get_by_role("button").press("Enter")
    assert column(table, 5) == [f"{number:,}" for number in sorted(numbers)]
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    assert column(table, 5) == [f"{number:,}" for number in sorted(numbers, reverse=True)]

    table.get_by_role("columnheader", name="Connection").get_by_role("button").click()
    connections = [cell.partition("\n")[0] for cell in column(table, 2)]
    assert connections == sorted(connections, key=lambda name: (int(name.split("_")[1]), name))
    assert heading.get_attribute("aria-sort") is None


def test_without_javascript_the_charts_are_images(opened, report_data):
    page = opened(java_script_enabled=False, viewport={"width": 360, "height": 800})
    images = page.locator("noscript svg[role=img]")
    assert images.count() == _charts(report_data)
    assert page.locator("noscript svg").first.is_visible()
    assert "Validation accuracy of every trial" in (images.first.get_attribute("aria-label") or "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    """WCAG's contrast AA, 4.5, for every colour that text has."""
    page = opened(color_scheme=scheme)
    assert page.evaluate(CONTRASTS) == {}


def test_paper_has_what_is_folded(opened, tmp_path):
    page = opened()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".switch").is_hidden()


def _charts(data) -> int:
    return len(list(charts(data)))


CONTRASTS = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.slice(0, 3).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const found = channels(getComputedStyle(element).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
  };
  const low = {};
  for (const element of document.querySelectorAll("body *:not(script):not(style):not(svg *):not(noscript)")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || element.className === "hidden" || !element.checkVisibility()) continue;
    const both = [channels(getComputedStyle(element).color), ground(element)].map(luminance);
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (contrast < 4.5) low[`${element.tagName}.${element.className}`] = contrast;
  }
  return low;
}"""


@pytest.mark.parametrize("width", [500, 768, 1100])
def test_no_word_of_a_chart_is_cut_off(opened, width):
    page = opened(viewport={"width": width, "height": 800})
    page.wait_for_selector("#training .chart svg")
    cut = page.evaluate(
        """[...document.querySelectorAll('.chart svg text')].filter((one) => {
            const word = one.getBoundingClientRect(), svg = one.ownerSVGElement.getBoundingClientRect();
            return word.width && (word.right > svg.right + 1 || word.left < svg.left - 1);
        }).map((one) => one.textContent)"""
    )
    assert cut == []


def test_on_paper_no_line_of_code_is_cut_off_and_a_total_stands_at_its_tables_end(opened):
    page = opened(viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    cut = "[...document.querySelectorAll('pre')].filter((one) => one.scrollWidth > one.clientWidth).length"
    assert page.evaluate(cut) == 0
    foot = page.locator("tfoot").first
    assert foot.evaluate("one => getComputedStyle(one).display") == "table-row-group"  # a footer is on every sheet
