"""One worker for all behaviour tests; each module hands in all of its plans at once and looks at how they ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.behaviour import app
from tests.behaviour.endings import Endings
from tests.conftest import SHARED
from tests.workers import Site

CONCURRENCY = 4
"""Some actions only sleep, to be timed out: they must not hold up the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for the worker is marked so."""
    for item in items:
        if "behaviour" in getattr(item, "fixturenames", ()):
            item.add_marker("worker")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module may name the ``SCHEDULES`` that its plans run in."""
    if "ended" in metafunc.fixturenames:
        schedules = getattr(metafunc.module, "SCHEDULES", ("levels",))
        metafunc.parametrize("ended", schedules, indirect=True, scope="module")


@pytest.fixture(scope="session")
def behaviour_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The app of the behaviour tests with its worker."""
    found = Site(app.make_app(), app.__name__, database(), tmp_path_factory.mktemp("behaviour"))
    try:
        found.start_worker(concurrency=CONCURRENCY)
        SHARED.append(found)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def behaviour(behaviour_site: Site) -> Iterator[Site]:
    """The app is the current one; its worker runs."""
    with behaviour_site.current():
        yield behaviour_site


@pytest.fixture(scope="module")
def ended(request: pytest.FixtureRequest, behaviour: Site) -> Endings:
    """The final states of the module's ``PLANS``, by name, in one schedule; all of them run at once."""
    plans: dict[str, Any] = request.module.PLANS
    return Endings.of(plans, request.param)
