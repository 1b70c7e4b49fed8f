"""What the tests share: one real server per session, and real workers, each started once.

A fixture that needs a server or a browser skips the test where there is none to be found or started; with
``CI=true`` it fails instead, so that a pipeline cannot be green without having run it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, settings
from selenium.webdriver import Chrome

from tests.browser import BrowserNotFoundError, open_browser
from tests.integration.apps import library_app, own_app
from tests.support import wait_until
from tests.workers import RUNNING, SCHEDULE, Site
from workflow_state.embedded import EmbeddedServer
from workflow_state.errors import EmbeddedServerError

DATABASES = 1000
SHARED_SERVER = "TEST_SERVER_PORT"
WORKER_FIXTURES = {"library", "own", "site", "fresh"}
# How long an example takes says more of the machine than of us; a hang is what the suite's own timeout is for.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

SHARED: list[Site] = []
"""The sites whose workers live as long as the session."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--keep-pictures``: screenshots that tests make replace those in docs/pictures."""
    parser.addoption("--keep-pictures", action="store_true", help="put screenshots into docs/pictures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they ask for, so that ``-m 'not worker'`` cannot miss one."""
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if "server" in asked:
            item.add_marker("redis")
        if asked & WORKER_FIXTURES:
            item.add_marker("worker")
        if "browser" in asked:
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the last words of every worker that runs: the reason is often there."""
    report = yield
    if report.failed:
        report.sections += [(f"log of worker {w.name}", w.tail()) for w in RUNNING]
    return report


class Port(NamedTuple):
    """Where a server listens that somebody else started."""

    port: int


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer | Port]:
    """A real Redis-compatible server of this session's own, on a free port, that keeps nothing on disk.

    ``TEST_SERVER_PORT`` names one that several sessions share, each with databases of its own.
    """
    if SHARED_SERVER in os.environ:
        yield Port(int(os.environ[SHARED_SERVER]))
        return
    found = EmbeddedServer(appendonly=False, settings={"databases": str(DATABASES)})
    try:
        found.start()
    except EmbeddedServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true and no server: {error}")
        pytest.skip(f"no server: {error}")
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder that a test's screenshots go to: the documentation's when ``--keep-pictures`` asks for it."""
    if not request.config.getoption("--keep-pictures"):
        return tmp_path
    folder = Path(__file__).parents[1] / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def database(server: EmbeddedServer | Port) -> Iterator[Callable[[], str]]:
    """Gives the URL of a database that nobody has used, each time it is called."""
    with redis.Redis(port=server.port) as counter:
        yield lambda: f"redis://127.0.0.1:{server.port}/{counter.incr('test-databases')}"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A real browser without a window, one for the session; each test opens the page that it is about."""
    with ExitStack() as opened:
        try:
            driver = opened.enter_context(open_browser(tmp_path_factory.mktemp("browser")))
        except BrowserNotFoundError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI=true and no browser: {error}")
            pytest.skip(f"no browser: {error}")
        yield driver


@pytest.fixture(scope="session")
def library_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The library's own app with its one worker, started as the documentation says."""
    found = Site(library_app.app, "workflow_state.app", database(), tmp_path_factory.mktemp("library"))
    try:
        found.start_worker()
        SHARED.append(found)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def own_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A user's own app with its one worker."""
    module = own_app.__name__
    found = Site(own_app.make_app(), module, database(), tmp_path_factory.mktemp("own"))
    try:
        found.start_worker(concurrency=3)
        SHARED.append(found)
        yield found
    finally:
        found.close()


@pytest.fixture(params=["levels", "dataflow"])
def both_schedules(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs twice; ``plan`` makes its plans for one schedule, and for the other."""
    before = SCHEDULE.set(request.param)
    yield
    SCHEDULE.reset(before)


@pytest.fixture
def library(library_site: Site) -> Iterator[Site]:
    """The library's app is the current one; its worker runs."""
    with library_site.current():
        yield library_site


@pytest.fixture
def own(own_site: Site) -> Iterator[Site]:
    """The user's app is the current one; its worker runs."""
    with own_site.current():
        yield own_site


@pytest.fixture(params=["library", "own"])
def site(request: pytest.FixtureRequest) -> Site:
    """The test runs twice: on the library's app, and on a user's own."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def fresh(database: Callable[[], str], tmp_path: Path) -> Iterator[Site]:
    """The user's app on a new database, without any worker yet: for a test that kills or stops them."""
    found = Site(own_app.make_app(), own_app.__name__, database(), tmp_path)
    try:
        with found.current():
            yield found
            if any(worker in RUNNING for worker in found.workers):
                check_nothing_lasts(found)
    finally:
        found.close(warm=False)


@pytest.fixture(scope="module", autouse=True)
def nothing_lasts() -> Iterator[None]:
    """At the end of every module no key without TTL remains on the databases of the shared workers.

    The promise: "every key has a TTL once the execution has ended, and none may expire while it has not".
    Excepted are the index of executions and what the broker knows of its queues, which belong to no
    execution. A message left in a queue, an unacknowledged one, an open deadline or a level's unpublished
    part would be found, since none of these keys has a TTL.
    """
    yield
    for found in SHARED:
        check_nothing_lasts(found)


def check_nothing_lasts(found: Site) -> None:
    """Wait until the last execution is closed; a moment, since ``.get()`` returns just before."""
    left: set[str] = set()

    def none_left() -> bool:
        left.clear()
        left.update(found.lasting_keys())
        return not left

    try:
        wait_until(none_left, 10)
    except AssertionError:
        raise AssertionError(f"keys without TTL remain on {found.url}: {sorted(left)}") from None
