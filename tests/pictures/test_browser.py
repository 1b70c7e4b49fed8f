"""The browser of the tests: a real one, that sees what a page does."""

from __future__ import annotations

import re
from pathlib import Path

from selenium.webdriver import Chrome

from tests.browser import console, requests

PAGE = """<!doctype html><title>page</title><p id="p">no</p>
<script>document.getElementById("p").textContent = String(6 * 7); console.error("seen")</script>"""


def test_it_runs_scripts_and_tells_of_errors_and_requests(browser: Chrome, tmp_path: Path) -> None:
    """A script runs, its console messages and every request are there to be checked."""
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    requests(browser)
    browser.get(page.as_uri())
    assert browser.find_element("id", "p").text == "42"
    (line,) = console(browser)
    assert re.fullmatch(r'SEVERE: .*"seen"', line)
    assert requests(browser) == [page.as_uri()]
