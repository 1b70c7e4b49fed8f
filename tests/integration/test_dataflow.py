"""The schedule ``dataflow``: an action starts when its own dependencies have ended, whatever else runs."""

from __future__ import annotations

import uuid
from typing import Any

from tests.integration.outcomes import ONCE, TIMEOUT, run, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ExecutionState, ExecutionStatus, StateManager, execute_plan


def flow(*actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan that runs as a data flow."""
    return plan(*actions, schedule="dataflow", **fields)


def started_after_needs(state: ExecutionState, needs: dict[str, list[str]]) -> None:
    """By the times recorded, nothing started before all that it waits for had ended."""
    for name, before in needs.items():
        for other in before:
            ended, started = state.action_states[other].completed_at, state.action_states[name].started_at
            assert ended is not None
            assert started is not None
            assert ended <= started, f"{name} started before {other} had ended"


def test_an_action_does_not_wait_for_a_sibling_of_an_earlier_level(library: Site) -> None:
    """``slow`` and ``quick`` are of the first level; what depends on ``quick`` alone runs to its end, two levels on,
    while ``slow`` still runs, and a join of both waits for both. In levels it would wait for ``slow``.
    """
    gate = uuid.uuid4().hex
    result = execute_plan.delay(
        flow(
            action("slow", "test.gate", inputs={"name": gate}),
            action("quick", "test.value", inputs={"value": 1}),
            action("second", "test.value", "quick", inputs={"value": "${quick.output}"}),
            action("third", "test.value", "second", inputs={"value": "${second.output}"}),
            action("join", "test.value", "slow", "third", inputs={"value": "${third.output}"}),
        )
    )
    library.wait_started(gate)
    manager = StateManager()
    wait_until(
        lambda: manager.get_full_state(result.id).action_states["third"].status == "completed", TIMEOUT, "third has run"
    )
    state = manager.get_full_state(result.id)
    assert statuses(state) == {
        "slow": "running",
        "quick": "completed",
        "second": "completed",
        "third": "completed",
        "join": "pending",
    }
    library.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    assert state.status == ExecutionStatus.COMPLETED
    started_after_needs(state, {"second": ["quick"], "third": ["second"], "join": ["slow", "third"]})


def test_decisions_are_carried_on_without_a_message(library: Site) -> None:
    """A skip makes the turn of what waits for it, and so on down a branch that is not taken: nothing of it is sent,
    and the join behind it runs.
    """
    state = run(
        flow(
            action("first", "test.value", inputs={"value": 1}),
            action("b1", "test.value", "first", condition={"if": "${first.output} == 2"}),
            action("b2", "test.value", "b1"),
            action("b3", "test.value", "b2"),
            action("other", "test.value", "first", inputs={"value": 5}),
            action("join", "test.value", "b3", "other", inputs={"value": "${other.output}"}),
        )
    )
    assert statuses(state) == {
        "first": "completed",
        "b1": "skipped",
        "b2": "skipped",
        "b3": "skipped",
        "other": "completed",
        "join": "completed",
    }
    assert library.runs(state.id) == {"first": 1, "other": 1, "join": 1}


def test_a_failure_that_nothing_tolerates_ends_the_execution(library: Site) -> None:
    """What runs ends, nothing new starts, all that never ran is skipped with the reason."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(
        flow(
            action("runs", "test.gate", inputs={"name": gate}),
            action("after", "test.value", "runs"),
            action("bad", "test.fail", retry=ONCE),
            action("never", "test.value", "bad"),
        )
    )
    library.wait_started(gate)
    manager = StateManager()
    wait_until(lambda: manager.get_full_state(result.id).action_states["bad"].status == "failed", TIMEOUT)
    library.open_gate(gate)
    state = manager.wait(result.id, TIMEOUT)
    assert state.status == ExecutionStatus.FAILED
    assert statuses(state) == {"runs": "completed", "after": "skipped", "bad": "failed", "never": "skipped"}
