"""Every method of the state manager after a restart of everything: the server, from its append-only file, and the
worker, which is killed. The executions were left where each method is to be called.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.apps.own_app import make_app
from tests.manager.situations import Scene, put_away
from tests.manager.table import METHODS
from tests.workers import Site
from workflow_state.embedded import EmbeddedServer

pytestmark = [pytest.mark.redis, pytest.mark.worker]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    """One execution for each method, by its name; then the worker is killed, the server restarted, and a new worker
    started.
    """
    path = tmp_path_factory.mktemp("restart")
    with EmbeddedServer(data_dir=path / "data", settings={"appendfsync": "always"}) as server:
        site = Site(make_app(), "tests.integration.apps.own_app", server.url, path)
        try:
            with site.current():
                # Enough processes for all who wait at a gate.
                worker = site.start_worker(concurrency=6)
                made = {name: method.where(site) for name, method in METHODS.items()}
                worker.kill()
                server.restart()
                site.start_worker(concurrency=6)
                yield made
                for scene in made.values():
                    put_away(scene)
        finally:
            site.close(warm=False)


@pytest.mark.parametrize("name", METHODS)
def test_after_a_restart(scenes: dict[str, Scene], name: str) -> None:
    """What a call gives and does is what it would have been without the restart."""
    METHODS[name].check(scenes[name], METHODS[name].call(scenes[name], 0))
