"""What a state says of how an execution went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from workflow_state import (
    ActionExecutionState,
    ActionStatus,
    ErrorCategory,
    ErrorDetail,
    ExecutionMetrics,
    ExecutionState,
    ExecutionStatus,
    Failure,
    Skipped,
    Success,
    calculate_execution_metrics,
    extract_successful_results,
)

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
ERROR = ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="no")


def found(
    name: str, status: str, duration: int | None = None, attempts: int = 0, result: Any = None
) -> ActionExecutionState:
    """One action's state."""
    ended = None if duration is None else START + timedelta(milliseconds=duration)
    return ActionExecutionState(
        action_id=name,
        status=ActionStatus(status),
        started_at=START if attempts else None,
        completed_at=ended,
        duration=duration,
        attempts=attempts,
        result=result,
    )


def state(*actions: ActionExecutionState, total: int = 0, status: str = "completed") -> ExecutionState:
    """An execution's state; ``total``: its duration in milliseconds."""
    return ExecutionState(
        id="e",
        plan_id="p",
        status=ExecutionStatus(status),
        action_states={action.action_id: action for action in actions},
        metrics=ExecutionMetrics(total_actions=len(actions), total_duration=total),
    )


def test_counts_rates_and_times() -> None:
    """Counts by status, the share of successes among what ran, attempts, retries, times in milliseconds, the
    slowest action, and how many ran at a time on average.
    """
    metrics = calculate_execution_metrics(
        state(
            found("a", "completed", 100, 1, Success(output=1)),
            found("b", "completed", 300, 3, Success(output=2)),
            found("c", "failed", 200, 2, Failure(error=ERROR)),
            found("d", "skipped", result=Skipped(reason="branch")),
            total=400,
        )
    )
    assert metrics.model_dump() == {
        "total_actions": 4,
        "completed_actions": 2,
        "failed_actions": 1,
        "skipped_actions": 1,
        "success_rate": 2 / 3,
        "attempts": 6,
        "retries": 3,
        "total_duration": 400,
        "total_action_time": 600,
        "average_action_duration": 200.0,
        "slowest_action_id": "b",
        "slowest_action_duration": 300,
        "parallelism": 1.5,
    }


def test_an_execution_that_runs() -> None:
    """What has not ended counts with what is known of it."""
    metrics = calculate_execution_metrics(
        state(found("a", "completed", 50, 1), found("b", "running", None, 2), found("c", "pending"), status="running")
    )
    assert (metrics.total_actions, metrics.completed_actions, metrics.attempts, metrics.retries) == (3, 1, 3, 1)
    assert (metrics.success_rate, metrics.total_action_time, metrics.parallelism) == (1.0, 50, 0.0)


def test_nothing_ran() -> None:
    """No division by nothing: rates are 0, nobody is slowest."""
    metrics = calculate_execution_metrics(
        state(found("a", "skipped", result=Skipped(reason="halted")), status="failed")
    )
    assert (metrics.success_rate, metrics.average_action_duration, metrics.parallelism) == (0.0, 0.0, 0.0)
    assert (metrics.slowest_action_id, metrics.slowest_action_duration, metrics.attempts) == (None, 0, 0)


def test_a_failure_without_an_attempt() -> None:
    """An action that its condition failed has failed without having been tried: it is no retry."""
    metrics = calculate_execution_metrics(state(found("a", "failed", result=Failure(error=ERROR)), status="failed"))
    assert (metrics.failed_actions, metrics.attempts, metrics.retries, metrics.success_rate) == (1, 0, 0, 0.0)


def test_metrics_serialise_to_either_spelling() -> None:
    """snake_case, or camelCase by alias."""
    metrics = calculate_execution_metrics(state(found("a", "completed", 5, 1), total=5))
    assert metrics.model_dump(by_alias=True)["slowestActionId"] == "a"


def test_successful_results() -> None:
    """The outputs of completed actions by id, null and fallback values included; nothing of the others."""
    assert extract_successful_results(
        state(
            found("a", "completed", 1, 1, Success(output={"n": 1})),
            found("b", "completed", 1, 1, Success(output=None)),
            found("c", "failed", 1, 1, Failure(error=ERROR, partial_output={"half": True})),
            found("d", "skipped", result=Skipped(reason="branch")),
            found("e", "running", None, 1),
        )
    ) == {"a": {"n": 1}, "b": None}
