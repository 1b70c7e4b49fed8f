"""What a run tells: what a failure blocked, and what made the run take as long as it did."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.pictures import plans
from tests.pictures.runs import moment, recorded
from workflow_state import ExecutionState, compile_plan, validate_execution_plan
from workflow_state.models import ActionExecutionState
from workflow_state.pictures.run import Trouble, critical_path, troubles
from workflow_state.testing import run_plan


def state_of(times: dict[str, tuple[int, int] | None]) -> ExecutionState:
    """A state with the begin and end of each action in milliseconds; None: it was skipped."""
    states = {
        name: ActionExecutionState(
            action_id=name,
            status="completed" if span else "skipped",
            started_at=moment(span[0]) if span else None,
            completed_at=moment(span[1]) if span else moment(0),
        )
        for name, span in times.items()
    }
    return ExecutionState(id="e", plan_id="p", status="completed", action_states=states)


def program_of(plan: dict[str, Any]) -> Any:
    return compile_plan(validate_execution_plan(plan))


class TestCriticalPath:
    def test_it_is_the_chain_of_last_ends(self) -> None:
        """Before each action comes the one whose end its level had waited for, whether it depends on it or not."""
        program = program_of(plans.numbered([[], [], [0], [2]]))
        state = state_of({"a0": (0, 10), "a1": (0, 90), "a2": (95, 120), "a3": (125, 130)})
        assert critical_path(program, state) == ("a1", "a2", "a3")

    def test_in_dataflow_it_is_the_chain_of_last_needs(self) -> None:
        """An action waited for its own needs alone; for those of an action that did not run, through it."""
        program = program_of({**plans.numbered([[], [], [0], [2], [3, 0]]), "schedule": "dataflow"})
        state = state_of({"a0": (0, 10), "a1": (0, 500), "a2": (12, 30), "a3": None, "a4": (31, 600)})
        assert critical_path(program, state) == ("a0", "a2", "a4")

    def test_what_was_skipped_is_not_in_it(self) -> None:
        """A level in which nothing ran decided nothing."""
        program = program_of(plans.numbered([[], [0], [1]]))
        state = state_of({"a0": (0, 10), "a1": None, "a2": (12, 20)})
        assert critical_path(program, state) == ("a0", "a2")

    def test_a_run_that_did_nothing_has_none(self) -> None:
        """Nothing ran: no path."""
        assert critical_path(program_of(plans.numbered([[]])), state_of({"a0": None})) == ()

    def test_it_ends_with_what_ended_last_and_its_parts_follow_one_another(self) -> None:
        """In a run of 200 actions: it begins in the first level, no part begins before the one before has ended."""
        program, state = recorded(plans.grid(10, 20))
        path = [state.action_states[name] for name in critical_path(program, state)]
        assert len(path) == 10
        assert path[-1].completed_at == max(
            one.completed_at for one in state.action_states.values() if one.completed_at
        )
        for one, other in itertools.pairwise(path):
            assert one.completed_at is not None
            assert other.started_at is not None
            assert one.completed_at <= other.started_at


class TestTroubles:
    def test_a_failure_blocked_all_that_waited_for_it(self) -> None:
        """Directly or not; an action beside it that had not started was not blocked by it."""
        plan = plans.numbered([[], [], [0], [2], [1, 3], [1]])
        state = run_plan(plan, {"test.step": lambda: 1 / 0})
        first = next(one for one in troubles(program_of(plan), state) if one.action_id == "a0")
        assert first == Trouble("a0", False, ("a2", "a3", "a4"))

    def test_a_tolerated_failure_blocked_nothing_and_comes_last(self) -> None:
        """The plan went on: what was skipped after it has other reasons."""
        tolerated = plans.action("a", errorHandling={"continueOnFailure": True})
        plan = {"actions": [tolerated, plans.action("b", "a"), plans.action("c", "b")]}
        state = run_plan(plan, {"test.step": lambda: 1 / 0})
        assert troubles(program_of(plan), state) == (Trouble("b", False, ("c",)), Trouble("a", True, ()))

    def test_without_a_plan_only_the_failures_are_known(self) -> None:
        """A state alone does not say who waited for whom."""
        state = run_plan(plans.numbered([[], [0]]), {"test.step": lambda: 1 / 0})
        assert troubles(None, state) == (Trouble("a0", False, ()),)


@pytest.mark.parametrize("failing", ["", "a25"])
def test_a_made_up_run_is_one_that_could_be(failing: str) -> None:
    """The large runs that the pictures show keep the rules: level after level, and nothing after a failure."""
    program, state = recorded(plans.grid(4, 10), failing)
    ran = [[state.action_states[name] for name in level if state.action_states[name].trace] for level in program.levels]
    for level, after in itertools.pairwise(ran):
        assert max(one.completed_at for one in level if one.completed_at) <= min(
            (one.started_at for one in after if one.started_at), default=moment(10**9)
        )
    assert [len(level) for level in ran] == ([10, 10, 10, 0] if failing else [10] * 4)
