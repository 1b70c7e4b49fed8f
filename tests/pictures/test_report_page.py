"""The report in a real browser: it opens in silence, fetches nothing, and every control does what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browser import console, requests
from tests.pictures import plans, runs
from tests.support import wait_until
from workflow_state import ActionExecutionState, ExecutionState, execution_report
from workflow_state.testing import run_plan

LARGE = "a1312"
"""The action that fails in the run of 2,000."""


@pytest.fixture
def open_page(browser: Chrome, tmp_path: Path) -> Iterator[Callable[[str], Chrome]]:
    """Opens a page in the browser; after the test, it has said nothing on the console and asked for nothing else."""
    path = tmp_path / "report.html"
    console(browser)
    requests(browser)

    def open_it(page: str) -> Chrome:
        path.write_text(page, encoding="utf-8")
        browser.get(path.as_uri())
        return browser

    yield open_it
    assert console(browser) == []
    assert set(requests(browser)) == {path.as_uri()}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def rows(browser: Chrome) -> list[str]:
    """The ids in the rows that are there, by their place in the list; read at one moment, as scrolling remakes them."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('.row')].sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
        ".map((row) => row.ariaLabel.split(',')[0])"
    )
    return found


def one(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def large() -> tuple[Any, ExecutionState]:
    """A run of 2,000 actions in which one failed."""
    return runs.recorded({"name": "nightly archive", **plans.grid(40, 50)}, failing=LARGE)


def work(browser: Chrome) -> float:
    """Seconds that the page's thread has worked so far; unlike time, other processes do not add to it."""
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float({metric["name"]: metric["value"] for metric in metrics}["TaskDuration"])


def test_the_first_look_shows_what_failed_and_what_it_blocked(open_page: Callable[[str], Chrome]) -> None:
    """Without a click or a scroll: the status, the action, its error, whom it blocked, and its box in the graph."""
    browser = open_page(execution_report(*runs.recorded(plans.grid(4, 3), failing="a4")))
    assert "failed" in one(browser, "header .status").text
    card = one(browser, ".card")
    assert card.text.startswith("a4\nfailed after 3 attempts\nnetwork_timeout\nthe archive does not answer\nIt blocked")
    failed = one(browser, "#graph .ws-box.ws-failed")
    for seen in (card, failed):
        assert 0 <= seen.rect["y"] < 900 - seen.rect["height"]


def test_filters_search_and_sort(open_page: Callable[[str], Chrome]) -> None:
    """Status and critical path filter together with the search; the count says how many are left."""
    browser = open_page(execution_report(*runs.recorded(plans.grid(4, 3), failing="a4")))
    assert len(rows(browser)) == 12
    one(browser, ".chip[data-look=failed]").click()
    assert rows(browser) == ["a4"]
    assert one(browser, "#count").text == "1 of 12 actions"
    one(browser, ".chip[data-look=skipped]").click()
    assert len(rows(browser)) == 7
    one(browser, "#search").send_keys("A1")
    assert rows(browser) == ["a10", "a11"]
    one(browser, ".chip[data-critical]").click()
    assert rows(browser) == []
    assert "No action is like that" in one(browser, "#rows").text
    for chip in browser.find_elements(By.CSS_SELECTOR, ".chip[aria-pressed=true]"):
        chip.click()
    one(browser, "#search").clear()
    ActionChains(browser).send_keys_to_element(one(browser, "#search"), "x", Keys.BACKSPACE).perform()
    assert len(rows(browser)) == 12
    one(browser, "#sort option[value=plan]").click()
    assert rows(browser) == [f"a{n}" for n in range(12)]


def test_a_panel_tells_everything_of_an_action(open_page: Callable[[str], Chrome]) -> None:
    """A click on a row, a box or an id opens it: definition, error, attempts, condition, inputs, neighbours."""
    browser = open_page(execution_report(plans.SHOP, runs.shop()))
    one(browser, ".card .open").click()
    panel = one(browser, "#panel")
    for text in ("charge", "payments.charge", "the card was declined", "premium", "${check.output.total}", "level 2"):
        assert text in panel.text
    next(button for button in panel.find_elements(By.CSS_SELECTOR, ".open") if button.text == "check").click()
    assert "[redacted]" in panel.text
    assert '"total": 42' in panel.text
    one(browser, "#close").click()
    assert not panel.is_displayed()
    one(browser, '#graph .ws-box[data-n="4"] > text').click()
    assert "Ship it?" in panel.text
    assert "confirmed" in panel.text
    assert one(browser, "#lit").get_attribute("d")


def test_it_is_usable_by_keyboard(open_page: Callable[[str], Chrome]) -> None:
    """Slash searches, arrows move through the rows, enter opens, escape goes back; the graph moves and zooms."""
    browser = open_page(execution_report(*runs.recorded(plans.grid(4, 3), failing="a4")))
    keys = ActionChains(browser)
    keys.send_keys("/", "a4").perform()
    assert browser.switch_to.active_element.get_attribute("value") == "a4"
    one(browser, "#list").send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    panel = one(browser, "#panel")
    assert panel.is_displayed()
    assert browser.switch_to.active_element == panel
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not panel.is_displayed()
    assert browser.switch_to.active_element == one(browser, "#list")
    before = one(browser, "#graph > svg").get_dom_attribute("viewBox")
    one(browser, "#graph").send_keys("+", Keys.ARROW_RIGHT)
    assert one(browser, "#graph > svg").get_dom_attribute("viewBox") != before
    one(browser, "#graph").send_keys("0")
    assert one(browser, "#graph > svg").get_dom_attribute("viewBox") == before


def test_dragging_and_buttons_move_the_graph(open_page: Callable[[str], Chrome]) -> None:
    """A drag moves the picture and opens no panel; the buttons zoom, and show all again."""
    browser = open_page(execution_report(*runs.recorded(plans.grid(4, 3))))
    svg = one(browser, "#graph > svg")
    before = svg.get_dom_attribute("viewBox")
    ActionChains(browser).drag_and_drop_by_offset(one(browser, "#graph .ws-box"), 80, 10).perform()
    assert svg.get_dom_attribute("viewBox") != before
    assert not one(browser, "#panel").is_displayed()
    one(browser, "[data-zoom=in]").click()
    one(browser, "[data-zoom=fit]").click()
    assert svg.get_dom_attribute("viewBox") == before


def test_an_action_that_is_opened_comes_into_sight(open_page: Callable[[str], Chrome]) -> None:
    """However the graph was moved: its box is inside the frame, and not under the panel."""
    browser = open_page(execution_report(*runs.recorded(plans.grid(10, 20), failing="a110")))
    for _ in range(6):
        one(browser, "[data-zoom=in]").click()
    one(browser, ".card .open").click()
    box, frame = one(browser, "#graph .ws-box.picked").rect, one(browser, "#graph").rect
    assert frame["x"] <= box["x"]
    assert box["x"] + box["width"] <= one(browser, "#panel").rect["x"]
    assert frame["y"] <= box["y"] <= frame["y"] + frame["height"] - box["height"]


def test_two_thousand_actions_open_and_react_at_once(browser: Chrome, open_page: Callable[[str], Chrome]) -> None:
    """Two seconds of work to open, half a second to search; only rows in sight are there, and scrolling makes more."""
    work(browser)  # It is counted from the first time that somebody asks.
    open_page(execution_report(*large()))
    assert 0.01 < work(browser) < 2
    assert len(rows(browser)) < 50
    before = work(browser)
    browser.execute_script(
        "const search = document.getElementById('search'); search.value = 'a13';"
        "search.dispatchEvent(new Event('input')); document.body.offsetHeight"
    )
    assert work(browser) - before < 0.5
    assert one(browser, "#count").text == "111 of 2,000 actions"
    browser.execute_script("const list = document.getElementById('list'); list.scrollTop = list.scrollHeight")
    wait_until(
        lambda: "a1399" in rows(browser) or rows(browser)[-1].startswith("a13"), message="the last rows are drawn"
    )
    one(browser, "#list").send_keys(Keys.END, Keys.ENTER)
    assert one(browser, "#panel").is_displayed()


def test_a_state_alone_and_a_run_that_has_not_begun_open_too(open_page: Callable[[str], Chrome]) -> None:
    """Without a plan there is no graph, and without times no bar: rows, search and panel are there all the same."""
    ended = runs.shop()
    waiting = {name: ActionExecutionState(action_id=name, status="pending") for name in ended.action_states}
    begun = ExecutionState(id="e", plan_id="order-17", status="initializing", action_states=waiting)
    for page, output in ((ended.to_html(), "B-7"), (execution_report(plans.SHOP, begun), "warehouse.pack")):
        browser = open_page(page)
        one(browser, "#search").send_keys("pack")
        assert rows(browser) == ["pack"]
        one(browser, ".row").click()
        assert output in one(browser, "#panel").text
        assert "NaN" not in one(browser, "body").text


def test_strangers_text_runs_nothing(open_page: Callable[[str], Chrome]) -> None:
    """Markup in names, values and errors is shown as it is written, in cards, rows, panel and graph."""
    text = plans.HOSTILE
    first = plans.action("__proto__", actionDefinitionId="test.fail", inputs={"<b>": text.replace("${", "$${")})
    plan = {"name": text[:200], "actions": [first, plans.action("constructor", "__proto__")]}

    def fail(**_: object) -> None:
        raise ValueError(text)

    browser = open_page(execution_report(plan, run_plan(plan, {"test.fail": fail})))
    one(browser, ".card .open").click()
    assert text.split("\u202e")[0].strip() in one(browser, "#panel").text
    assert browser.find_elements(By.CSS_SELECTOR, "img, b[onerror], #panel b") == []
    next(button for button in browser.find_elements(By.CSS_SELECTOR, "#panel .open")).click()
    assert "blocked by __proto__" in one(browser, "#panel").text


def test_it_is_light_or_dark_as_its_reader_prefers(open_page: Callable[[str], Chrome]) -> None:
    """The page and the graph in it follow the system; text stands out in both."""
    browser = open_page(execution_report(plans.SHOP, runs.shop()))
    seen = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        seen[scheme] = [
            one(browser, selector).value_of_css_property(name)
            for selector, name in (("body", "background-color"), ("body", "color"), ("#graph text", "fill"))
        ]
    assert seen["light"][0] == "rgba(255, 255, 255, 1)"
    assert seen["dark"][0] == "rgba(17, 21, 27, 1)"
    assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))


