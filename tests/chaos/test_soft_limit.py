"""A soft time limit that hits the engine's own code, not the user's: an app may have one for all of its tasks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.scene import Scene
from tests.chaos.test_crash_points import CASES, SETTINGS, make_plan
from tests.support import wait_until

BOUND = 60.0
#: One is in the main process, which has no such limit; the other is no step, nothing is done between it and the next.
ELSEWHERE = {"sweeping", "batch half done"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One for all: where the limit hits, nothing dies."""
    with Scene(tmp_path_factory.mktemp("limit") / "scene", workflow_state=SETTINGS) as found:
        yield found


@pytest.fixture(scope="module")
def fleet(scene: Scene) -> Iterator[Fleet]:
    """Two workers."""
    with scene.fleet(2) as found:
        yield found


@pytest.mark.parametrize(("schedule", "point"), [case for case in CASES if case[1] not in ELSEWHERE])
def test_a_limit_between_two_steps_is_no_loss(scene: Scene, fleet: Fleet, schedule: str, point: str) -> None:
    """The plan completes, nobody is told for a moment that it failed, no attempt counts as lost with its worker,
    and what user code has done is not done again.
    """
    scene.arm(point, "time")
    execution_id = scene.start(make_plan(dies=0, schedule=schedule))
    state = scene.wait_closed(execution_id, BOUND, fleet)
    wait_until(lambda: scene.sprung, 5, "the limit has hit")
    scene.check_clean(execution_id)
    assert state.status == "completed"
    assert [a.outcome for found in state.action_states.values() for a in found.trace if a.outcome == "lost"] == []
    ran = {name: len(scene.journal.starts(execution_id, name)) for name in state.action_states}
    assert {name: count for name, count in ran.items() if count > 1} == {}
