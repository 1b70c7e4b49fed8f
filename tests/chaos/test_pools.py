"""Pools that cannot end what runs in them: a worker that has to stop at once lets its actions end."""

from __future__ import annotations

import signal

import pytest

from tests.chaos.plans import action
from tests.chaos.scene import Scene, scene_with
from tests.support import wait_until

BOUND = 30.0
scene = scene_with(lease=1.0, sweep_interval=0.25)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_cold_shutdown_is_no_failure_of_what_runs(pool: str, scene: Scene) -> None:
    """Celery's cold shutdown (SIGQUIT, a second Ctrl+C, or ``REMAP_SIGTERM``) hits a worker in the middle of an
    action that has one attempt: that attempt completes, or another takes its place; it does not fail.
    """
    gate = scene.gate()
    wait = action("wait", "chaos.wait", inputs={"gate": str(gate)}, retry={"max_attempts": 1})
    with scene.fleet(0) as fleet:
        worker = fleet.add("--pool", pool)
        fleet.wait_ready()
        execution_id = scene.start({"id": "cold", "actions": [wait]})
        scene.wait_started(execution_id, "wait")
        worker.signal(signal.SIGQUIT, group=False)
        wait_until(lambda: "will terminate all running tasks" in worker.output, BOUND, "the worker is to stop")
        gate.touch()
        assert scene.wait_closed(execution_id, BOUND, fleet).status == "completed"
    assert scene.keys_without_ttl(execution_id) == []
