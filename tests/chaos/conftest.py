"""Options, seeds and the table of the chaos tests.

``pytest`` alone runs their short form; ``--chaos-seeds 20`` (``make chaos``) runs all there is, with 20 seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.plans import SCHEDULES
from tests.chaos.scene import Scene
from workflow_state.embedded import find_server_binary
from workflow_state.errors import EmbeddedServerError

SHORT = (("levels", 1), ("batches", 2), ("dataflow", 2), ("unacknowledged", 1))
"""Runs (kind, seed) whose server is killed, or loses its last second."""
KINDS = (*SCHEDULES, "batches", "unacknowledged")
STORM = "storm"
"""The property of a test under which its figures are kept: these come along from other processes, too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--chaos-seeds 20``: the long form of everything in here, with so many seeds."""
    parser.addoption("--chaos-seeds", type=int, default=0, metavar="N", help="long chaos tests, with N seeds")


def seeds_asked(config: pytest.Config) -> int:
    """0: the short form. The option is not there when the tests of another directory are named."""
    return int(config.getoption("--chaos-seeds", default=0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``seed`` runs once for each, in each schedule, in batches, and unacknowledged."""
    if "seed" in metafunc.fixturenames:
        seeds = range(1, seeds_asked(metafunc.config) + 1)
        metafunc.parametrize(("schedule", "seed"), [(s, seed) for s in KINDS for seed in seeds] or SHORT)


def pytest_configure(config: pytest.Config) -> None:
    """A marker of our own."""
    config.addinivalue_line("markers", "long: runs with --chaos-seeds alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything in here starts servers and workers; what is ``long`` is left out of the short form."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in ours:
        for name in ("redis", "worker", "slow"):
            item.add_marker(name)
    left_out = [] if seeds_asked(config) else [item for item in ours if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each run of the storm, as a table of Markdown."""
    ended = (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
    rows = [row for test in ended for name, row in test.user_properties if name == STORM]
    if rows:
        terminalreporter.section("chaos")
        for row in (dict.fromkeys(rows[0]), dict.fromkeys(rows[0], "---:"), *sorted(rows, key=_place)):
            terminalreporter.line(f"| {' | '.join(str(value or name) for name, value in row.items())} |")


def _place(row: dict[str, str]) -> tuple[str, int]:
    return row["kind"], int(row["seed"])


@pytest.fixture(scope="session", autouse=True)
def server_program() -> None:
    """Without a server to start there is nothing to see here; with ``CI=true`` that is a failure."""
    try:
        find_server_binary()
    except EmbeddedServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true and no server: {error}")
        pytest.skip(f"no server: {error}")


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One server for all tests of a module, which says with what ``SETTINGS`` of the library."""
    settings = {"workflow_state": request.module.SETTINGS}
    with Scene(tmp_path_factory.mktemp("scene"), **settings) as found:
        yield found


@pytest.fixture(scope="module")
def fleet(scene: Scene) -> Iterator[Fleet]:
    """Two workers on it; supervised, so each test finds them whole or about to be."""
    with scene.fleet() as found:
        yield found


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for."""
    return seeds_asked(request.config) > 0
