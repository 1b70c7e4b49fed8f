"""How plans ended, and short ways to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery.result import AsyncResult

from workflow_state import (
    ActionExecutionState,
    ErrorDetail,
    ExecutionState,
    Failure,
    Skipped,
    StateManager,
    Success,
    execute_plan,
)

TIMEOUT = 60
ONCE = {"max_attempts": 1}
#: Three attempts without a wait that anyone would notice.
QUICK = {"max_attempts": 3, "min_timeout_in_ms": 0, "max_timeout_in_ms": 0}


class Endings:
    """Final states by the name of the plan."""

    def __init__(self, states: Mapping[str, ExecutionState], schedule: str) -> None:
        self._states = states
        self.schedule = schedule

    @classmethod
    def of(cls, plans: Mapping[str, Any], schedule: str = "levels") -> Endings:
        """Run all plans at once and wait until all have ended, however they ended."""
        results = {name: execute_plan.delay(in_schedule(wanted, schedule)) for name, wanted in plans.items()}
        for result in results.values():
            AsyncResult(result.id, app=result.app).get(timeout=TIMEOUT, propagate=False)
        manager = StateManager()
        return cls({name: manager.get_full_state(result.id) for name, result in results.items()}, schedule)

    def __getitem__(self, plan: str) -> ExecutionState:
        return self._states[plan]

    def statuses(self, plan: str) -> dict[str, str]:
        """Action id → status."""
        return {name: found.status.value for name, found in self[plan].action_states.items()}

    def action(self, plan: str, name: str) -> ActionExecutionState:
        """The state of one action."""
        return self[plan].action_states[name]

    def output(self, plan: str, name: str) -> Any:
        """The output of a completed action."""
        result = self.action(plan, name).result
        assert isinstance(result, Success), result
        return result.output

    def error(self, plan: str, name: str) -> ErrorDetail:
        """The error of a failed action."""
        result = self.action(plan, name).result
        assert isinstance(result, Failure), result
        return result.error

    def reason(self, plan: str, name: str) -> str:
        """Why an action was skipped."""
        result = self.action(plan, name).result
        assert isinstance(result, Skipped), result
        return result.reason


def in_schedule(plan: Any, schedule: str) -> Any:
    """A plan that says when its actions start; one that runs in levels is left as it is, text included."""
    return plan if schedule == "levels" else {**plan, "schedule": schedule}


#: What differs from run to run.
VOLATILE = {"id", "started_at", "completed_at", "duration", "total_duration", "worker", "version"}


def timeless(state: ExecutionState) -> Any:
    """A state without ids, times, workers and the count of its changes: two runs of a plan are alike in the rest."""
    return _timeless(state.model_dump(mode="json"))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in VOLATILE}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
