"""A real pipeline becomes a plan whose actions sleep as long as it says, scaled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.plans import SCHEDULES
from benchmarks.workloads.pipelines import LONG, PLANS, QUEUE, SLOTS, Pipeline
from workflow_state import compile_plan, validate_execution_plan

DIAMOND = {
    "a": (1.0, []),
    "b": (2.0, ["a"]),
    "c": (5.0, ["a"]),
    "d": (0.5, ["b", "c"]),
}


@pytest.fixture
def diamond(tmp_path: Path) -> Pipeline:
    tasks = [{"id": name, "runtime_s": seconds, "parents": parents} for name, (seconds, parents) in DIAMOND.items()]
    path = tmp_path / "diamond.json"
    path.write_text(json.dumps({"source": "a test", "tasks": tasks}))
    return Pipeline.read(path)


def test_the_critical_path_is_the_longest_way_in_seconds(diamond: Pipeline) -> None:
    """a, c and d one after the other."""
    assert diamond.critical_path == 6.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_its_plan_sleeps_scaled_in_a_queue_of_its_own(diamond: Pipeline, schedule: str) -> None:
    """With the dependencies of the file."""
    plan = validate_execution_plan(diamond.plan(schedule, scale=0.1))
    assert plan.schedule == schedule
    assert {action.id: action.dependencies for action in plan.actions}["d"] == ("b", "c")
    assert [action.inputs["seconds"] for action in plan.actions] == pytest.approx([0.1, 0.2, 0.5, 0.05])
    assert {action.queue for action in plan.actions} == {QUEUE}


def test_there_are_slots_for_the_widest_level_where_a_makespan_is_promised() -> None:
    """Otherwise it would say how many there are."""
    for name in LONG:
        program = compile_plan(validate_execution_plan(Pipeline.read(PLANS / f"{name}.json").plan("levels", 1.0)))
        assert max(map(len, program.levels)) <= SLOTS
