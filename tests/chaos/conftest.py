"""Options, seeds and the table of the chaos tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.storm import Report

SHORT_SEEDS = (1, 2)
"""One run whose server is killed, one whose server loses its last second."""
REPORTS = pytest.StashKey[list[Report]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--chaos-seeds 20``: the long form of everything in here, with so many seeds."""
    parser.addoption("--chaos-seeds", type=int, default=0, metavar="N", help="long chaos tests, with N seeds")


def seeds_asked(config: pytest.Config) -> int:
    """0: the short form. The option is not there when the tests of another directory are named."""
    return int(config.getoption("--chaos-seeds", default=0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``seed`` runs once for each."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, seeds_asked(metafunc.config) + 1) or SHORT_SEEDS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything in here starts servers and workers; what is ``long`` runs with ``--chaos-seeds`` alone."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("redis")
            item.add_marker("worker")
            item.add_marker("slow")


def pytest_configure(config: pytest.Config) -> None:
    """A place for the reports."""
    config.stash[REPORTS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line for each run of the storm."""
    reports = config.stash.get(REPORTS, [])
    if not reports:
        return
    terminalreporter.section("chaos")
    terminalreporter.line(
        "seed  outage     seconds  kills  children  mains  workers  drops  outages  restarts  cut off  lost  undone"
    )
    for r in reports:
        drops, outages = r.events["drop all"] + r.events["drop one"], r.events[r.outage]
        terminalreporter.line(
            f"{r.seed:4}  {r.outage:9}  {r.duration:7.1f}  {r.kills:5}  {r.events['child']:8}  {r.events['main']:5}  "
            f"{r.events['worker']:7}  {drops:5}  {outages:7}  {r.restarts:8}  {r.cut_off:7}  {r.lost:4}  "
            f"{r.undone_bytes:6}"
        )


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for."""
    return seeds_asked(request.config) > 0


@pytest.fixture
def reports(request: pytest.FixtureRequest) -> list[Report]:
    """Where a run leaves its numbers."""
    found: list[Report] = request.config.stash[REPORTS]
    return found
