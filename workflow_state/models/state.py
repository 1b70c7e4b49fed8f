"""The state: what is known of an execution and its actions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from workflow_state import display
from workflow_state.models.base import Milliseconds, Model
from workflow_state.models.enums import ActionStatus, ErrorCategory, ExecutionStatus


class ErrorDetail(Model):
    """What went wrong, for people and programs. ``retry_after``: seconds.

    Example:
        >>> error = state.action_states["check"].error
        >>> error.category.value, error.message, error.retryable, error.suggestion
        ('validation_failed', '1.1 is too high', False, 'ask the bank')
    """

    category: ErrorCategory
    message: str
    code: str | None = None
    status_code: int | None = None
    retryable: bool = True
    retry_after: float | None = None
    context: dict[str, JsonValue] = Field(default_factory=dict)
    suggestion: str | None = None


class Success(Model):
    """The action has an output.

    Example:
        >>> match manager.get_action_result(state.id, "publish"):
        ...     case Success(output=output):
        ...         print(output)
        sent: USD 1.1
    """

    status: Literal["success"] = "success"
    output: JsonValue = None


class Failure(Model):
    """The action failed for good.

    Example:
        >>> match manager.get_action_result(state.id, "check"):
        ...     case Failure(error=error):
        ...         print(error.message)
        1.1 is too high
    """

    status: Literal["failure"] = "failure"
    error: ErrorDetail
    partial_output: JsonValue = None


class Skipped(Model):
    """The action did not run.

    Example:
        >>> match manager.get_action_result(state.id, "alarm"):
        ...     case Skipped(reason=reason):
        ...         print(reason)
        condition not met: ${fetch.output.USD} < 1 is false (${fetch.output.USD} = 1.1)
    """

    status: Literal["skipped"] = "skipped"
    reason: str


ActionResult = Annotated[Success | Failure | Skipped, Field(discriminator="status")]


class Attempt(Model):
    """One try of an action: when, how long (milliseconds), on which worker, and how it ended.

    Example:
        >>> [(attempt.number, attempt.outcome) for attempt in state.action_states["fetch"].trace]
        [(1, 'failed'), (2, 'completed')]
    """

    number: int
    started_at: datetime
    completed_at: datetime | None = None
    duration: Milliseconds | None = None
    worker: str = ""
    outcome: Literal["running", "completed", "failed", "lost"]
    error: ErrorDetail | None = None


class Progress(Model):
    """How far an attempt has come, as it last said itself: ``fraction`` from 0 to 1, and a line on what it is at.

    Example:
        >>> progress = state.action_states["fetch"].progress
        >>> progress.fraction, progress.message
        (0.5, 'half of the rates')
    """

    fraction: float
    message: str = ""
    attempt: int = 1
    at: datetime


class ActionExecutionState(Model):
    """One action of an execution. ``duration`` (ms) runs from first start to end, waits between attempts included.

    ``error`` stays visible when a fallback value made a failed action ``completed``.

    Example:
        >>> fetched = state.action_states["fetch"]
        >>> fetched.attempts, fetched.result.output["USD"], fetched.trace[0].error.message
        (2, 1.1, 'the service is busy')
    """

    action_id: str
    status: ActionStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration: Milliseconds | None = None
    attempts: int = 0
    result: ActionResult | None = None
    error: ErrorDetail | None = None
    trace: tuple[Attempt, ...] = ()
    progress: Progress | None = None


class ConfirmationState(Model):
    """A confirmation that was asked for, and its answer if there is one yet."""

    action_id: str
    requested_at: datetime
    responded_at: datetime | None = None
    confirmed: bool | None = None
    user_id: str | None = None


class ExecutionMetrics(Model):
    """Counts of actions by how they stand, and the run's duration in milliseconds.

    Example:
        >>> state.metrics.total_actions, state.metrics.failed_actions, state.metrics.skipped_actions
        (4, 1, 1)
    """

    total_actions: int = 0
    completed_actions: int = 0
    failed_actions: int = 0
    skipped_actions: int = 0
    total_duration: Milliseconds = 0


class ExecutionState(Model):
    """Everything known of one execution; ``version`` grows with every change of it.

    ``paused``: somebody paused it, so that nothing new starts until it is resumed.

    Example:
        >>> state.status.value, state.metrics.completed_actions, state.confirmations[0].user_id
        ('completed', 2, 'ada')
        >>> {name: found.status.value for name, found in state.action_states.items()}
        {'fetch': 'completed', 'check': 'failed', 'alarm': 'skipped', 'publish': 'completed'}
    """

    id: str
    plan_id: str
    status: ExecutionStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    action_states: dict[str, ActionExecutionState] = Field(default_factory=dict)
    confirmations: tuple[ConfirmationState, ...] = ()
    error: ErrorDetail | None = None
    rerun_of: str | None = None
    paused: bool = False
    metrics: ExecutionMetrics = ExecutionMetrics()
    version: int = 0

    def to_json_dict(self) -> dict[str, Any]:
        """The state as JSON-ready dict, as ``AsyncResult.get()`` has it on the wire."""
        return self.model_dump(mode="json")

    def to_html(self) -> str:
        """The state as one HTML file that needs no other: what failed, a timeline, and every action's results.

        Secrets are taken out by name. With the plan, :func:`workflow_state.execution_report` shows its graph, its
        inputs and the critical path too.
        """
        return display.page(self)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return display.snippet(self)


class ExecutionSummary(Model):
    """One execution in a list. ``created_at``: when it was accepted; ``name``: the plan's, or else its id.

    ``completed_actions`` is None until the execution has ended.

    Example:
        >>> summary = manager.list_executions(name="nightly", status="completed").items[0]
        >>> summary.status.value, summary.total_actions, summary.failed_actions
        ('completed', 4, 1)
    """

    id: str
    plan_id: str
    name: str
    status: ExecutionStatus
    paused: bool = False
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    total_actions: int = 0
    completed_actions: int | None = None
    failed_actions: int = 0
    skipped_actions: int = 0
    rerun_of: str | None = None


class ExecutionPage(Model):
    """A page of a list of executions; ``cursor``: what gives the next page, None when this is the last.

    Example:
        >>> page = manager.list_executions(limit=1)
        >>> older = manager.list_executions(limit=1, cursor=page.cursor)
        >>> older.items[0].created_at < page.items[0].created_at
        True
    """

    items: tuple[ExecutionSummary, ...] = ()
    cursor: str | None = None
