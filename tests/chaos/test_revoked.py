"""Celery's revoke, which anyone with Flower has a button for: what was accepted is not left half done by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.plans import action
from tests.chaos.scene import Scene, scene_with
from tests.support import wait_until
from workflow_state import action_task_id

BOUND = 30.0
QUICK = {"lease": 1.0, "sweep_interval": 0.25}
scene = scene_with(**QUICK)


@pytest.fixture
def fleet(scene: Scene) -> Iterator[Fleet]:
    """One worker."""
    with scene.fleet(1) as found:
        yield found


def revoke(scene: Scene, fleet: Fleet, task_id: str) -> None:
    """Tell the worker that a task is revoked."""
    scene.app.control.revoke(task_id)
    wait_until(lambda: any(task_id in line for line in fleet.lines("flagged as revoked")), 20, "the worker knows of it")


def test_a_plan_that_was_revoked_while_it_runs_ends_as_it_would(scene: Scene, fleet: Fleet) -> None:
    """The execution's id is revoked: it ends, its result takes the place of what Celery wrote at once, and nothing is
    left of it.
    """
    gate = scene.gate()
    execution_id = scene.start({"id": "revoked", "actions": [action("wait", "chaos.wait", inputs={"gate": str(gate)})]})
    scene.wait_started(execution_id, "wait")
    revoke(scene, fleet, execution_id)
    gate.touch()
    assert scene.wait_closed(execution_id, BOUND, fleet).status == "completed"
    assert scene.result(execution_id).state == "SUCCESS"
    assert scene.keys_without_ttl(execution_id) == []


def check_a_revoked_action_runs(scene: Scene, fleet: Fleet) -> None:
    """The task id of a later action is revoked: the action runs when its turn comes, rather than hold up the plan."""
    gate = scene.gate()
    actions = [
        action("wait", "chaos.wait", inputs={"gate": str(gate)}),
        action("work", "chaos.work", "wait", inputs={"number": 1, "pause": 1, "values": []}),
    ]
    execution_id = scene.start({"id": "revoked", "actions": actions})
    scene.wait_started(execution_id, "wait")
    revoke(scene, fleet, action_task_id(execution_id, "work"))
    gate.touch()
    assert scene.wait_closed(execution_id, BOUND, fleet).status == "completed"
    assert scene.keys_without_ttl(execution_id) == []


def test_an_action_that_was_revoked_before_it_begins_runs(scene: Scene, fleet: Fleet) -> None:
    """Its turn comes, and the plan is not held up."""
    check_a_revoked_action_runs(scene, fleet)


def test_so_does_one_whose_message_can_expire(tmp_path: Path) -> None:
    """An expiry that has not passed does not make revoking hold up the plan."""
    expiring = {"workflow_state.execute_action": {"expires": 3600}}
    with Scene(tmp_path / "scene", workflow_state=QUICK, task_annotations=expiring) as scene, scene.fleet(1) as fleet:
        check_a_revoked_action_runs(scene, fleet)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_an_action_that_is_terminated_before_it_begins_runs(pool: str, scene: Scene) -> None:
    """Its message waits in a worker for the time of its next attempt when it is revoked with ``terminate``: it begins
    then, no process is taken down, and the worker goes on, also where the pool is one of threads.
    """
    # Time enough for a slow machine to revoke it meanwhile.
    retry = {"max_attempts": 2, "min_timeout_in_ms": 8000, "max_timeout_in_ms": 8000, "randomize": False}
    flaky = action("flaky", "chaos.flaky", inputs={"number": 1}, retry=retry)
    with scene.fleet(0) as fleet:
        fleet.add("--pool", pool, "--concurrency", "1")
        fleet.wait_ready()
        execution_id = scene.start({"id": "terminated", "actions": [flaky]})
        task_id = action_task_id(execution_id, "flaky")
        wait_until(lambda: len(fleet.lines(f"[{task_id}] received")) == 2, BOUND, "the next attempt waits there")
        scene.app.control.revoke(task_id, terminate=True)
        wait_until(lambda: fleet.lines(f"Terminating {task_id}"), BOUND, "the worker knows of it")
        state = scene.wait_closed(execution_id, BOUND, fleet)
    assert (state.status, state.action_states["flaky"].attempts) == ("completed", 2)


def test_a_plan_that_nobody_has_accepted_is_revoked(scene: Scene, fleet: Fleet) -> None:
    """Its message is dropped, as that of any task, and whoever waits for its result is told."""
    execution_id = "8a6a2f0e-revoked"
    revoke(scene, fleet, execution_id)
    work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
    scene.start({"id": "revoked", "actions": [work]}, execution_id)
    wait_until(lambda: scene.result(execution_id).state == "REVOKED", BOUND, "the plan is revoked")
    assert scene.field(execution_id, "status") is None
