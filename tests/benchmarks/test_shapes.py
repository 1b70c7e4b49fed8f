"""The shapes that everybody is measured on are what they are called."""

from __future__ import annotations

import pytest

from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import Graph, chain, fan, grid, levels, random_dag, wide
from workflow_state import compile_plan, validate_execution_plan

SHAPES = {
    "grid": (grid(4, 3), [3, 3, 3, 3]),
    "narrow grid": (grid(3, 1), [1, 1, 1]),
    "fan": (fan(5), [1, 5, 1]),
    "wide": (wide(4), [4]),
    "chain": (chain(4), [1, 1, 1, 1]),
    "single": (chain(1), [1]),
}


@pytest.mark.parametrize(("graph", "widths"), SHAPES.values(), ids=SHAPES)
def test_a_shape_has_these_levels_and_the_engine_agrees(graph: Graph, widths: list[int]) -> None:
    """Peers that work level by level get the levels that the engine makes itself."""
    assert [len(level) for level in levels(graph)] == widths
    for schedule in SCHEDULES:
        program = compile_plan(validate_execution_plan(plan("shape", graph, schedule=schedule)))
        assert [{f"a{number}" for number in level} for level in levels(graph)] == [set(x) for x in program.levels]


def test_in_a_grid_everyone_but_the_first_waits_for_two() -> None:
    """So that the figures of commands and bytes are those of actions with two dependencies."""
    graph = grid(5, 4)
    assert {len(before) for before in graph[:4]} == {0}
    assert {len(before) for before in graph[4:]} == {2}


def test_a_random_graph_is_the_same_for_the_same_seed_and_has_no_cycle() -> None:
    """A run can be repeated, and every number waits for lower ones only, at most so many, at most so far away."""
    graph = random_dag(300, seed=3, most=2, reach=10)
    assert graph == random_dag(300, seed=3, most=2, reach=10)
    assert graph != random_dag(300, seed=4, most=2, reach=10)
    assert all(number - 10 <= other < number for number, before in enumerate(graph) for other in before)
    assert {len(before) for before in graph} == {0, 1, 2}


def test_a_plan_says_of_every_action_what_it_was_told() -> None:
    """The queue, and the schedule of the plan."""
    made = plan("name", chain(2), definition="x.y", schedule="dataflow", queue="q")
    assert made["schedule"] == "dataflow"
    assert made["actions"][1] == {"id": "a1", "actionDefinitionId": "x.y", "dependencies": ["a0"], "queue": "q"}
