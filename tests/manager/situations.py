"""Executions that stand where a method of the state manager is to be called, and how they are put away again.

Each is made by a function of a site whose worker runs, and ends when its test is over.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from tests.integration.outcomes import ONCE, TIMEOUT, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ExecutionNotFoundError, ExecutionState, InvalidTransitionError, StateManager

PLAN = plan(action("a", "test.value", inputs={"value": 1}), action("b", "test.value", "a"), name="contract")


@dataclass(frozen=True)
class Scene:
    """One execution on a site; ``gate``: at which its action ``a`` waits, if it does."""

    site: Site
    id: str
    gate: str = ""

    @property
    def manager(self) -> StateManager:
        return StateManager(self.site.app)

    def state(self) -> ExecutionState:
        return self.manager.get_full_state(self.id)

    def statuses(self) -> dict[str, str]:
        return statuses(self.state())

    def let_through(self) -> None:
        """Open the gate, for a second attempt too: after a restart there may be one."""
        self.site.open_gate(self.gate, 3)

    def ended(self) -> ExecutionState:
        """The final state, once there is one."""
        return self.manager.wait(self.id, TIMEOUT)


def nowhere(site: Site) -> Scene:
    """An id that nobody has used."""
    return Scene(site, str(uuid.uuid4()))


def stored(site: Site) -> Scene:
    """By hand, nothing has begun."""
    return Scene(site, StateManager(site.app).initialize_state(PLAN, start=False).id)


def begun(site: Site) -> Scene:
    """By hand, ``a`` runs."""
    scene = stored(site)
    scene.manager.update_action_status(scene.id, "a", "running")
    return scene


def half_done(site: Site) -> Scene:
    """By hand, ``a`` has completed with the output 1."""
    scene = begun(site)
    scene.manager.record_action_result(scene.id, "a", 1)
    return scene


def done(site: Site) -> Scene:
    """By hand, completed with the outputs 1 and 2."""
    scene = half_done(site)
    scene.manager.update_action_status(scene.id, "b", "running")
    scene.manager.record_action_result(scene.id, "b", 2)
    return scene


def gated(site: Site) -> Scene:
    """On a worker, ``a`` runs and waits at its gate."""
    gate = uuid.uuid4().hex
    steps = plan(action("a", "test.gate", inputs={"name": gate}), action("b", "test.value", "a"), name="contract")
    scene = Scene(site, StateManager(site.app).initialize_state(steps).id, gate)
    site.wait_started(gate)
    return scene


def let_go(site: Site) -> Scene:
    """On a worker, about to end."""
    scene = gated(site)
    scene.let_through()
    return scene


def paused(site: Site) -> Scene:
    """On a worker, paused between ``a``, which has completed, and ``b``."""
    scene = gated(site)
    scene.manager.pause_execution(scene.id)
    scene.let_through()
    wait_until(lambda: scene.statuses()["a"] == "completed", TIMEOUT)
    return scene


def asking(site: Site) -> Scene:
    """On a worker, ``b`` waits for a person and nothing else can run."""
    steps = plan(action("a", "test.value"), action("b", "test.value", "a", user_confirmation={"title": "Really?"}))
    scene = Scene(site, StateManager(site.app).initialize_state(steps).id)
    wait_until(lambda: scene.state().status == "paused_for_confirmation", TIMEOUT)
    return scene


def broken(site: Site) -> Scene:
    """On a worker, failed: ``a`` has completed, ``b`` failed in its only attempt, ``c`` never ran."""
    first = action("a", "test.value", inputs={"value": 1})
    steps = plan(first, action("b", "test.fail", "a", retry=ONCE), action("c", "test.value", "b"))
    scene = Scene(site, StateManager(site.app).initialize_state(steps).id)
    scene.ended()
    return scene


def put_away(scene: Scene) -> None:
    """End the execution, however it stands, and wait until it has ended; one that is gone is gone."""
    manager = scene.manager
    try:
        manager.cancel_execution(scene.id)
        if scene.gate:
            scene.let_through()
        for name, status in scene.statuses().items():
            if status == "running" and not scene.gate:
                try:
                    manager.record_action_result(scene.id, name, None)
                except InvalidTransitionError:
                    assert scene.site.fields(scene.id)["driver"] == "workers"
        scene.ended()
    except ExecutionNotFoundError:
        return
