"""Many messages wait while workers are slow: the sweeper neither stands in the way nor makes the queue longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.plans import action
from tests.chaos.scene import Scene
from tests.support import wait_until
from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.validation import prepare_plan

BOUND = 60.0
#: More executions than a sweeper looks at in a lease.
MANY = 600


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A server and an app with a very short lease."""
    with Scene(tmp_path / "scene", workflow_state={"lease": 0.2, "sweep_interval": 0.1}) as found:
        yield found


@pytest.fixture
def engine(scene: Scene) -> Engine:
    """That of the client's side: what it starts is as if a worker had."""
    return engine_of(scene.app)


def work_elsewhere(engine: Engine, execution_id: str) -> None:
    """Start a plan whose one action waits in a queue that nobody takes from."""
    work = action("work", "chaos.work", queue="other", inputs={"number": 1, "pause": 1, "values": []})
    engine.accept(prepare_plan({"id": "waits", "actions": [work]}), execution_id, {}, keep=True)
    engine.advance(execution_id)


def test_a_worker_goes_on_working_when_there_is_more_to_look_at_than_a_lease_has_time_for(
    scene: Scene, engine: Engine
) -> None:
    """Hundreds of executions wait in a long queue, and each is due again before the last one was looked at: the
    worker takes messages all the same, and a new plan ends.
    """
    for number in range(MANY):
        work_elsewhere(engine, f"waits-{number}")
    with scene.fleet(1) as fleet:
        wait_until(lambda: int(scene.field("waits-0", "looks:0") or 0) >= 2, 30, "the first one is looked at again")
        work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
        state = scene.wait_closed(scene.start({"id": "new", "actions": [work]}), BOUND, fleet)
    assert state.status == "completed"
