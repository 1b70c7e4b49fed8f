"""A real browser for tests of what people look at: Debian's chromium without a window, driven by selenium.

It reaches no network but this machine, and keeps its profile in a folder of the test session.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

#: As root in a container there is no sandbox; the rest keeps the browser from calling home.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)


class BrowserNotFoundError(Exception):
    """There is no browser here, or it does not start."""


@contextmanager
def open_browser(profile: Path, width: int = 1440, height: int = 900) -> Iterator[Chrome]:
    """A browser with a fresh profile; it and its driver end with the block.

    Raises:
        BrowserNotFoundError: says what is missing, and how to get it.
    """
    paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise BrowserNotFoundError(f"{' and '.join(missing)} not found: `make browser` installs Debian's, as root")
    options = ChromeOptions()
    options.binary_location = str(paths["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Selenium's own manager would look for a browser and a driver on the network.
    service = Service(str(paths["chromedriver"]), env={**os.environ, "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"})
    try:
        driver = Chrome(options, service)
    except WebDriverException as error:
        raise BrowserNotFoundError(f"chromium does not start: {error}") from error
    try:
        # Its page for new tabs asks for files of its own: not what a test looks for.
        driver.get("about:blank")
        driver.get_log("performance")
        yield driver
    finally:
        driver.quit()


def console(browser: Chrome) -> list[str]:
    """What pages wrote to the console since the last call, errors of loading and of scripts among it."""
    return [f"{entry['level']}: {entry['message']}" for entry in browser.get_log("browser")]


def requests(browser: Chrome) -> list[str]:
    """The URLs that pages asked for since the last call, the pages' own among them."""
    events: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
