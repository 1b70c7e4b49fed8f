"""A worker of one process: its actions run one at a time, in the order of their messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.behaviour import app
from tests.conftest import SHARED
from tests.workers import Site


@pytest.fixture(scope="session")
def serial(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The app of the behaviour tests is the current one; its worker has one process."""
    found = Site(app.make_app(), app.__name__, database(), tmp_path_factory.mktemp("serial"))
    try:
        found.start_worker(concurrency=1)
        SHARED.append(found)
        with found.current():
            yield found
    finally:
        found.close()
