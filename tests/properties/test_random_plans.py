"""Random graphs on a real worker: the order of things, by the times that were recorded, and by what really ran."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers import Site, action, plan
from workflow_state import ExecutionState, Success, compile_plan, execute_plan
from workflow_state.validation import prepare_plan

TIMEOUT = 60
MOST = 30

Graph = list[list[int]]
"""For each node the nodes before it that it depends on."""


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any shape of up to ``MOST`` actions: chains, stars, layers, islands and everything between."""
    size = draw(st.integers(1, MOST))
    fan = draw(st.integers(0, 5))
    return [draw(st.lists(st.integers(0, n - 1), unique=True, max_size=min(fan, n))) if n else [] for n in range(size)]


def levels_of(graph: Graph) -> list[int]:
    """What each action must give: one more than the greatest of what it depends on, which is its level."""
    levels: list[int] = []
    for before in graph:
        levels.append(1 + max((levels[n] for n in before), default=-1))
    return levels


def plan_of(graph: Graph, order: list[int]) -> dict[str, Any]:
    """Each action reads all that it depends on; the list of actions is in any order."""
    actions = [
        action(
            f"a{n}",
            "test.level",
            *(f"a{before}" for before in graph[n]),
            inputs={"before": [f"${{a{before}.output}}" for before in graph[n]]},
        )
        for n in range(len(graph))
    ]
    return plan(*(actions[n] for n in order))


def check(site: Site, graph: Graph, state: ExecutionState) -> None:
    """Completed; every output right; every edge and every level respected; every action ran exactly once."""
    assert state.status == "completed"
    levels: dict[int, list[str]] = {}
    for n, (before, level) in enumerate(zip(graph, levels_of(graph), strict=True)):
        found = state.action_states[f"a{n}"]
        levels.setdefault(level, []).append(f"a{n}")
        assert found.result == Success(output=level)
        assert found.started_at is not None
        for name in (f"a{b}" for b in before):
            ended = state.action_states[name].completed_at
            assert ended is not None
            assert ended <= found.started_at, f"a{n} started before {name} had ended"
    for level in range(1, len(levels)):
        ended = max(state.action_states[name].completed_at for name in levels[level - 1])  # type: ignore[type-var]
        started = min(state.action_states[name].started_at for name in levels[level])  # type: ignore[type-var]
        assert ended is not None
        assert started is not None
        assert ended <= started, f"level {level} started before level {level - 1} had ended"
    assert site.runs(state.id) == {f"a{n}": 1 for n in range(len(graph))}


@settings(
    max_examples=10,
    deadline=None,
    # Workers do not shrink quickly; and the fixture is a worker, which every example may share.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), batch=st.lists(graphs(), min_size=1, max_size=5))
def test_random_plans_respect_every_edge(own: Site, data: st.DataObject, batch: list[Graph]) -> None:
    """Plans of any shape, several at a time on one worker: every edge is respected by the recorded times,
    no level starts before the one before it has ended, every action runs exactly once, every output is right.
    """
    plans = [plan_of(graph, data.draw(st.permutations(range(len(graph))))) for graph in batch]
    results = [execute_plan.delay(wanted) for wanted in plans]
    for graph, result in zip(batch, results, strict=True):
        check(own, graph, result.get(timeout=TIMEOUT))


@given(graph=graphs(), data=st.data())
def test_the_levels_of_a_program_are_right(graph: Graph, data: st.DataObject) -> None:
    """An action's level is one more than that of its latest dependency, whatever the order of the list."""
    wanted = plan_of(graph, data.draw(st.permutations(range(len(graph)))))
    program = compile_plan(prepare_plan(wanted))
    assert {name: step.level for name, step in program.steps.items()} == {
        f"a{n}": level for n, level in enumerate(levels_of(graph))
    }
    assert sorted(name for level in program.levels for name in level) == sorted(program.steps)
