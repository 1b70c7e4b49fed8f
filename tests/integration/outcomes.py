"""Run a plan to its end, however it ends, and look at how it ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tests.workers import action, plan
from workflow_state import (
    ActionExecutionState,
    ExecutionState,
    PlanExecutionError,
    StateManager,
    Success,
    execute_plan,
)

TIMEOUT = 30
ONCE = {"max_attempts": 1}
#: Three attempts without a wait that anyone would notice.
QUICK = {"max_attempts": 3, "min_timeout_in_ms": 20, "max_timeout_in_ms": 40}


def run(wanted: dict[str, Any]) -> ExecutionState:
    """Run a plan on the current app's worker and give the state as ``StateManager`` reads it."""
    result = execute_plan.delay(wanted)
    with suppress(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    return StateManager().get_full_state(result.id)


def run_one(definition: str, **fields: Any) -> ActionExecutionState:
    """Run a plan of one action, ``a``."""
    return run(plan(action("a", definition, **fields))).action_states["a"]


def output(state: ExecutionState, name: str) -> Any:
    """The output of a completed action."""
    result = state.action_states[name].result
    assert isinstance(result, Success), result
    return result.output


def statuses(state: ExecutionState) -> dict[str, str]:
    """Action id → status."""
    return {name: found.status.value for name, found in state.action_states.items()}
