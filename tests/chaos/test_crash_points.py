"""SIGKILL at each named point of the engine: the plan goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.plans import SCHEDULES, action, outcome
from tests.chaos.scene import Scene
from tests.chaos.test_remote_crash_points import REMOTE_POINTS
from workflow_state import ExecutionState
from workflow_state.runtime.points import Point

BOUND = 60.0
SETTINGS = {"lease": 1.0, "sweep_interval": 0.25, "part_size": 4}
#: Those of remote actions and events have tests of their own.
POINTS = [point for point in get_args(Point) if point not in REMOTE_POINTS]
#: Levels are decided on in the step that opens them.
CASES = [(schedule, point) for schedule in SCHEDULES for point in POINTS if (schedule, point) != ("levels", "decided")]
#: How often a point is passed before the kill, where the first time would be the wrong one: a point that is
#: reached after each message is to be left with some of them out, and the second level is the richer one.
PASSES = {"level half published": 2}
#: The short form has one of each kind that once went wrong, or that is nearest to it.
IN_SHORT = {
    ("level opened", "server"),
    ("after user code", "server"),
    ("level published", "memory"),
    ("ended", "memory"),
}
OUTAGES = [
    pytest.param(point, victim, marks=() if (point, victim) in IN_SHORT else pytest.mark.long)
    for victim in ("server", "memory")
    for point in POINTS
    if point != "decided"
]


def make_plan(dies: int, schedule: str = "levels") -> dict[str, Any]:
    """Three levels; the middle one is published in parts, the first of which has a batch; a branch is not taken.

    ``dies``: how often an action kills.
    """
    first = action("first", "chaos.work", inputs={"number": 1, "pause": 5, "values": []})
    tiny = [
        action(f"tiny{n}", "chaos.work", "first", inputs={"number": 50 + n, "pause": 110, "values": []}, batch_size=3)
        for n in range(3)
    ]
    fan = [
        action(f"fan{n}", "chaos.work", "first", inputs={"number": n, "pause": 20, "values": ["${first.output.value}"]})
        for n in range(9)
    ]
    mortal = action("mortal", "chaos.die", "first", inputs={"times": dies})
    join = action(
        "join",
        "chaos.work",
        *(f"fan{n}" for n in range(9)),
        *(f"tiny{n}" for n in range(3)),
        "mortal",
        inputs={"number": 99, "pause": 5, "values": [f"${{fan{n}.output.value}}" for n in range(9)]},
    )
    never = action("never", "chaos.work", "first", condition={"if": "false"})
    behind = action("behind", "chaos.work", "never")
    return {"id": "points", "schedule": schedule, "actions": [first, *tiny, *fan, mortal, never, behind, join]}


@pytest.fixture(scope="module")
def expected(scene: Scene, fleet: Fleet) -> dict[str, Any]:
    """How the plan ends when nothing is killed; its action that kills says how often it was begun."""
    found = dict(outcome(scene.wait_closed(scene.start(make_plan(dies=0)), BOUND, fleet)))
    found["actions"].pop("mortal")
    return found


@pytest.mark.parametrize("victim", ["process", "worker"])
@pytest.mark.parametrize(("schedule", "point"), CASES)
def test_a_crash_at_a_point_is_recovered(
    schedule: str, point: str, victim: str, scene: Scene, fleet: Fleet, expected: dict[str, Any]
) -> None:
    """The process that reaches the point dies, or its whole worker with the messages it held; the plan
    completes with the same result in both schedules, each action's result recorded once, and nothing of it is
    left behind.
    """
    execution_id = start_armed(scene, point, victim, schedule)
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert scene.sprung, f"no process reached {point!r}"
    check(scene, execution_id, state, expected)


@pytest.mark.parametrize(("point", "victim"), OUTAGES)
def test_a_server_that_goes_at_a_point_is_waited_for(
    point: str, victim: str, scene: Scene, fleet: Fleet, expected: dict[str, Any]
) -> None:
    """The server is killed when a process reaches the point, or has no memory left from there on; when it is
    back the plan completes as if nothing had happened: no outage becomes the failure of an action or a plan.
    """
    execution_id = start_armed(scene, point, victim)
    scene.end_outage(victim, BOUND)
    state = scene.wait_closed(execution_id, BOUND, fleet)
    check(scene, execution_id, state, expected)


def start_armed(scene: Scene, point: str, victim: str, schedule: str = "levels") -> str:
    """Start the plan with a trap at a point; the execution id."""
    scene.arm(point, victim, PASSES.get(point, 0))
    # The sweeper has something to do when an action was lost.
    return scene.start(make_plan(1 if point == "sweeping" else 0, schedule))


def check(scene: Scene, execution_id: str, state: ExecutionState, expected: dict[str, Any]) -> None:
    """The state and the result are the expected ones, recorded once, and nothing is left behind."""
    found = dict(outcome(state))
    found["actions"].pop("mortal")
    assert found == expected
    scene.check_clean(execution_id)


@pytest.mark.long
def test_half_of_a_level_is_published(tmp_path: Path) -> None:
    """A publisher dies over a level of 1,200 actions when 1,000 of its messages, the first batch, are out: the
    others are sent, and no action runs twice.
    """
    works = [action(f"a{n}", "chaos.work", inputs={"number": n, "pause": 0, "values": []}) for n in range(1200)]
    with Scene(tmp_path / "scene", workflow_state=SETTINGS | {"part_size": 5000}) as scene, scene.fleet() as fleet:
        scene.arm("level half published", "process", passes=1100)
        execution_id = scene.start({"id": "wide", "actions": works})
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert scene.sprung
        assert state.metrics.completed_actions == 1200
        assert {found.attempts for found in state.action_states.values()} == {1}
        scene.check_clean(execution_id)
