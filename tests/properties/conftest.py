"""A worker of one process: its actions run one at a time, in the order of their messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.behaviour import app
from tests.conftest import SHARED
from tests.workers import Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for that worker is marked so."""
    for item in items:
        if "serial" in getattr(item, "fixturenames", ()):
            item.add_marker("worker")


@pytest.fixture(scope="session")
def serial_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The app of the behaviour tests; its worker has one process."""
    found = Site(app.make_app(), app.__name__, database(), tmp_path_factory.mktemp("serial"))
    try:
        found.start_worker(concurrency=1)
        SHARED.append(found)
        yield found
    finally:
        found.close()


@pytest.fixture
def serial(serial_site: Site) -> Iterator[Site]:
    """The app is the current one; its worker runs one action at a time."""
    with serial_site.current():
        yield serial_site