@pytest.mark.parametrize("name", ["report-10", "report-200", "report-2000"])
def test_pictures_of_reports(name: str, open_page: Callable[[str], Chrome], pictures: Path) -> None:
    """A report of 10, 200 and 2,000 actions fits its window's width; ``--keep-pictures`` keeps what it looks like."""
    run = {"report-10": ten, "report-200": two_hundred, "report-2000": large}[name]
    browser = open_page(execution_report(*run()))
    try:
        # The window is larger than the page in it by what a frame takes.
        browser.set_window_size(1440, 1090 if name == "report-10" else 1330)
        wait_until(lambda: browser.execute_script("return innerHeight") > 900, message="the window is high")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 1440
        path = pictures / f"{name}.png"
        assert browser.save_screenshot(str(path))
        with Image.open(path) as shot:
            small = shot.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            assert len(shot.convert("RGB").getcolors(2**24) or ()) > 100
        small.save(path, optimize=True)
    finally:
        browser.set_window_size(1440, 900)


def ten() -> tuple[Any, ExecutionState]:
    """A nightly report at work: one action failed, was tried again, and blocked the rest."""
    needs = {
        "read-orders": [],
        "read-customers": [],
        "read-rates": [],
        "convert": ["read-orders", "read-rates"],
        "rank": ["convert", "read-customers"],
        "find-late": ["read-orders"],
        "render": ["rank", "find-late"],
        "archive": ["render"],
        "mail": ["render"],
        "close": ["archive", "mail"],
    }
    plan = {"name": "nightly report", **plans.plan_of(needs)}
    for action in plan["actions"]:
        action["actionDefinitionId"] = f"nightly.{action['id'].replace('-', '_')}"
    return runs.recorded(plan, failing="rank")


def two_hundred() -> tuple[Any, ExecutionState]:
    """Ten levels of twenty, all of them completed after some retries."""
    return runs.recorded({"name": "import of a week", **plans.grid(10, 20)})
