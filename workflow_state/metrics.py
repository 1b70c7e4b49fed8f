"""What an execution's state says of how it went: pure arithmetic over recorded times."""

from __future__ import annotations

from pydantic import JsonValue

from workflow_state.arguments import checked
from workflow_state.models import ActionStatus, ExecutionState, Milliseconds, Model, Success


class PerformanceMetrics(Model):
    """Counts, rates and times of one execution; durations in milliseconds.

    ``success_rate``: completed among those that ran, 0 to 1; 0 when none ran. ``total_action_time``: of
    all actions together, waits between attempts included; divided by ``total_duration`` it is
    ``parallelism``, how many ran at a time on average.

    Example:
        >>> metrics = calculate_execution_metrics(state)
        >>> metrics.total_actions, metrics.completed_actions, metrics.attempts
        (4, 2, 4)
    """

    total_actions: int
    completed_actions: int
    failed_actions: int
    skipped_actions: int
    success_rate: float
    attempts: int
    retries: int
    total_duration: Milliseconds
    total_action_time: Milliseconds
    average_action_duration: float
    slowest_action_id: str | None
    slowest_action_duration: Milliseconds
    parallelism: float


@checked
def calculate_execution_metrics(state: ExecutionState) -> PerformanceMetrics:
    """Analyse an execution, ended or not; actions that have not ended count with what is known of them.

    Example:
        >>> metrics = calculate_execution_metrics(state)
        >>> metrics.retries, round(metrics.success_rate, 2)
        (1, 0.67)
    """
    actions = list(state.action_states.values())
    count = {status: sum(a.status == status for a in actions) for status in ActionStatus}
    ran = [a for a in actions if a.attempts]
    timed = {a.action_id: a.duration for a in actions if a.duration is not None}
    total = sum(timed.values())
    slowest = max(timed, key=lambda name: timed[name], default=None)
    finished = count[ActionStatus.COMPLETED] + count[ActionStatus.FAILED]
    return PerformanceMetrics(
        total_actions=len(actions),
        completed_actions=count[ActionStatus.COMPLETED],
        failed_actions=count[ActionStatus.FAILED],
        skipped_actions=count[ActionStatus.SKIPPED],
        success_rate=count[ActionStatus.COMPLETED] / finished if finished else 0.0,
        attempts=sum(a.attempts for a in ran),
        retries=sum(a.attempts - 1 for a in ran),
        total_duration=state.metrics.total_duration,
        total_action_time=total,
        average_action_duration=total / len(timed) if timed else 0.0,
        slowest_action_id=slowest,
        slowest_action_duration=timed[slowest] if slowest is not None else 0,
        parallelism=total / state.metrics.total_duration if state.metrics.total_duration else 0.0,
    )


@checked
def extract_successful_results(state: ExecutionState) -> dict[str, JsonValue]:
    """The outputs of all completed actions, by action id.

    Example:
        >>> extract_successful_results(state)
        {'fetch': {'EUR': 1.0, 'USD': 1.1}, 'publish': 'sent: USD 1.1'}
    """
    return {
        name: action.result.output for name, action in state.action_states.items() if isinstance(action.result, Success)
    }
